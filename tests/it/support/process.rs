//! The real program, in a process of its own.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

/// A running `mingpian serve`; killed when dropped.
pub struct Process {
    pub child: Child,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    /// Everything it printed so far.
    pub output: Arc<Mutex<String>>,
}

/// `mingpian serve` on free ports; `arguments` and `environment` come on top.
pub fn serve(arguments: &[&str], environment: &[(&str, &str)]) -> Process {
    serve_at([0; 3], arguments, environment)
}

/// The same on these ports: of gRPC, of the public door, of the operators'.
pub fn serve_at(ports: [u16; 3], arguments: &[&str], environment: &[(&str, &str)]) -> Process {
    let [grpc, http, admin] = ports.map(|port| format!("127.0.0.1:{port}"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_mingpian"))
        .arg("serve")
        .args(["--grpc-listen", &grpc, "--http-listen", &http])
        .args(["--admin-listen", &admin])
        .env("MINGPIAN_WECOM__DEMO_LISTEN", "127.0.0.1:0")
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let output = Arc::new(Mutex::new(String::new()));
    let (lines, serving) = mpsc::channel();
    collect(child.stdout.take().unwrap(), output.clone(), lines.clone());
    collect(child.stderr.take().unwrap(), output.clone(), lines);
    let deadline = Instant::now() + Duration::from_secs(30);
    let line = loop {
        match serving.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains("serving grpc=") => break line,
            Ok(_) => {}
            Err(_) => {
                let _ = child.kill();
                panic!("does not serve: {}", output.lock().unwrap());
            }
        }
    };
    let address = |key: &str| {
        let rest = line.split_once(&format!("{key}=")).unwrap().1;
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    Process {
        grpc: address("grpc"),
        http: address("http"),
        admin: address("admin"),
        child,
        output,
    }
}

fn collect(
    from: impl std::io::Read + Send + 'static,
    output: Arc<Mutex<String>>,
    lines: mpsc::Sender<String>,
) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            output.lock().unwrap().push_str(&format!("{line}\n"));
            let _ = lines.send(line);
        }
    });
}

impl Process {
    /// Where the demo's WeCom is, once it has said so.
    pub fn fake_wecom(&self) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let output = self.output.lock().unwrap().clone();
            if let Some((_, rest)) = output.split_once("a fake one, on ") {
                return rest.split(": let").next().unwrap().to_owned();
            }
            assert!(Instant::now() < deadline, "no fake WeCom: {output}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL: it gets no chance to tidy up.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
    }

    /// Its exit status, if it ends in time.
    pub fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
