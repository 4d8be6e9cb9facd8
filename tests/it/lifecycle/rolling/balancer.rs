//! Envoy with the configuration of `deploy/`: other addresses, and a certificate made here.

use std::{
    env, fs,
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

pub struct Balancer {
    child: Child,
    grpc: u16,
    admin: u16,
    certificate: String,
    dir: TempDir,
}

/// Three ports below those that the system gives to clients, so that they can be come back to.
pub fn free_ports() -> [u16; 3] {
    let mut held = Vec::new();
    while held.len() < 3 {
        let port = 10_000 + (rand::random::<u32>() % 10_000) as u16;
        held.extend(TcpListener::bind(("127.0.0.1", port)));
    }
    [0, 1, 2].map(|i| held[i].local_addr().unwrap().port())
}

impl Balancer {
    pub fn start(replicas: &[[u16; 3]]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = signed.cert.pem();
        let file = |name: &str| dir.path().join(name);
        fs::write(file("tls.crt"), &certificate).unwrap();
        fs::write(file("tls.key"), signed.signing_key.serialize_pem()).unwrap();

        let [grpc, http, admin] = free_ports();
        let folder = format!("{}/", dir.path().display());
        let config = with_replicas(replicas)
            .replace("/run/secrets/", &folder)
            .replace(
                "0.0.0.0, port_value: 50051",
                &format!("127.0.0.1, port_value: {grpc}"),
            )
            .replace(
                "0.0.0.0, port_value: 8080",
                &format!("127.0.0.1, port_value: {http}"),
            )
            .replace("port_value: 9901", &format!("port_value: {admin}"));
        assert!(
            !config.contains("mingpian, port") && !config.contains("0.0.0.0"),
            "{config}"
        );
        fs::write(file("envoy.yaml"), config).unwrap();
        let child = Command::new(env::var("TEST_ENVOY").expect("no Envoy: run `tests/run`"))
            .arg("-c")
            .arg(file("envoy.yaml"))
            .args(["--log-level", "warning", "--use-dynamic-base-id"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(file("log")).unwrap())
            .spawn()
            .unwrap();
        Self {
            child,
            grpc,
            admin,
            certificate,
            dir,
        }
    }

    /// A connection to it.
    pub async fn channel(&self) -> Channel {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(&self.certificate))
            .domain_name("localhost");
        let endpoint = Channel::from_shared(format!("https://127.0.0.1:{}", self.grpc)).unwrap();
        endpoint.tls_config(tls).unwrap().connect().await.unwrap()
    }

    /// Waits until it finds each replica well on both doors.
    pub async fn sees_all(&self, replicas: &[[u16; 3]]) {
        let doors = replicas
            .iter()
            .flat_map(|[grpc, http, _]| [("grpc", grpc), ("http", http)]);
        let well =
            doors.map(|(door, port)| format!("{door}::127.0.0.1:{port}::health_flags::healthy"));
        let well: Vec<_> = well.collect();
        let started = Instant::now();
        loop {
            let clusters = self.clusters().await.unwrap_or_default();
            if well.iter().all(|line| clusters.contains(line)) {
                return;
            }
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap();
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{clusters}\n{log}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn clusters(&self) -> reqwest::Result<String> {
        let clusters = format!("http://127.0.0.1:{}/clusters", self.admin);
        reqwest::get(clusters).await?.text().await
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The configuration, with a line for each replica where it names their service.
fn with_replicas(replicas: &[[u16; 3]]) -> String {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/envoy/envoy.yaml");
    let config = fs::read_to_string(config).unwrap();
    let line = |line: &str| -> Vec<String> {
        if !line.contains("address: mingpian,") {
            return vec![line.to_owned()];
        }
        let of = |[grpc, http, admin]: &[u16; 3]| {
            line.replace("address: mingpian,", "address: 127.0.0.1,")
                .replace("50051", &grpc.to_string())
                .replace("8080", &http.to_string())
                .replace("9090", &admin.to_string())
        };
        replicas.iter().map(of).collect()
    };
    let lines: Vec<_> = config.lines().flat_map(line).collect();
    lines.join("\n")
}
