//! The contract holds together: its registry, its comments, and what errors carry.

use std::{collections::BTreeSet, sync::LazyLock};

use mingpian::{
    api::{pb, status},
    domain::Reason,
};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use tonic::Code;
use tonic_types::StatusExt;

use super::{
    Api, refused,
    rpc::{comment, files, methods},
};
use crate::support::{self, Engine, create_card, in_menu};

/// What the registry says of a reason in brackets.
pub struct Entry {
    code: String,
    pub keys: Vec<String>,
}

/// Field numbers within descriptors, as in paths of source locations.
mod at {
    pub const MESSAGES: i32 = 4;
    pub const ENUMS: i32 = 5;
    pub const SERVICES: i32 = 6;
    pub const FIELDS: i32 = 2;
    pub const NESTED: i32 = 3;
    pub const NESTED_ENUMS: i32 = 4;
    pub const ONEOFS: i32 = 8;
    pub const VALUES: i32 = 2;
    pub const METHODS: i32 = 2;
}

static REGISTRY: LazyLock<Vec<(String, Entry)>> = LazyLock::new(read_registry);

fn read_registry() -> Vec<(String, Entry)> {
    let files = files();
    let file = files
        .iter()
        .find(|f| f.name().ends_with("error_reason.proto"));
    let file = file.unwrap();
    let values = (0..).zip(&file.enum_type[0].value).skip(1);
    values
        .map(|(i, value)| {
            let text = comment(file, &[at::ENUMS, 0, at::VALUES, i]);
            let inside = text.strip_prefix('[').and_then(|t| t.split(']').next());
            let inside = inside.unwrap_or_else(|| panic!("{}: no brackets", value.name()));
            let (code, keys) = inside.split_once("; ").unwrap_or((inside, ""));
            let keys = keys.split(", ").filter(|k| !k.is_empty());
            let entry = Entry {
                code: code.to_owned(),
                keys: keys.map(ToOwned::to_owned).collect(),
            };
            (value.name().to_owned(), entry)
        })
        .collect()
}

/// The registry's entry of a reason.
#[track_caller]
pub fn entry(word: &str) -> &'static Entry {
    let found = REGISTRY.iter().find(|(name, _)| name == word);
    &found
        .unwrap_or_else(|| panic!("{word} is not in the registry"))
        .1
}

#[test]
fn the_registry_and_the_domain_have_the_same_reasons() {
    let domain: Vec<_> = Reason::ALL.iter().map(|r| r.as_str().to_owned()).collect();
    let contract: Vec<_> = REGISTRY.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(domain, contract);
    for reason in Reason::ALL {
        assert!(pb::ErrorReason::from_str_name(reason.as_str()).is_some());
    }
}

#[test]
fn the_codes_in_the_registry_are_those_that_travel() {
    for reason in Reason::ALL {
        let code = &entry(reason.as_str()).code;
        if code == "absence only" {
            assert_eq!(*reason, Reason::HeldOut);
            continue;
        }
        // `FailedPrecondition` reads `FAILED_PRECONDITION`.
        let mut travels = String::new();
        for c in format!("{:?}", status::code(*reason)).chars() {
            if c.is_uppercase() && !travels.is_empty() {
                travels.push('_');
            }
            travels.extend(c.to_uppercase());
        }
        assert_eq!(*code, travels, "{reason}");
    }
}

