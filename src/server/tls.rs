//! TLS from PEM files: a certificate chain, its key, and for mutual TLS the authority of
//! the clients' certificates. Files can be read again while connections are open.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, RootCertStore, ServerConfig,
        crypto::{CryptoProvider, aws_lc_rs},
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    },
};

use super::accept::Protocol;

/// Where the PEM files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// The server's certificate, then its intermediates.
    pub certificate: PathBuf,
    /// The certificate's private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// With it a client must show a certificate that one of these authorities signed.
    pub client_ca: Option<PathBuf>,
}

/// Why TLS cannot be served; names the file at fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read PEM from {}", path.display())]
    Pem { path: PathBuf, source: pem::Error },
    #[error("no certificate in {}", .0.display())]
    Empty(PathBuf),
    #[error("{} holds no certificate authority that can be used", path.display())]
    Authority {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the certificate in {} and the key in {} do not serve together", certificate.display(), key.display())]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
}

/// What a listener shows to its clients.
#[derive(Debug)]
pub struct Tls {
    files: Files,
    protocol: Protocol,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files; `protocol` decides what ALPN offers.
    pub fn load(files: Files, protocol: Protocol) -> Result<Self, Error> {
        let config = ArcSwap::from_pointee(read(&files, protocol)?);
        Ok(Self {
            files,
            protocol,
            config,
        })
    }

    /// Reads the files again, for connections from now on. After an error the old ones serve.
    pub fn reload(&self) -> Result<(), Error> {
        self.config
            .store(Arc::new(read(&self.files, self.protocol)?));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

fn read(files: &Files, protocol: Protocol) -> Result<ServerConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let pair = |source| Error::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(pair)?;
    let builder = match &files.client_ca {
        Some(path) => builder.with_client_cert_verifier(verifier(path, provider)?),
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| Error::Pem {
        path: files.key.clone(),
        source,
    })?;
    let mut config = builder
        .with_single_cert(certificates(&files.certificate)?, key)
        .map_err(pair)?;
    config.alpn_protocols = match protocol {
        Protocol::Grpc => vec![b"h2".to_vec()],
        Protocol::Http => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

fn verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let unusable = |source| Error::Authority {
        path: path.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| unusable(e.into()))?;
    }
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
        .build()
        .map_err(|e| unusable(e.into()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|source| Error::Pem {
            path: path.to_owned(),
            source,
        })?;
    if chain.is_empty() {
        return Err(Error::Empty(path.to_owned()));
    }
    Ok(chain)
}
