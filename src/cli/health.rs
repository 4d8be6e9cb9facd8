//! `mingpian health`: grpc.health.v1 asked from outside, for containers and units.

use std::{
    io::{Write, stdout},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use mingpian::config::Settings;
use tonic::{
    Code,
    transport::{ClientTlsConfig, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use super::exit;

const TIMEOUT: Duration = Duration::from_secs(5);
const NOT_WELL: u8 = 1;

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
/// 0 for the first, 1 for the others.
pub async fn ask(address: &str, service: String) -> anyhow::Result<u8> {
    let state = state(address, service).await.unwrap_or_else(|error| {
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

async fn state(address: &str, service: String) -> anyhow::Result<&'static str> {
    let url = if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    let mut endpoint = Endpoint::from_shared(url)
        .context("the address")?
        .connect_timeout(TIMEOUT)
        .timeout(TIMEOUT);
    if endpoint.uri().scheme_str() == Some("https") {
        endpoint = endpoint.tls_config(ClientTlsConfig::new().with_native_roots())?;
    }
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

        for (status, word) in [
            (ServingStatus::Serving, "SERVING"),
            (ServingStatus::NotServing, "NOT_SERVING"),
        ] {
            reporter.set_service_status("cards", status).await;
            assert_eq!(state(&address, "cards".to_owned()).await.unwrap(), word);
        }
        let unknown = state(&address, "other".to_owned()).await.unwrap();
        assert_eq!(unknown, "SERVICE_UNKNOWN");
        assert_eq!(ask("127.0.0.1:1", String::new()).await.unwrap(), NOT_WELL);
    }

    #[test]
    fn an_unspecified_listener_is_asked_on_loopback() {
        let mut settings = Settings::default();
        settings.grpc_listen = ([0, 0, 0, 0], 50051).into();
        assert_eq!(own_address(&settings), "127.0.0.1:50051");
    }
}
