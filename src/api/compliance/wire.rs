//! What violations, sanctions and appeals have in common on the wire.

use std::sync::Arc;

use prost::Message;

use crate::{
    api::call,
    app::{Call, Papers, Principal},
    domain::{Check, Merchant, Refusal, ResourceName, is_foreign_id, text},
};

/// Addresses of one resource's proof.
const MAX_EVIDENCE: usize = 10;
/// Products that one resource names.
pub const MAX_ITEMS: usize = 100;

/// The merchant in `parent`, or `None` for `merchants/-`: all, which is the platform's to ask.
pub fn whose(caller: &Principal, parent: &str) -> Result<Option<Merchant>, Refusal> {
    if parent == "merchants/-" {
        caller.permit_platform()?;
        return Ok(None);
    }
    call::merchant(caller, "parent", parent).map(Some)
}

/// What the platform decides: by which call, on what, and why, in 1 to 500 code points of one field.
pub fn decided<N: ResourceName>(
    caller: Arc<Principal>,
    method: &str,
    request_id: &str,
    message: &impl Message,
    name: &str,
    (field, why): (&str, &str),
) -> Result<(Call, N, String), Refusal> {
    caller.permit_platform()?;
    let name = call::name(&caller, "name", name)?;
    let call = call::write(caller, method, request_id, message, false)?;
    let why = text(why, 1..=500).map_err(|rule| Refusal::field(field, rule))?;
    Ok((call, name, why))
}

/// A text of 1 to `most` code points in one field, and the proof in another.
pub fn papers(
    check: &mut Check,
    (field, written, most): (&str, &str, usize),
    (evidence_field, addresses): (&str, &[String]),
) -> Option<Papers> {
    let written = check.field(field, text(written, 1..=most));
    let evidence = evidence(check, evidence_field, addresses);
    Some(Papers {
        text: written?,
        evidence: evidence?,
    })
}

/// In the caller's order; `None` where one is wrong.
pub fn evidence(check: &mut Check, field: &str, addresses: &[String]) -> Option<Vec<String>> {
    if addresses.len() > MAX_EVIDENCE {
        check.violation(field, format!("must be at most {MAX_EVIDENCE}"));
        return None;
    }
    let read = |(i, address): (usize, &String)| {
        check.field(format!("{field}[{i}]"), text(address, 1..=500))
    };
    addresses.iter().enumerate().map(read).collect()
}

/// In the caller's order, each once; `None` where one is wrong.
pub fn item_ids(check: &mut Check, field: &str, ids: Vec<String>) -> Option<Vec<String>> {
    if ids.len() > MAX_ITEMS {
        check.violation(field, format!("must be at most {MAX_ITEMS}"));
        return None;
    }
    for (i, id) in ids.iter().enumerate() {
        if !is_foreign_id(id) || ids[..i].contains(id) {
            let rule = "must be 1 to 64 of [0-9A-Za-z_-], and not stand twice";
            check.violation(format!("{field}[{i}]"), rule);
            // A long list of wrong ids is one mistake.
            return None;
        }
    }
    Some(ids)
}
