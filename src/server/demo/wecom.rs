//! The demo's WeCom: a fake one on loopback, with a corp that calls back at the real door.

use std::net::SocketAddr;

use anyhow::Context as _;

use super::{call, there_is_one};
use crate::{
    app::{AcquisitionLinkDraft, Ambient, App, CorpDraft, Error, Result},
    config::Settings,
    domain::{AcquisitionLinkName, CorpName, Merchant, acquisition::Range},
    wecom::fake::Fake,
};

const CORP: &str = "demo";
const CORP_ID: &str = "wwde40000000000001";
const APP_SECRET: &str = "demo-app-secret";
const CALLBACK_TOKEN: &str = "demoCallbackToken";
const ENCODING_AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
/// The links of one corp, at most.
const LINKS: u64 = 1000;

/// Starts it, and points the settings at it.
pub async fn start(settings: &mut Settings) -> anyhow::Result<Fake> {
    let fake = Fake::start(settings.wecom.demo_listen, Ambient::system())
        .await
        .with_context(|| {
            let address = settings.wecom.demo_listen;
            format!("wecom.demo_listen: cannot listen on {address}")
        })?;
    fake.add_app(CORP_ID, APP_SECRET);
    settings.wecom.ask(fake.base_url());
    Ok(fake)
}

/// The corp, for these merchants, and a link of it.
pub async fn load(app: &App, fake: &Fake, merchants: Vec<Merchant>) -> Result<AcquisitionLinkName> {
    let corp = CorpName::new(CORP).map_err(Error::bug)?;
    let draft = CorpDraft {
        display_name: "Demo 演示企业".to_owned(),
        merchants,
        corp_id: CORP_ID.to_owned(),
        app_secret: APP_SECRET.into(),
        callback_token: CALLBACK_TOKEN.into(),
        encoding_aes_key: ENCODING_AES_KEY.into(),
    };
    there_is_one(app.create_corp(&call(), corp.clone(), draft).await)?;
    // It forgot what an earlier run made.
    for link in app.acquisition_links(&corp, "", LINKS).await? {
        fake.put_back(CORP_ID, APP_SECRET, &link);
    }
    let name = AcquisitionLinkName::new(corp, "main").map_err(Error::bug)?;
    let draft = AcquisitionLinkDraft {
        display_name: "Klook 客路".to_owned(),
        range: Range {
            users: vec!["zhangsan".to_owned()],
            departments: Vec::new(),
        },
        skip_verify: true,
    };
    let made = app
        .create_acquisition_link(&call(), name.clone(), draft)
        .await;
    there_is_one(made)?;
    Ok(name)
}

/// Lets it call back, now that the door is open.
pub async fn call_back(fake: &Fake, door: SocketAddr) {
    let url = format!("http://{door}/wecom/callback/{CORP}");
    let set = fake.set_callback(CORP_ID, &url, CALLBACK_TOKEN, ENCODING_AES_KEY);
    if let Err(error) = set.await {
        tracing::warn!(%error, "the demo's WeCom does not call back");
    }
}
