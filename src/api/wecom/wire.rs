//! Corps, acquisition links and quotas: wire ⇄ domain.

use prost_types::FieldMask;

use crate::{
    api::{
        pb,
        wire::{date, masked, timestamp},
    },
    app::{AcquisitionLinkChanges, AcquisitionLinkDraft, App, CorpChanges, CorpDraft},
    domain::{
        AcquisitionLink, Check, Corp, CorpName, ID_RULE, LinkState, Merchant, Quota, Refusal, Zone,
        acquisition::{self, Level, Range},
        card, corp,
    },
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

/// Every field that is asked for; `members`: how many users one link may name.
pub fn link_draft(
    check: &mut Check,
    link: pb::AcquisitionLink,
    members: u64,
) -> Option<AcquisitionLinkDraft> {
    let name = acquisition::display_name(&link.display_name);
    let display_name = check.field("acquisition_link.display_name", name);
    let users = users(check, &link.user_ids, members);
    let departments = departments(check, &link.department_ids);
    let range = Range {
        users: users?,
        departments: departments?,
    };
    if range.is_empty() {
        check.violation(USERS, acquisition::SOMEBODY);
        return None;
    }
    Some(AcquisitionLinkDraft {
        display_name: display_name?,
        range,
        skip_verify: link.skip_verify.unwrap_or(true),
    })
}

const USERS: &str = "acquisition_link.user_ids";
const DEPARTMENTS: &str = "acquisition_link.department_ids";
const LINK_FIELDS: &[&str] = &["display_name", "user_ids", "department_ids", "skip_verify"];

pub fn link_changes(
    link: pb::AcquisitionLink,
    mask: Option<&FieldMask>,
    members: u64,
) -> Result<AcquisitionLinkChanges, Refusal> {
    let mut check = Check::default();
    let fields = masked(&mut check, mask, LINK_FIELDS, |field| match field {
        "display_name" => !link.display_name.is_empty(),
        "user_ids" => !link.user_ids.is_empty(),
        "department_ids" => !link.department_ids.is_empty(),
        _ => link.skip_verify.is_some(),
    });
    let mut changes = AcquisitionLinkChanges::default();
    for field in fields {
        match field {
            "display_name" => {
                let name = acquisition::display_name(&link.display_name);
                changes.display_name = check.field("acquisition_link.display_name", name);
            }
            "user_ids" => changes.users = users(&mut check, &link.user_ids, members),
            "department_ids" => {
                changes.departments = departments(&mut check, &link.department_ids);
            }
            _ => changes.skip_verify = Some(link.skip_verify.unwrap_or(true)),
        }
    }
    check.done(Some(changes))
}

/// In the caller's order; `None` where one is wrong.
fn users(check: &mut Check, ids: &[String], members: u64) -> Option<Vec<String>> {
    if ids.len() as u64 > members {
        check.violation(USERS, format!("must be at most {members}"));
        return None;
    }
    let mut users: Vec<String> = Vec::new();
    for (i, id) in ids.iter().enumerate() {
        let id = acquisition::user_id(id).map_err(ToOwned::to_owned);
        let id = id.and_then(|id| once(&users, id));
        // A long list of wrong ids is one mistake.
        users.push(check.field(format!("{USERS}[{i}]"), id)?);
    }
    Some(users)
}

fn departments(check: &mut Check, ids: &[i64]) -> Option<Vec<i64>> {
    const MOST: usize = acquisition::MAX_DEPARTMENTS;
    if ids.len() > MOST {
        check.violation(DEPARTMENTS, format!("must be at most {MOST}"));
        return None;
    }
    let mut departments = Vec::new();
    for (i, id) in ids.iter().enumerate() {
        let id = match *id {
            ..1 => Err("must be from 1".to_owned()),
            id => once(&departments, id),
        };
        departments.push(check.field(format!("{DEPARTMENTS}[{i}]"), id)?);
    }
    Some(departments)
}

fn once<T: PartialEq>(before: &[T], id: T) -> Result<T, String> {
    if before.contains(&id) {
        return Err("must not stand twice".to_owned());
    }
    Ok(id)
}

impl From<AcquisitionLink> for pb::AcquisitionLink {
    fn from(link: AcquisitionLink) -> Self {
        use pb::acquisition_link::State;
        let state = match link.state {
            LinkState::Creating => State::Creating,
            LinkState::Active => State::Active,
            LinkState::Unavailable => State::Unavailable,
            LinkState::Refused => State::Refused,
        };
        let uri = link.made.as_ref().map(|made| made.uri.as_str().to_owned());
        Self {
            name: link.name.to_string(),
            uri: uri.unwrap_or_default(),
            state: state.into(),
            pending: link.pending.is_some(),
            etag: link.etag(),
            create_time: Some(timestamp(link.create_time)),
            update_time: Some(timestamp(link.update_time)),
            display_name: link.display_name,
            user_ids: link.range.users,
            department_ids: link.range.departments,
            skip_verify: Some(link.skip_verify),
        }
    }
}

/// A batch's day is the one on which WeCom's clock, in China, strikes midnight.
pub fn quota(corp: &CorpName, quota: Quota) -> pb::AcquisitionQuota {
    use pb::acquisition_quota::{Batch, State};
    let state = match quota.level {
        Level::Sufficient => State::Sufficient,
        Level::Low => State::Low,
        Level::Exhausted => State::Exhausted,
    };
    let batches = quota.batches.iter().map(|batch| Batch {
        expire_date: Some(date(Zone::SHANGHAI.day(batch.expires))),
        balance: batch.balance,
    });
    pb::AcquisitionQuota {
        name: format!("{corp}{QUOTA}"),
        batches: batches.collect(),
        total: quota.total,
        balance: quota.balance,
        state: state.into(),
        as_of: quota.as_of.map(timestamp),
    }
}

const QUOTA: &str = "/acquisitionQuota";

/// The corp in `corps/{corp}/acquisitionQuota`.
pub fn quota_name(name: &str) -> Result<CorpName, Refusal> {
    let corp = name.strip_suffix(QUOTA).map(CorpName::parse);
    let corp = corp.and_then(Result::ok);
    corp.ok_or_else(|| {
        let rule = format!("must be corps/{{corp}}{QUOTA}; the id {ID_RULE}");
        Refusal::field("name", rule)
    })
}