#[test]
fn codes_follow_from_the_form_of_a_reason() {
    let link_unavailable = "LINK_UNAVAILABLE";
    for reason in Reason::ALL {
        let word = reason.as_str();
        let code = match word {
            _ if word.ends_with("_NOT_FOUND") => Code::NotFound,
            _ if word.ends_with("_EXISTS") || word == "SLOT_TAKEN" => Code::AlreadyExists,
            _ if word.starts_with("CREDENTIALS_") => Code::Unauthenticated,
            _ if word == link_unavailable => Code::FailedPrecondition,
            _ if word.ends_with("_UNAVAILABLE") || word == "OVERLOADED" => Code::Unavailable,
            "TOKEN_MALFORMED" | "TOKEN_FORGED" => Code::InvalidArgument,
            _ if word.ends_with("_INVALID") || word.ends_with("_REUSED") => Code::InvalidArgument,
            "ETAG_MISMATCH" | "TRANSACTION_CONFLICT" => Code::Aborted,
            "TOKEN_EXPIRED" | "TOKEN_REVOKED" => Code::FailedPrecondition,
            "RATE_LIMITED" | "QUOTA_EXHAUSTED" => Code::ResourceExhausted,
            _ => continue,
        };
        assert_eq!(status::code(*reason), code, "{word}");
    }
}

#[test]
fn everything_in_the_contract_has_a_comment() {
    let mut seen = 0;
    let mut bare = Vec::new();
    for file in files() {
        let mut need = |path: &[i32], name: String| {
            seen += 1;
            if comment(&file, path).is_empty() {
                bare.push(name);
            }
        };
        for (i, service) in (0..).zip(&file.service) {
            need(&[at::SERVICES, i], service.name().into());
            for (j, method) in (0..).zip(&service.method) {
                need(&[at::SERVICES, i, at::METHODS, j], method.name().into());
            }
        }
        for (i, message) in (0..).zip(&file.message_type) {
            message_comments(message, &[at::MESSAGES, i], &mut need);
        }
        for (i, r#enum) in (0..).zip(&file.enum_type) {
            enum_comments(r#enum, &[at::ENUMS, i], &mut need);
        }
    }
    assert_eq!(bare, Vec::<String>::new());
    assert!(seen > 300, "only {seen} things were looked at");
}

fn message_comments(
    message: &DescriptorProto,
    path: &[i32],
    need: &mut impl FnMut(&[i32], String),
) {
    need(path, message.name().into());
    let of = |kind, i| [path, &[kind, i]].concat();
    let within = |name: &str| format!("{}.{name}", message.name());
    for (i, field) in (0..).zip(&message.field) {
        need(&of(at::FIELDS, i), within(field.name()));
    }
    // What the compiler adds for a map or an optional field has no words of its own.
    let optional: BTreeSet<_> = message
        .field
        .iter()
        .filter(|field| field.proto3_optional())
        .map(|field| field.oneof_index())
        .collect();
    for (i, oneof) in (0..).zip(&message.oneof_decl) {
        if optional.contains(&i) {
            continue;
        }
        need(&of(at::ONEOFS, i), within(oneof.name()));
    }
    for (i, nested) in (0..).zip(&message.nested_type) {
        if nested
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry())
        {
            continue;
        }
        message_comments(nested, &of(at::NESTED, i), need);
    }
    for (i, nested) in (0..).zip(&message.enum_type) {
        enum_comments(nested, &of(at::NESTED_ENUMS, i), need);
    }
}

