//! The way outward: a stream of NATS JetStream. Knows nothing of what is told.

mod cloud_event;

use std::time::Duration;

use async_nats::{
    ConnectOptions, ServerAddr,
    jetstream::{
        Context, context,
        message::PublishMessage,
        stream::{Config, StorageType},
    },
};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

pub use cloud_event::{CONTENT_TYPE, CloudEvent};

/// How long one request to NATS may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// For so long NATS takes a message with the id of another for the same one.
const SAME: Duration = Duration::from_secs(10 * 60);

/// Where the stream is, and how one is made where there is none.
#[derive(Clone, Debug)]
pub struct Options {
    /// `nats://USER:PASSWORD@HOST:PORT`, or several with commas between.
    pub url: SecretString,
    pub stream: String,
    /// What subjects begin with, without a dot at the end.
    pub prefix: String,
    /// How long the stream keeps a message.
    pub keep: Duration,
    /// Of the stream, in a cluster.
    pub replicas: usize,
}

/// NATS cannot be had now, or does not want it; nobody knows whether it took effect.
#[derive(Debug, thiserror::Error)]
#[error("NATS is away: {0}")]
pub struct Error(String);

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A stream that can be published to.
#[derive(Debug)]
pub struct Stream {
    context: Context,
    config: Config,
    prefix: String,
}

/// Which stream it is, and the number of its last message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it was made.
    pub made: String,
    pub last: u64,
}

/// That NATS has a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    pub number: u64,
    /// It was there already.
    pub again: bool,
}

impl Stream {
    /// Connects.
    pub async fn open(options: &Options) -> Result<Self> {
        let (addresses, connecting) = address(options.url.expose_secret())?;
        // It comes back by itself for as long as it is kept.
        let client = connecting
            .name("mingpian")
            .connection_timeout(TIMEOUT)
            .connect(addresses)
            .await
            .map_err(away)?;
        let context = context::ContextBuilder::new()
            .timeout(TIMEOUT)
            .build(client);
        let config = Config {
            name: options.stream.clone(),
            subjects: vec![format!("{}.>", options.prefix)],
            storage: StorageType::File,
            max_age: options.keep,
            duplicate_window: SAME,
            num_replicas: options.replicas,
            ..Config::default()
        };
        let prefix = options.prefix.clone();
        Ok(Self {
            context,
            config,
            prefix,
        })
    }

    /// How the stream is; it is made where there is none, and left as it is where there is one.
    pub async fn look(&self) -> Result<Seen> {
        let stream = self.context.get_or_create_stream(&self.config).await;
        let info = stream.map_err(away)?.cached_info().clone();
        Ok(Seen {
            made: info.created.unix_timestamp_nanos().to_string(),
            last: info.state.last_sequence,
        })
    }

    /// Publishes all, and waits until NATS has them; after an error it may have some.
    pub async fn publish(&self, events: &[CloudEvent<'_>]) -> Result<Vec<Ack>> {
        let mut sent = Vec::with_capacity(events.len());
        for event in events {
            let message = PublishMessage::build()
                .message_id(&event.id)
                .header("content-type", CONTENT_TYPE)
                .payload(event.json().into());
            let subject = format!("{}.{}", self.prefix, event.kind);
            let sending = self.context.send_publish(subject, message).await;
            sent.push(sending.map_err(away)?);
        }
        let mut acks = Vec::with_capacity(sent.len());
        for sending in sent {
            let ack = sending.await.map_err(away)?;
            if ack.stream != self.config.name {
                return Err(Error(format!("stream {} takes the subjects", ack.stream)));
            }
            acks.push(Ack {
                number: ack.sequence,
                again: ack.duplicate,
            });
        }
        Ok(acks)
    }
}

/// The addresses, and who connects: by the first one's user and password, or token.
fn address(urls: &str) -> Result<(Vec<ServerAddr>, ConnectOptions)> {
    let (mut addresses, mut connecting) = (Vec::new(), ConnectOptions::new());
    for url in urls.split(',').map(str::trim) {
        let mut url = Url::parse(url).map_err(|_| Error("its address is none".to_owned()))?;
        let said = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (said(url.username()), url.password().map(said));
        if addresses.is_empty() {
            connecting = match password {
                Some(password) => connecting.user_and_password(user, password),
                None if !user.is_empty() => connecting.token(user),
                None => connecting,
            };
        }
        let _ = (url.set_username(""), url.set_password(None));
        addresses.push(ServerAddr::from_url(url).map_err(away)?);
    }
    Ok((addresses, connecting))
}

fn away(error: impl std::fmt::Display) -> Error {
    Error(error.to_string())
}
