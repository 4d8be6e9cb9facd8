//! One attempt over HTTP. Addresses hold secrets and tokens: none leaves this file.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode, redirect::Policy, retry};
use serde_json::Value;

use super::{
    Error, Result,
    error::{Attempt, Failure},
    wire::Endpoint,
};

const MAX_BYTES: usize = 1024 * 1024;

pub(super) struct Http {
    client: Client,
    base_url: String,
}

impl Http {
    pub(super) fn new(base_url: &str, timeout: Duration) -> Result<Self> {
        let builder = Client::builder()
            .user_agent(concat!(
                env!("CARGO_PKG_NAME"),
                "/",
                env!("CARGO_PKG_VERSION")
            ))
            .connect_timeout(timeout / 2)
            .redirect(Policy::none())
            // Who repeats what is decided in one place.
            .retry(retry::never());
        let builder = if base_url.starts_with("http:") {
            // Loopback: no proxy could reach it.
            builder.no_proxy()
        } else {
            builder.https_only(true)
        };
        let why = "no TLS";
        let client = builder.build().map_err(|_| Error::Away { why })?;
        Ok(Self {
            client,
            base_url: base_url.to_owned(),
        })
    }

    /// The body of the answer.
    pub(super) async fn ask(
        &self,
        endpoint: Endpoint,
        query: &[(&str, &str)],
        body: Option<&Value>,
        within: Duration,
    ) -> Attempt<Vec<u8>> {
        let (folder, word) = (endpoint.folder(), endpoint.word());
        let url = format!("{}/cgi-bin/{folder}{word}", self.base_url);
        let request = match body {
            Some(body) => self.client.post(url).json(body),
            None => self.client.get(url),
        };
        let response = send(request.query(query).timeout(within)).await?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Lost("an HTTP status other than 200"));
        }
        read(response).await
    }
}

async fn send(request: RequestBuilder) -> Attempt<Response> {
    request.send().await.map_err(|e| {
        if e.is_connect() || e.is_builder() {
            Failure::NotSent("no connection")
        } else {
            lost(&e)
        }
    })
}

async fn read(mut response: Response) -> Attempt<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| lost(&e))? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(Failure::Lost("an answer that is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error's own text has the address.
fn lost(e: &reqwest::Error) -> Failure {
    Failure::Lost(if e.is_timeout() {
        "no answer in time"
    } else {
        "a broken connection"
    })
}
