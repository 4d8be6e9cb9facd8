//! One call to WeCom: in the corp's turn, with the corp's token, and again where that is safe.

use std::{sync::Arc, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    Credentials, Result,
    corps::{Corp, Corps},
    error::{Attempt, Failure},
    http::Http,
    metrics::Metrics,
    wire::{self, Endpoint, TokenAnswer},
};
use crate::app::Ambient;

/// After a first attempt.
const RETRIES: usize = 3;
/// Before the first of them; twice as long before the next, and up to twice that by chance.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Asker {
    pub(super) http: Http,
    pub(super) timeout: Duration,
    pub(super) ambient: Ambient,
    pub(super) corps: Corps,
    pub(super) metrics: Metrics,
}

/// One call: by when it must have ended, and whom it is for.
struct Call<'a> {
    endpoint: Endpoint,
    corp: &'a Credentials,
    known: Arc<Corp>,
    body: Option<Value>,
    end: Instant,
}

impl Asker {
    /// Asks until it is answered, may not be asked again, or time is up.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        corp: &Credentials,
        endpoint: Endpoint,
        body: Option<Value>,
    ) -> Result<T> {
        let call = Call {
            endpoint,
            corp,
            known: self.corps.get(corp.corp_no),
            body,
            end: Instant::now() + self.timeout * 2,
        };
        let pauses = ExponentialBuilder::new()
            .with_min_delay(PAUSE)
            .with_max_times(RETRIES)
            .with_jitter();
        let asked = (|| self.ask(&call))
            .retry(pauses)
            .when(|failure: &Failure| failure.may_repeat(endpoint))
            .adjust(|_, pause| pause.filter(|pause| *pause < call.left()));
        asked.await.map_err(|failure| {
            let error = failure.into_error(endpoint);
            tracing::debug!(endpoint = endpoint.word(), corp = corp.corp_no, %error, "not done");
            error
        })
    }

    /// Once, and once more with a new token where the first was of no use.
    async fn ask<T: DeserializeOwned>(&self, call: &Call<'_>) -> Attempt<T> {
        let token = self.token(call, None).await?;
        match self.send(call, &token).await {
            Err(failure) if failure.is_of_token() => {
                let token = self.token(call, Some(&token)).await?;
                self.send(call, &token).await
            }
            answer => answer,
        }
    }

    async fn token(&self, call: &Call<'_>, stale: Option<&SecretString>) -> Attempt<SecretString> {
        let fetch = async {
            let query = [
                ("corpid", call.corp.corp_id.as_str()),
                ("corpsecret", call.corp.secret.expose_secret()),
            ];
            self.attempt::<TokenAnswer>(call, Endpoint::GetToken, &query, None)
                .await
        };
        let tokens = &call.known.tokens;
        let token = tokens.get(call.corp, stale, &self.ambient, fetch);
        match timeout_at(call.end, token).await {
            Ok(token) => token.map_err(Failure::before_call),
            Err(_) => Err(Failure::Held("no token in time")),
        }
    }

    async fn send<T: DeserializeOwned>(&self, call: &Call<'_>, token: &SecretString) -> Attempt<T> {
        let query = [("access_token", token.expose_secret())];
        self.attempt(call, call.endpoint, &query, call.body.as_ref())
            .await
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        endpoint: Endpoint,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Attempt<T> {
        let begun = Instant::now();
        let patience = call.left().min(self.timeout);
        let attempt = async {
            let within = call.left().min(self.timeout);
            wire::read(&self.http.ask(endpoint, query, body, within).await?)
        };
        let answer = call.known.turns.take(patience, attempt).await;
        let failure = answer.as_ref().err().copied();
        self.metrics.ended(endpoint, failure, begun.elapsed());
        answer
    }
}

impl Call<'_> {
    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}
