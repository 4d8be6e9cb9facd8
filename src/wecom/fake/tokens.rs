//! Access tokens: one an app, the same one for as long as it is good.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::json;

use super::{
    answer::{
        EXPIRED_TOKEN, INVALID_CORP, INVALID_SECRET, INVALID_TOKEN, MALFORMED_SECRET, NO_CORP,
        NO_SECRET, NO_TOKEN, Outcome,
    },
    world::World,
};
use crate::domain::Micros;

#[derive(Debug)]
pub(super) struct Token {
    pub(super) app: usize,
    pub(super) expires: Micros,
    /// WeCom may take it back early.
    pub(super) valid: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    pub(super) corpid: String,
    #[serde(default)]
    pub(super) corpsecret: String,
}

impl World {
    /// `gettoken`; `random` is for a new token.
    pub(super) fn get_token(&mut self, asked: &Asked, random: [u8; 96], now: Micros) -> Outcome {
        let app = self.app(asked)?;
        let good = |t: &Token| t.app == app && t.valid && t.expires > now;
        let held = self.tokens.iter().find(|(_, token)| good(token));
        let (text, expires) = if let Some((text, token)) = held {
            (text.clone(), token.expires)
        } else {
            let text = BASE64_URL_SAFE_NO_PAD.encode(random);
            let expires = now + Duration::from_secs(self.shape.token_seconds);
            let token = Token {
                app,
                expires,
                valid: true,
            };
            self.tokens.insert(text.clone(), token);
            (text, expires)
        };
        let left = expires.seconds() - now.seconds();
        Ok(json!({"access_token": text, "expires_in": left}))
    }

    fn app(&self, asked: &Asked) -> Result<usize, i64> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        match (asked.corpid.as_str(), asked.corpsecret.as_str()) {
            ("", _) => Err(NO_CORP),
            (_, "") => Err(NO_SECRET),
            (corp, _) if !self.corps.contains_key(corp) => Err(INVALID_CORP),
            (_, secret) if !secret.chars().all(plain) => Err(MALFORMED_SECRET),
            (corp, secret) => self
                .apps
                .iter()
                .position(|a| a.corp_id == corp && a.secret == secret)
                .ok_or(INVALID_SECRET),
        }
    }

    /// Whose token it is.
    pub(super) fn caller(&self, token: &str, now: Micros) -> Result<usize, i64> {
        match self.tokens.get(token) {
            _ if token.is_empty() => Err(NO_TOKEN),
            Some(token) if !token.valid => Err(INVALID_TOKEN),
            Some(token) if token.expires <= now => Err(EXPIRED_TOKEN),
            Some(token) => Ok(token.app),
            None => Err(INVALID_TOKEN),
        }
    }

    pub(super) fn invalidate_tokens(&mut self, corp_id: &str) {
        self.each_token(corp_id, |token| token.valid = false);
    }

    pub(super) fn expire_tokens(&mut self, corp_id: &str, now: Micros) {
        self.each_token(corp_id, |token| token.expires = token.expires.min(now));
    }

    fn each_token(&mut self, corp_id: &str, change: impl Fn(&mut Token)) {
        let apps = &self.apps;
        let of_corp = |t: &&mut Token| apps[t.app].corp_id == corp_id;
        self.tokens.values_mut().filter(of_corp).for_each(change);
    }
}
