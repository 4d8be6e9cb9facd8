//! `mingpian health`: grpc.health.v1 asked from outside, for containers and units.

use std::{
    fs,
    io::{Write, stdout},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use mingpian::config::Settings;
use tonic::{
    Code,
    transport::{Certificate, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::exit;

const TIMEOUT: Duration = Duration::from_secs(5);
const NOT_WELL: u8 = 1;

/// How to know a server with TLS, and to be known to it.
#[derive(Args, Debug, Default)]
pub struct Tls {
    /// The authority that signed the server's certificate, PEM; without it, the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name in the server's certificate, where it is not the address's.
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// This client's certificate, PEM, for mutual TLS.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// That certificate's private key, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl Tls {
    fn asked_for(&self) -> bool {
        self.ca.is_some() || self.domain.is_some() || self.cert.is_some()
    }

    fn client(&self) -> anyhow::Result<ClientTlsConfig> {
        let mut tls = ClientTlsConfig::new();
        tls = match &self.ca {
            Some(file) => tls.ca_certificate(Certificate::from_pem(read(file)?)),
            None => tls.with_native_roots(),
        };
        if let Some(name) = &self.domain {
            tls = tls.domain_name(name);
        }
        if let Some((cert, key)) = self.cert.as_ref().zip(self.key.as_ref()) {
            tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        Ok(tls)
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| file.display().to_string())
}

/// Where a server with these settings is reached from the same machine.
pub fn own_address(settings: &Settings) -> String {
    let mut address: SocketAddr = settings.grpc_listen;
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        }
    }
    match settings.tls.identity() {
        Some(_) => format!("https://{address}"),
        None => address.to_string(),
    }
}

/// Prints the state of `service`: SERVING, NOT_SERVING, SERVICE_UNKNOWN or UNREACHABLE.
/// 0 for the first, 1 for the others. An address without a scheme has TLS if `tls` says how.
pub async fn ask(address: &str, tls: &Tls, service: String) -> anyhow::Result<u8> {
    let endpoint = endpoint(address, tls)?;
    let state = state(endpoint, service).await.unwrap_or_else(|error| {
        eprintln!("mingpian: {error:#}");
        "UNREACHABLE"
    });
    writeln!(stdout(), "{state}")?;
    Ok(if state == "SERVING" {
        exit::OK
    } else {
        NOT_WELL
    })
}

fn endpoint(address: &str, tls: &Tls) -> anyhow::Result<Endpoint> {
    let url = match address {
        _ if address.contains("://") => address.to_owned(),
        _ if tls.asked_for() => format!("https://{address}"),
        _ => format!("http://{address}"),
    };
    let endpoint = Endpoint::from_shared(url)
        .context("the address")?
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT);
    if endpoint.uri().scheme_str() == Some("https") {
        return Ok(endpoint.tls_config(tls.client()?)?);
    }
    anyhow::ensure!(!tls.asked_for(), "an http:// address has no TLS");
    Ok(endpoint)
}

async fn state(endpoint: Endpoint, service: String) -> anyhow::Result<&'static str> {
    let channel = endpoint.connect().await.context("cannot connect")?;
    match HealthClient::new(channel)
        .check(HealthCheckRequest { service })
        .await
    {
        Ok(answer) => Ok(answer.get_ref().status().as_str_name()),
        Err(status) if status.code() == Code::NotFound => Ok("SERVICE_UNKNOWN"),
        Err(status) => anyhow::bail!("the answer is {:?}: {}", status.code(), status.message()),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::Server;
    use tonic_health::ServingStatus;

    use super::*;

    #[tokio::test]
    async fn every_state_is_told_apart() {
        let (reporter, service) = tonic_health::server::health_reporter();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );

        let asked = async |service: &str| {
            let endpoint = endpoint(&address, &Tls::default()).unwrap();
            state(endpoint, service.to_owned()).await.unwrap()
        };
        for (status, word) in [
            (ServingStatus::Serving, "SERVING"),
            (ServingStatus::NotServing, "NOT_SERVING"),
        ] {
            reporter.set_service_status("cards", status).await;
            assert_eq!(asked("cards").await, word);
        }
        assert_eq!(asked("other").await, "SERVICE_UNKNOWN");
        let away = ask("127.0.0.1:1", &Tls::default(), String::new()).await;
        assert_eq!(away.unwrap(), NOT_WELL);
    }

    #[test]
    fn an_unspecified_listener_is_asked_on_loopback() {
        let mut settings = Settings::default();
        settings.grpc_listen = ([0, 0, 0, 0], 50051).into();
        assert_eq!(own_address(&settings), "127.0.0.1:50051");
    }
}