fn enum_comments(
    r#enum: &EnumDescriptorProto,
    path: &[i32],
    need: &mut impl FnMut(&[i32], String),
) {
    need(path, r#enum.name().into());
    for (i, value) in (0..).zip(&r#enum.value) {
        let path = [path, &[at::VALUES, i]].concat();
        need(&path, format!("{}.{}", r#enum.name(), value.name()));
    }
}

#[test]
fn a_method_names_no_reason_that_is_not_in_the_registry() {
    let words: BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    let named = |file: &FileDescriptorProto| {
        let mut named = Vec::new();
        for (i, service) in (0..).zip(&file.service) {
            for j in (0..).take(service.method.len()) {
                let text = comment(file, &[at::SERVICES, i, at::METHODS, j]);
                let quoted = text.split('`').skip(1).step_by(2).map(ToOwned::to_owned);
                named.extend(quoted.filter(|w| w.contains('_') && *w == w.to_uppercase()));
            }
        }
        named
    };
    let named: Vec<String> = files().iter().flat_map(named).collect();
    assert!(named.len() > 40, "{named:?}");
    for word in named {
        assert!(words.contains(word.as_str()), "{word}");
    }
}

/// What follows from a method's request.
#[test]
fn a_method_names_the_reasons_that_its_request_brings() {
    let etag = ["etag", "card", "placement", "program"];
    for method in methods() {
        let must = |when: bool, word: &str| {
            let says = method.comment.contains(&format!("`{word}`"));
            assert!(says || !when, "{} does not name {word}", method.name);
        };
        let writes = method.has("request_id");
        must(!method.asks_nothing(), "FIELD_INVALID");
        must(writes, "REQUEST_ID_REUSED");
        must(
            writes || method.name.ends_with("RevealContact"),
            "TRANSACTION_CONFLICT",
        );
        must(method.has("page_token"), "PAGE_TOKEN_INVALID");
        let changes = !method.name.contains(".Create") && !method.name.contains(".Send");
        let versioned = etag.iter().any(|field| method.has(field));
        must(writes && changes && versioned, "ETAG_MISMATCH");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_carry_the_details_that_fit() {
    let mut api = Api::start_with(Engine::Sqlite, "[cards]\nper_merchant = 1\n").await;
    let missing = api.get("main").await;
    let missing = refused(missing, Code::NotFound, "CARD_NOT_FOUND");
    let resource = missing.get_details_resource_info().unwrap();
    assert_eq!(resource.resource_type, "mingpian/Card");
    assert_eq!(resource.resource_name, "merchants/klook/cards/main");

    api.create("main").await.unwrap();
    let full = api.create("second").await;
    let full = refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    let quota = full.get_details_quota_failure().unwrap().violations;
    assert_eq!(quota[0].subject, "merchants/klook");
    assert!(quota[0].description.contains("1 cards"));
    let metadata = full.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata["limit"], "1");

    api.delete("main").await.unwrap();
    let gate = api.place("p", in_menu(1)).await;
    let gate = refused(gate, Code::FailedPrecondition, "CARD_NOT_ACTIVE");
    let failure = gate.get_details_precondition_failure().unwrap().violations;
    assert_eq!(failure[0].r#type, "CARD_NOT_ACTIVE");
    assert_eq!(failure[0].subject, "merchants/klook/cards/main");
}

#[test]
fn a_caller_is_told_when_to_come_again() {
    for reason in Reason::ALL {
        let refusal = mingpian::domain::Refusal::new(*reason, "no");
        let told = status::refusal(&refusal);
        let retry = told.get_details_retry_info().is_some();
        assert_eq!(retry, told.code() == Code::Unavailable, "{reason}");
    }
}

/// h2 peers refuse long trailers: the status, its details in base64 among them.
const MOST: usize = 8 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn the_worst_requests_have_short_errors() {
    let mut api = Api::start(Engine::Sqlite).await;
    let notes = pb::BatchGetNoteCapsulesRequest {
        notes: vec!["名".repeat(80); 200],
        viewer: None,
    };
    let mut told = vec![
        api.serving
            .batch_get_note_capsules(notes)
            .await
            .unwrap_err(),
    ];
    let garbage = "名\u{202E}\0\n".repeat(7_000);
    told.push(api.get(&garbage).await.unwrap_err());
    told.push(api.tap(&garbage).await.unwrap_err());
    let mut card = create_card("klook", &garbage[..20_000]);
    card.card.as_mut().unwrap().display_name = garbage[..16_000].to_owned();
    card.card.as_mut().unwrap().contacts = vec![support::phone(&garbage[..1_600]); 15];
    told.push(api.cards.create_card(card).await.unwrap_err());
    for status in told {
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        // Percent-encoding makes three of each byte that is not ASCII.
        let size = status.details().len() * 4 / 3 + status.message().len() * 3;
        assert!(size < MOST, "{size} bytes");
        assert!(!support::reason(&status).is_empty());
    }
}
