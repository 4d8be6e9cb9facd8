//! A corp's access token: fetched by one caller while the others wait, used until shortly before
//! it ends, dropped when WeCom refuses it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{
    Credentials,
    error::{Attempt, Failure},
    wire::TokenAnswer,
};
use crate::{app::Ambient, domain::Micros};

/// Tokens are renewed so long before their end, or at half time where that is later.
const MARGIN: u64 = 5 * 60;
/// How long a bad secret is not tried again: WeCom blocks whose errors are many.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// Should WeCom ever say more than a day, it is asked again after one.
const LONGEST: u64 = 24 * 60 * 60;

/// The token of one corp.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Held while one is fetched. A fetch that is dropped leaves what was.
    state: Mutex<State>,
    /// Fetches that ended.
    fetched: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Of the credentials that the rest is about.
    of: [u8; 32],
    token: Option<(SecretString, Micros)>,
    /// WeCom refused the secret with this, and is not asked again until then.
    refused: Option<(Failure, Micros)>,
    /// How the last fetch failed, for those who waited for it.
    failed: Option<Failure>,
}

impl Tokens {
    /// A token other than `stale`, by `fetch` where there is none.
    pub(super) async fn get(
        &self,
        corp: &Credentials,
        stale: Option<&SecretString>,
        ambient: &Ambient,
        fetch: impl Future<Output = Attempt<TokenAnswer>>,
    ) -> Attempt<SecretString> {
        let fetched = self.fetched.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        state.turn_to(corp);
        state.drop_stale(stale);
        let now = ambient.now();
        if let Some((token, until)) = &state.token
            && now < *until
        {
            return Ok(token.clone());
        }
        if let Some((failure, until)) = state.refused
            && now < until
        {
            return Err(failure);
        }
        if let Some(failure) = state.failed
            && self.fetched.load(Ordering::Acquire) != fetched
        {
            return Err(failure);
        }
        let answer = fetch.await;
        self.fetched.fetch_add(1, Ordering::Release);
        state.keep(answer, ambient.now())
    }
}

impl State {
    /// Forgets what is about other credentials.
    fn turn_to(&mut self, corp: &Credentials) {
        let of = fingerprint(corp);
        if self.of != of {
            *self = Self {
                of,
                ..Self::default()
            };
        }
    }

    /// Another caller may have fetched a new one meanwhile: that stays.
    fn drop_stale(&mut self, stale: Option<&SecretString>) {
        self.token.take_if(|(token, _)| {
            stale.is_some_and(|stale| stale.expose_secret() == token.expose_secret())
        });
    }

    fn keep(&mut self, answer: Attempt<TokenAnswer>, now: Micros) -> Attempt<SecretString> {
        match answer {
            Ok(answer) => {
                let good = answer.expires_in.min(LONGEST);
                let good = Duration::from_secs(good.saturating_sub(MARGIN).max(good / 2));
                let token = SecretString::from(answer.access_token);
                self.token = Some((token.clone(), now + good));
                (self.refused, self.failed) = (None, None);
                Ok(token)
            }
            Err(failure) => {
                // Not that WeCom is busy: that it does not know the secret, or us.
                let refused = matches!(failure, Failure::Code(_)) && !failure.is_busy();
                self.refused = refused.then_some((failure, now + REFUSED_FOR));
                self.failed = Some(failure);
                Err(failure)
            }
        }
    }
}

/// What tells one corp's credentials from others, without keeping the secret.
fn fingerprint(corp: &Credentials) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(corp.corp_id.len().to_be_bytes());
    hash.update(&corp.corp_id);
    hash.update(corp.secret.expose_secret());
    hash.finalize().into()
}
