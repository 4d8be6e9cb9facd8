//! A NATS server of the test's own.

use std::{
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub struct Nats {
    port: u16,
    dir: TempDir,
    child: Child,
}

impl Nats {
    pub fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let dir = tempfile::tempdir().unwrap();
        let child = run(port, dir.path());
        Self { port, dir, child }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts again, on what its store has.
    pub fn back(&mut self) {
        self.child = run(self.port, self.dir.path());
    }

    /// Loses all that it has; while it is killed.
    pub fn wipe(&self) {
        fs::remove_dir_all(self.store()).unwrap();
    }

    /// What it has, while it is killed.
    pub fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_all(&self.store(), copy.path());
        copy
    }

    /// Has again what it had; while it is killed.
    pub fn set_back(&self, copy: &TempDir) {
        self.wipe();
        copy_all(copy.path(), &self.store());
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("jetstream")
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(port: u16, dir: &Path) -> Child {
    let program = env::var("TEST_NATS_SERVER")
        .expect("no NATS: run `tests/run`, or set TEST_NATS_SERVER to a nats-server");
    let child = Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < Duration::from_secs(20), "no NATS");
        thread::sleep(Duration::from_millis(10));
    }
    child
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
