//! Servers in processes of their own, on a core of their own, and what they use of it.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Where servers run, and where this program does.
pub const SERVER_CORE: &str = "0";
pub const CLIENT_CORE: &str = "1";

/// Puts this program on its core. Before there are threads: they stay where they began.
pub fn pin() {
    let pid = std::process::id().to_string();
    let pinned = Command::new("taskset")
        .args(["-a", "-p", "-c", CLIENT_CORE, &pid])
        .stdout(Stdio::null())
        .status();
    let pinned = pinned.is_ok_and(|status| status.success());
    assert!(pinned, "this needs taskset (util-linux) and two cores");
}

/// A command that runs on the servers' core.
pub fn on_server_core(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", SERVER_CORE, program]);
    command
}

/// What a process used of processors.
pub struct Cpu(u32);

impl Cpu {
    pub fn id(&self) -> u32 {
        self.0
    }

    pub fn of(child: &Child) -> Self {
        Self(child.id())
    }

    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// In user and kernel mode, all threads: since it began.
    pub fn used(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap_or_default();
        // What follows the name, which may hold anything.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks: u64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        // USER_HZ, which is 100 wherever Linux runs.
        Duration::from_millis(ticks * 10)
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.unwrap_or_default() * 1024
    }
}

/// A server; killed when dropped.
pub struct Process {
    child: Child,
    pub cpu: Cpu,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// From its start until it served.
    pub start: Duration,
}

impl Process {
    /// Starts a server, and waits for the line that says where it serves.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::create(log).unwrap();
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        loop {
            let text = fs::read_to_string(log).unwrap();
            let line = text.lines().find(|line| line.contains("serving grpc="));
            if let Some(line) = line {
                let address = |key: &str| {
                    let rest = line.split_once(key).map_or("", |(_, rest)| rest);
                    rest.split_whitespace().next().unwrap().parse().unwrap()
                };
                return Self {
                    cpu: Cpu(child.id()),
                    grpc: address(" grpc="),
                    http: address(" http="),
                    start: started.elapsed(),
                    child,
                };
            }
            let late = started.elapsed() > Duration::from_secs(120);
            if late || child.try_wait().unwrap().is_some() {
                let _ = child.kill();
                panic!("it does not serve: {text}");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and until it has ended.
    pub fn end(mut self) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").arg(pid).status();
        let until = Instant::now() + Duration::from_secs(30);
        while Instant::now() < until && self.child.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
