//! WeCom's side of a callback, for tests of what follows from it.

use std::sync::atomic::{AtomicU64, Ordering};

use mingpian::{
    api::pb,
    wecom::envelope::{Envelope, to_post},
};
use reqwest::Client;

pub const CORP_ID: &str = "wx5823bf96d3bd56c7";
const TOKEN: &str = "QDG6eK";
const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

/// `corps/{id}` of this company, for `merchants/klook`.
pub fn corp(id: &str, corp_id: &str) -> pb::CreateCorpRequest {
    pb::CreateCorpRequest {
        corp: Some(pb::Corp {
            display_name: "Klook".into(),
            merchants: vec!["merchants/klook".into()],
            corp_id: corp_id.into(),
            app_secret: "a-secret".into(),
            callback_token: TOKEN.into(),
            encoding_aes_key: KEY.into(),
            ..Default::default()
        }),
        corp_id: id.into(),
        ..Default::default()
    }
}

/// One event as WeCom tells it; what it has not is empty.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub event: &'static str,
    pub change: &'static str,
    pub user: String,
    pub external: String,
    pub link_id: String,
    pub state: String,
    /// Unix seconds.
    pub time: i64,
}

impl Told {
    pub fn contact(change: &'static str, external: &str, state: &str, time: i64) -> Self {
        Self {
            event: "change_external_contact",
            change,
            user: "zhangsan".into(),
            external: external.into(),
            state: state.into(),
            time,
            ..Self::default()
        }
    }

    fn xml(&self, corp_id: &str) -> String {
        let mut xml = format!(
            "<xml><ToUserName><![CDATA[{corp_id}]]></ToUserName>\
             <FromUserName><![CDATA[sys]]></FromUserName><CreateTime>{}</CreateTime>\
             <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{}]]></Event>\
             <ChangeType><![CDATA[{}]]></ChangeType>",
            self.time, self.event, self.change
        );
        for (name, value) in [
            ("UserID", &self.user),
            ("ExternalUserID", &self.external),
            ("LinkId", &self.link_id),
            ("State", &self.state),
        ] {
            if !value.is_empty() {
                xml += &format!("<{name}><![CDATA[{value}]]></{name}>");
            }
        }
        xml + "</xml>"
    }
}

/// Sends to one corp's door.
pub struct Sender {
    client: Client,
    envelope: Envelope,
    corp: &'static str,
    corp_id: &'static str,
    nonce: AtomicU64,
}

impl Sender {
    pub fn new(corp: &'static str, corp_id: &'static str) -> Self {
        Self {
            client: Client::new(),
            envelope: Envelope::new(TOKEN.into(), &KEY.into()).unwrap(),
            corp,
            corp_id,
            nonce: AtomicU64::new(1),
        }
    }

    /// Sealed and signed anew; the door's answer, if it answers.
    pub async fn send(&self, http: &str, told: &Told) -> Option<u16> {
        self.deliver(http, told, false).await
    }

    /// As [`Self::send`], with a signature that is not WeCom's.
    pub async fn forge(&self, http: &str, told: &Told) -> Option<u16> {
        self.deliver(http, told, true).await
    }

    async fn deliver(&self, http: &str, told: &Told, forged: bool) -> Option<u16> {
        let nonce = self.nonce.fetch_add(1, Ordering::Relaxed);
        let message = told.xml(self.corp_id);
        let random = u128::from(nonce).to_be_bytes();
        let encrypt = self.envelope.seal(message.as_bytes(), self.corp_id, random);
        let (nonce, time) = (nonce.to_string(), told.time.to_string());
        let mut signature = self.envelope.sign(&time, &nonce, &encrypt);
        if forged {
            let other = if signature.starts_with('0') { "1" } else { "0" };
            signature.replace_range(..1, other);
        }
        let url = format!(
            "http://{http}/wecom/callback/{}?msg_signature={signature}&timestamp={time}&nonce={nonce}",
            self.corp
        );
        let body = to_post(self.corp_id, &encrypt);
        let answer = self.client.post(url).body(body).send().await.ok()?;
        Some(answer.status().as_u16())
    }
}
