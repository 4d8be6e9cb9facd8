//! Corps: wire ⇄ domain.

use prost_types::FieldMask;

use crate::{
    api::{
        pb,
        wire::{masked, timestamp},
    },
    app::{App, CorpChanges, CorpDraft},
    domain::{Check, Corp, Merchant, Refusal, card, corp},
};

/// Every field that is asked for.
pub fn draft(check: &mut Check, corp: pb::Corp) -> Option<CorpDraft> {
    let display_name = check.field("corp.display_name", card::display_name(&corp.display_name));
    let merchants = merchants(check, &corp.merchants);
    let corp_id = check.field("corp.corp_id", corp::corp_id(&corp.corp_id));
    let app_secret = check.field("corp.app_secret", corp::app_secret(&corp.app_secret));
    let token = corp::callback_token(&corp.callback_token);
    let callback_token = check.field("corp.callback_token", token);
    let key = corp::encoding_aes_key(&corp.encoding_aes_key);
    let encoding_aes_key = check.field("corp.encoding_aes_key", key);
    Some(CorpDraft {
        display_name: display_name?,
        merchants: merchants?,
        corp_id: corp_id?,
        app_secret: app_secret?.into(),
        callback_token: callback_token?.into(),
        encoding_aes_key: encoding_aes_key?.into(),
    })
}

const FIELDS: &[&str] = &[
    "display_name",
    "merchants",
    "app_secret",
    "callback_token",
    "encoding_aes_key",
];
/// `*`: nobody reads the secrets, so nobody has them all to send back.
const READ: usize = 2;

pub fn changes(corp: pb::Corp, mask: Option<&FieldMask>) -> Result<CorpChanges, Refusal> {
    let mut check = Check::default();
    let all = mask.is_some_and(|mask| mask.paths == ["*"]);
    let fields = masked(&mut check, mask, FIELDS, |field| match field {
        "display_name" => !corp.display_name.is_empty(),
        "merchants" => !corp.merchants.is_empty(),
        "app_secret" => !corp.app_secret.is_empty(),
        "callback_token" => !corp.callback_token.is_empty(),
        _ => !corp.encoding_aes_key.is_empty(),
    });
    let fields = if all { &fields[..READ] } else { &fields[..] };
    let mut changes = CorpChanges::default();
    for field in fields {
        let path = format!("corp.{field}");
        match *field {
            "display_name" => {
                changes.display_name = check.field(path, card::display_name(&corp.display_name));
            }
            "merchants" => changes.merchants = merchants(&mut check, &corp.merchants),
            "app_secret" => {
                let secret = check.field(path, corp::app_secret(&corp.app_secret));
                changes.app_secret = secret.map(Into::into);
            }
            "callback_token" => {
                let token = check.field(path, corp::callback_token(&corp.callback_token));
                changes.callback_token = token.map(Into::into);
            }
            _ => {
                let key = check.field(path, corp::encoding_aes_key(&corp.encoding_aes_key));
                changes.encoding_aes_key = key.map(Into::into);
            }
        }
    }
    changes.corp_id = Some(corp.corp_id).filter(|id| !id.is_empty());
    check.done(Some(changes))
}

/// In the caller's order, each once; `None` where one is wrong.
fn merchants(check: &mut Check, names: &[String]) -> Option<Vec<Merchant>> {
    if names.len() > corp::MAX_MERCHANTS {
        let rule = format!("must be at most {}", corp::MAX_MERCHANTS);
        check.violation("corp.merchants", rule);
        return None;
    }
    let mut merchants = Vec::new();
    for (i, name) in names.iter().enumerate() {
        // A long list of wrong names is one mistake.
        let merchant = check.field(format!("corp.merchants[{i}]"), Merchant::parse(name))?;
        merchants.push(merchant);
    }
    let mut once = std::collections::HashSet::new();
    merchants.retain(|merchant| once.insert(merchant.clone()));
    Some(merchants)
}

/// Without its secrets.
pub fn corp(app: &App, corp: Corp) -> pb::Corp {
    pb::Corp {
        name: corp.name.to_string(),
        merchants: corp.merchants.iter().map(ToString::to_string).collect(),
        callback_uri: app.callback_uri(&corp.name),
        etag: corp.etag(),
        create_time: Some(timestamp(corp.create_time)),
        update_time: Some(timestamp(corp.update_time)),
        display_name: corp.display_name,
        corp_id: corp.corp_id,
        ..Default::default()
    }
}
