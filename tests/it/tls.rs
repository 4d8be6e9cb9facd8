//! TLS and mutual TLS on a listener, with certificates made here.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

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
