//! WeCom's callbacks as they come in: whose they are, whether they are WeCom's, whether they are
//! new. What follows from them is another's work (`app/contact_events.rs`).

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::{App, Error, Result};
use crate::{
    domain::{Corp, CorpName, Micros, Notice, NoticeKind},
    store::Callback,
    wecom::{
        envelope::{self, Envelope, Signed},
        events::{self, Event},
    },
};

/// What WeCom's clock may be ahead.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Between two tries to keep a callback.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest echo, in digits.
const MAX_ECHO: usize = 64;

/// What became of a callback that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is kept, and will be worked off.
    Kept(NoticeKind),
    /// It was kept before.
    Repeated(NoticeKind),
    /// It tells of nothing that this version knows, or of what nothing follows from.
    Ignored(NoticeKind),
}

/// Why a callback is not taken. WeCom sends it twice more.
#[derive(Debug, thiserror::Error)]
pub enum Untaken {
    /// It is not written as WeCom writes.
    #[error("not a callback")]
    Malformed,
    /// It is nobody's here, or nobody at WeCom sealed it; which of the two stays unsaid.
    #[error("not sealed for a corp of ours")]
    Forged,
    /// It is genuine, and tells of what happened too long ago, or is still to happen.
    #[error("sent again, or by a clock that is wrong")]
    Untimely(NoticeKind),
    /// It is ours to answer for.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl App {
    /// What WeCom expects of who has the secrets of the corp with this id.
    pub async fn verify_callback(
        &self,
        corp: &str,
        signed: &Signed<'_>,
        echo: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Untaken> {
        let corp = self.called_back(corp).await?;
        let echo = self.open_envelope(&corp, signed, echo)?;
        // WeCom asks for a number. What else it has sealed is a callback that somebody caught,
        // and would have read here.
        let is_number = (1..=MAX_ECHO).contains(&echo.len()) && echo.iter().all(u8::is_ascii_digit);
        is_number.then_some(echo).ok_or(Untaken::Forged)
    }

    /// Takes a callback, which waits until then for its store. Once this returns, it is durable.
    pub async fn receive_callback(
        &self,
        corp: &str,
        signed: &Signed<'_>,
        body: &[u8],
        until: Instant,
    ) -> Result<Received, Untaken> {
        let sealed = envelope::posted(body).map_err(|_| Untaken::Malformed)?;
        let corp = self.called_back(corp).await?;
        let message = self.open_envelope(&corp, signed, &sealed)?;
        let event = events::read(&message).map_err(|_| Untaken::Malformed)?;
        let (kind, now) = (event.notice.kind, self.ambient.now());
        if !self.is_timely(event.notice.event_time, now) {
            return Err(Untaken::Untimely(kind));
        }
        if !kind.matters() {
            return Ok(Received::Ignored(kind));
        }
        let key = self.callback_key(&corp, &event);
        let body = self.seal_notice(&corp, &event.notice)?;
        if !self.keep(key, corp.no, body, now, until).await? {
            return Ok(Received::Repeated(kind));
        }
        self.called_back.notify_one();
        Ok(Received::Kept(kind))
    }

    /// Tries until then: SQLite's one writer may be another's for a while, as an import's.
    async fn keep(
        &self,
        key: [u8; 32],
        corp_no: i64,
        body: Vec<u8>,
        now: Micros,
        until: Instant,
    ) -> Result<bool> {
        loop {
            let put = self.store.put_callback(key, corp_no, body.clone(), now);
            match put.await {
                Err(e) if e.is_unavailable() && Instant::now() + PAUSE < until => {
                    sleep(PAUSE).await;
                }
                kept => return Ok(kept?),
            }
        }
    }

    /// What a kept callback says.
    pub(super) fn notice(&self, callback: &Callback) -> Result<Notice> {
        let plain = self.keys.open(&place(callback.corp_no), &callback.body);
        let plain = plain.map_err(Error::bug)?;
        // serde_json's message may quote it.
        serde_json::from_slice(&plain).map_err(|_| Error::bug("a kept callback does not read"))
    }

    fn seal_notice(&self, corp: &Corp, notice: &Notice) -> Result<Vec<u8>> {
        let plain = Zeroizing::new(serde_json::to_vec(notice).map_err(Error::bug)?);
        Ok(self
            .keys
            .seal(&place(corp.no), &plain, self.ambient.random()))
    }

    /// One event has one key, however often WeCom tells of it. A company that is here as two
    /// corps tells each.
    fn callback_key(&self, corp: &Corp, event: &Event) -> [u8; 32] {
        let identity = [&corp.no.to_be_bytes()[..], &event.identity].concat();
        self.keys.index_of("callback", &identity)
    }

    async fn called_back(&self, corp: &str) -> Result<Corp, Untaken> {
        let name = CorpName::new(corp).map_err(|_| Untaken::Forged)?;
        let found = self.store.reads().corp(&name).await;
        found.map_err(Error::from)?.ok_or(Untaken::Forged)
    }

    /// Opens with the corp's secrets, or for a while with one of those before.
    fn open_envelope(
        &self,
        corp: &Corp,
        signed: &Signed<'_>,
        sealed: &str,
    ) -> Result<Zeroizing<Vec<u8>>, Untaken> {
        let (secrets, now) = (self.secrets(corp)?, self.ambient.now());
        for (token, key) in secrets.pairs(now) {
            let envelope = envelope_of(token.clone(), key)?;
            if let Ok(message) = envelope.open(signed, sealed, &corp.corp_id) {
                return Ok(message);
            }
        }
        Err(Untaken::Forged)
    }

    fn is_timely(&self, event_time: Micros, now: Micros) -> bool {
        now <= event_time + self.rules.callback_max_age && event_time <= now + SKEW
    }
}

fn envelope_of(token: SecretString, key: &SecretString) -> Result<Envelope> {
    Envelope::new(token, key).ok_or_else(|| Error::bug("a corp's callback key is none"))
}

/// Where a kept callback is sealed.
fn place(corp_no: i64) -> String {
    format!("callback/{corp_no}")
}
