//! TLS and mutual TLS on a listener, with certificates made here.

use std::{fs, io, net::SocketAddr, path::Path, process::Command, sync::Arc, time::Duration};

use axum::Router;
use mingpian::server::{
    accept::{Limits, Protocol, serve},
    tls::{Error, Files, Tls},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use tokio_util::sync::CancellationToken;

use crate::support::{Engine, TestServer};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes `NAME.pem` and `NAME.key`.
fn issue(authority: &Authority, folder: &Path, name: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

/// A folder with `ca.pem`, and pairs `server` and `client` that it signed.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    renew(folder.path());
    folder
}

fn renew(folder: &Path) {
    let authority = authority();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    issue(&authority, folder, "server");
    issue(&authority, folder, "client");
}

fn files(folder: &Path) -> Files {
    Files {
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
        client_ca: None,
    }
}

async fn start(tls: Arc<Tls>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        tls_handshake_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let token = CancellationToken::new();
    tokio::spawn(serve(
        listener,
        Some(tls),
        Protocol::Grpc,
        limits,
        Router::new(),
        token.clone(),
        token,
    ));
    address
}

/// A client that trusts the folder's authority, and shows its `client` pair if told to.
async fn connect(
    address: SocketAddr,
    folder: &Path,
    shows: bool,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = if shows {
        let chain = vec![CertificateDer::from_pem_file(folder.join("client.pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(folder.join("client.key")).unwrap();
        builder.with_client_auth_cert(chain, key).unwrap()
    } else {
        builder.with_no_client_auth()
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    // A refused client certificate shows only now; a server that is content says SETTINGS.
    stream.read_exact(&mut [0; 9]).await?;
    Ok(stream)
}

#[tokio::test]
async fn grpc_is_served_over_tls_and_says_h2() {
    let folder = folder();
    let tls = Arc::new(Tls::load(files(folder.path()), Protocol::Grpc).unwrap());
    let stream = connect(start(tls.clone()).await, folder.path(), false)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_when_one_is_required() {
    let (folder, strangers) = (folder(), folder());
    let files = Files {
        client_ca: Some(folder.path().join("ca.pem")),
        ..files(folder.path())
    };
    let address = start(Arc::new(Tls::load(files, Protocol::Grpc).unwrap())).await;
    assert!(connect(address, folder.path(), true).await.is_ok());
    assert!(connect(address, folder.path(), false).await.is_err());
    for file in ["client.pem", "client.key"] {
        fs::copy(strangers.path().join(file), folder.path().join(file)).unwrap();
    }
    assert!(connect(address, folder.path(), true).await.is_err());
}

#[tokio::test]
async fn new_files_are_served_after_a_reload_and_bad_ones_never() {
    let folder = folder();
    let tls = Arc::new(Tls::load(files(folder.path()), Protocol::Grpc).unwrap());
    let address = start(tls.clone()).await;
    renew(folder.path());
    assert!(connect(address, folder.path(), false).await.is_err());
    tls.reload().unwrap();
    assert!(connect(address, folder.path(), false).await.is_ok());
    fs::write(folder.path().join("server.key"), "nonsense").unwrap();
    assert!(tls.reload().is_err());
    assert!(connect(address, folder.path(), false).await.is_ok());
}

#[tokio::test]
async fn a_half_handshake_is_closed_at_the_deadline() {
    let folder = folder();
    let tls = Arc::new(Tls::load(files(folder.path()), Protocol::Grpc).unwrap());
    let started = Instant::now();
    let mut silent = TcpStream::connect(start(tls.clone()).await).await.unwrap();
    let mut read = Vec::new();
    let closed = timeout(Duration::from_secs(2), silent.read_to_end(&mut read));
    assert!(closed.await.is_ok());
    assert!(started.elapsed() >= Duration::from_millis(290));
}

/// What `mingpian health` says of a server, and its exit code.
async fn health(server: &TestServer, arguments: &[&Path]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mingpian"));
    command.arg("health");
    command.args(["--address", &server.grpc.to_string()]);
    command.args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (said.trim().to_owned(), output.status.code().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_asked_over_tls_and_mutual_tls() {
    let (folder, strangers) = (folder(), folder());
    let at = |name: &str| folder.path().join(name);
    let (ca, cert, key) = (&at("ca.pem"), &at("client.pem"), &at("client.key"));
    let flag = Path::new;
    let well = ("SERVING".to_owned(), 0);
    let away = ("UNREACHABLE".to_owned(), 1);
    for mutual in [false, true] {
        let mut settings = format!(
            "[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n",
            at("server.pem").display(),
            at("server.key").display(),
        );
        if mutual {
            settings += &format!("client_ca_file = \"{}\"\n", ca.display());
        }
        let server = TestServer::start_with(Engine::Sqlite, &settings).await;
        let domain = [flag("--domain"), flag("localhost")];
        let known = [&[flag("--ca"), ca][..], &domain].concat();
        let shown = [&known[..], &[flag("--cert"), cert, flag("--key"), key]].concat();
        assert_eq!(health(&server, &shown).await, well);
        let alone = if mutual { &away } else { &well };
        assert_eq!(health(&server, &known).await, *alone);
        // The certificate names no address, and no authority of the system signed it.
        let unnamed = [&[flag("--ca"), ca][..], &shown[4..]].concat();
        assert_eq!(health(&server, &unnamed).await, away);
        let other = strangers.path().join("ca.pem");
        let wrong = [&[flag("--ca"), &other][..], &shown[2..]].concat();
        assert_eq!(health(&server, &wrong).await, away);
        assert_eq!(health(&server, &shown[2..]).await, away);
        let absent = at("absent");
        let absent = health(&server, &[flag("--ca"), &absent]).await;
        assert_eq!(absent, (String::new(), 74));
    }
}

#[test]
fn what_is_wrong_names_the_file() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("empty"), "").unwrap();
    issue(&authority(), folder.path(), "other");
    let good = files(folder.path());
    for (files, named) in [
        (
            Files {
                certificate: at("absent"),
                ..good.clone()
            },
            "absent",
        ),
        (
            Files {
                certificate: at("empty"),
                ..good.clone()
            },
            "empty",
        ),
        (
            Files {
                key: at("empty"),
                ..good.clone()
            },
            "empty",
        ),
        (
            Files {
                key: at("other.key"),
                ..good.clone()
            },
            "other.key",
        ),
        (
            Files {
                client_ca: Some(at("absent")),
                ..good.clone()
            },
            "absent",
        ),
        (
            Files {
                client_ca: Some(at("server.key")),
                ..good
            },
            "server.key",
        ),
    ] {
        let error: Error = Tls::load(files, Protocol::Grpc).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}
