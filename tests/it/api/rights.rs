//! Who may call what: every RPC of the contract, with every kind of caller.

use std::fs;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use mingpian::{api::pb, app::Scope};
use prost::Message;
use secrecy::ExposeSecret;
use serde_json::json;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use super::{
    Api,
    cases::{self, Names, request, stage},
    rpc::{Method, methods},
};
use crate::support::{Engine, Scratch, TestServer, create_card, on_note, place, reason, refused};

/// A server that asks for tokens, and whoever makes them.
struct Guarded {
    /// Calls with every right.
    api: Api,
    channel: Channel,
    issuer: EncodingKey,
}

const EVERY: &str = "cards.read cards.write contacts.reveal serving.read links.write \
                     compliance.read programs.read programs.write spend.write eligibility.read \
                     wecom.write measurement.read measurement.write compliance.screen \
                     compliance.write";

impl Guarded {
    async fn start() -> (Self, Names) {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&aws_lc_rs::rand::SystemRandom::new());
        let pkcs8 = pkcs8.unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.as_ref()).unwrap();
        let public = B64.encode(pair.public_key().as_ref());
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": public});

        let scratch = Scratch::new(Engine::Sqlite).await;
        // The fixtures are made before anybody has to show a token.
        let open = scratch.settings("");
        let mut api = Api::on(TestServer::on(scratch, &open).await).await;
        let names = stage(&mut api, "klook").await;
        let scratch = api.server.end().await;

        let keys = scratch.file("jwks.json");
        fs::write(&keys, json!({ "keys": [jwk] }).to_string()).unwrap();
        let settings = scratch.settings(&format!(
            "[auth]\nmode = \"jwt\"\nissuer = \"https://id.example.com\"\n\
             audience = \"mingpian\"\njwks_file = \"{}\"\n",
            keys.display()
        ));
        let api = Api::on(TestServer::on(scratch, &settings).await).await;
        let guarded = Self {
            channel: api.server.channel().await,
            api,
            issuer: EncodingKey::from_ed_der(pkcs8.as_ref()),
        };
        (guarded, names)
    }

    /// A token with these claims on top; it lives for 10 minutes.
    fn token(&self, changes: serde_json::Value) -> String {
        let mut claims = json!({
            "iss": "https://id.example.com", "aud": "mingpian", "sub": "test",
            "exp": self.api.server.clock.now().seconds() + 600, "scope": EVERY,
        });
        for (key, value) in changes.as_object().unwrap() {
            claims[key] = value.clone();
        }
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("k1".into());
        encode(&header, &claims, &self.issuer).unwrap()
    }

    async fn call(
        &self,
        method: &Method,
        names: &Names,
        token: Option<&str>,
    ) -> Result<Vec<u8>, Status> {
        let request = request(&method.name, names);
        method.call(&self.channel, &request, token).await
    }
}

/// Everything that a caller can see of a refusal.
fn seen(status: &Status) -> (Code, String, Vec<u8>) {
    let details = status.details().to_vec();
    (status.code(), status.message().to_owned(), details)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rpc_answers_without_a_token() {
    let (guarded, names) = Guarded::start().await;
    let expired = guarded.token(json!({"exp": guarded.api.server.clock.now().seconds() - 120}));
    let stranger = guarded.token(json!({"iss": "https://evil.example.com"}));
    let forged = format!("{}A", guarded.token(json!({})));
    for method in methods() {
        let answer = guarded.call(&method, &names, None).await;
        refused(answer, Code::Unauthenticated, "CREDENTIALS_MISSING");
        for bad in [&expired, &stranger, &forged, "x"] {
            let answer = guarded.call(&method, &names, Some(bad)).await;
            refused(answer, Code::Unauthenticated, "CREDENTIALS_INVALID");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_passes_until_it_expires() {
    let (guarded, names) = Guarded::start().await;
    let method = methods().into_iter().find(|m| m.name.ends_with("GetCard"));
    let method = method.unwrap();
    let token = guarded.token(json!({}));
    guarded.call(&method, &names, Some(&token)).await.unwrap();
    // 10 minutes, and one for clocks that differ.
    guarded.api.advance(std::time::Duration::from_secs(661));
    let late = guarded.call(&method, &names, Some(&token)).await;
    refused(late, Code::Unauthenticated, "CREDENTIALS_INVALID");
}

/// The scope that the contract's comment names is the one that is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn every_rpc_asks_for_its_scope() {
    let (guarded, names) = Guarded::start().await;
    let words = Scope::ALL.iter().map(|s| s.as_str());
    let words: Vec<_> = words.collect();
    for method in methods() {
        assert!(words.contains(&&*method.scope), "{}", method.name);
        let others = words.iter().filter(|w| **w != method.scope);
        let others: Vec<_> = others.collect();
        let token = guarded.token(json!({ "scope": others }));
        for names in [&names, &names.absent()] {
            let answer = guarded.call(&method, names, Some(&token)).await;
            let status = refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
            let metadata = status.get_details_error_info().unwrap().metadata;
            assert_eq!(metadata["scope"], method.scope, "{}", method.name);
        }
    }
}

/// Reads first, and what ends a thing last, so that each finds it there.
fn gently() -> Vec<Method> {
    let mut methods = methods();
    // One experiment runs at a time, so another one begins after the first has stopped.
    let ends = ["Delete", "Revoke", "Pause", "End", "CreateExperiment"];
    methods.sort_by_key(|m| ends.iter().any(|end| m.name.contains(end)));
    methods
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_scope_and_merchant_pass() {
    let (guarded, names) = Guarded::start().await;
    for method in gently() {
        let mut claims = json!({"scope": method.scope, "merchants": ["else", "klook"]});
        if platforms(&method) {
            claims.as_object_mut().unwrap().remove("merchants");
        }
        let token = guarded.token(claims);
        let answer = guarded.call(&method, &names, Some(&token)).await;
        assert!(answer.is_ok(), "{}: {answer:?}", method.name);
    }
}

/// What a caller limited to some merchants may read of the platform's.
const PUBLIC: &[&str] = &[
    "ProgramService.GetProgram",
    "ProgramService.ListPrograms",
    "MeasurementService.ListMetrics",
];

/// What the platform alone does about violations and sanctions.
const COMPLIANCE: &[&str] = &[
    "ComplianceService.ReportViolation",
    "ComplianceService.ConfirmViolation",
    "ComplianceService.DismissViolation",
    "ComplianceService.CreateSanction",
    "ComplianceService.LiftSanction",
    "ComplianceService.WatchSanctions",
    "ComplianceService.UpholdAppeal",
    "ComplianceService.RejectAppeal",
];

/// What no caller that is limited to some merchants may do, whichever they are.
fn platforms(method: &Method) -> bool {
    let whole_rpcs = ["ImportSpend", "CompleteSpendDay", "GetProgramReport"];
    let named = whole_rpcs.iter().any(|rpc| method.name.ends_with(rpc));
    let whole = ["ProgramService.", "WecomService."];
    let platforms = whole.iter().any(|service| method.name.starts_with(service));
    let merchants = [PUBLIC, &["WecomService.ListContactEvents"]].concat();
    let compliance = COMPLIANCE.contains(&&*method.name);
    named || compliance || platforms && !merchants.contains(&&*method.name)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_the_platforms_is_not_for_who_is_limited_to_some_merchants() {
    let (guarded, names) = Guarded::start().await;
    for merchants in [json!(["klook"]), json!([])] {
        let token = guarded.token(json!({ "merchants": merchants }));
        for method in methods().iter().filter(|m| platforms(m)) {
            let existing = guarded.call(method, &names, Some(&token)).await;
            let existing = refused(existing, Code::PermissionDenied, "PERMISSION_DENIED");
            let absent = guarded.call(method, &names.absent(), Some(&token)).await;
            let absent = absent.unwrap_err();
            assert_eq!(seen(&existing), seen(&absent), "{}", method.name);
            // Before the shape.
            let shapeless = method.call(&guarded.channel, &[], Some(&token)).await;
            assert_eq!(seen(&existing), seen(&shapeless.unwrap_err()));
        }
        for method in methods().iter().filter(|m| PUBLIC.contains(&&*m.name)) {
            guarded.call(method, &names, Some(&token)).await.unwrap();
        }
    }
}

/// These name no merchant: what is another's is like what is not there.
const SILENT: &[&str] = &[
    "ServingService.BatchGetNoteCapsules",
    "LinkService.VerifyProvenance",
];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_another_merchants_answers_the_same_whether_it_exists() {
    let (guarded, names) = Guarded::start().await;
    // An empty list is no merchant, not every merchant.
    for merchants in [json!(["other"]), json!([])] {
        let token = guarded.token(json!({ "merchants": merchants }));
        let mut denied = 0;
        for method in methods() {
            if [SILENT, PUBLIC].concat().contains(&&*method.name) {
                continue;
            }
            let existing = guarded.call(&method, &names, Some(&token)).await;
            let existing = refused(existing, Code::PermissionDenied, "PERMISSION_DENIED");
            let absent = guarded.call(&method, &names.absent(), Some(&token)).await;
            let absent = absent.unwrap_err();
            assert_eq!(seen(&existing), seen(&absent), "{}", method.name);
            denied += 1;
        }
        assert!(denied >= 22);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_no_merchant_shows_nothing_of_others() {
    let (guarded, names) = Guarded::start().await;
    let every = guarded.token(json!({}));
    for merchants in [json!(["other"]), json!([])] {
        let limited = guarded.token(json!({ "merchants": merchants }));
        for method in methods() {
            if !SILENT.contains(&&*method.name) {
                continue;
            }
            let all = guarded.call(&method, &names, Some(&every)).await.unwrap();
            let others = guarded.call(&method, &names, Some(&limited)).await.unwrap();
            if method.name.ends_with("Provenance") {
                let all = pb::VerifyProvenanceResponse::decode(&*all).unwrap();
                assert_eq!(all.placement, names.live);
                let others = pb::VerifyProvenanceResponse::decode(&*others).unwrap();
                let none = pb::VerifyProvenanceResponse {
                    verdict: pb::verify_provenance_response::Verdict::None.into(),
                    ..Default::default()
                };
                assert_eq!(others, none);
                continue;
            }
            use pb::note_capsule_result::Outcome;
            let outcome = |bytes: &[u8]| {
                let answer = pb::BatchGetNoteCapsulesResponse::decode(bytes).unwrap();
                answer.results.into_iter().next().unwrap().outcome.unwrap()
            };
            assert!(matches!(outcome(&all), Outcome::Item(_)));
            let absent = guarded.call(&method, &names.absent(), Some(&limited)).await;
            assert!(matches!(outcome(&others), Outcome::Absence(_)));
            assert_eq!(outcome(&others), outcome(&absent.unwrap()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_caller_cannot_tell_anothers_token_from_a_forged_one() {
    use pb::verify_provenance_request::Evidence;
    use pb::verify_provenance_response::Verdict::{Forged, None, Official};
    let (guarded, names) = Guarded::start().await;
    let method = methods()
        .into_iter()
        .find(|m| m.name.ends_with("Provenance"));
    let method = method.unwrap();
    let every = guarded.token(json!({}));
    let (mine, others) = (json!(["klook"]), json!(["other"]));
    let mine = guarded.token(json!({ "merchants": mine }));
    let others = guarded.token(json!({ "merchants": others }));
    let forged = "A".repeat(64);
    let door = &guarded.api.server.app.rules.public_url;
    let text = |token: &str| format!("{door}/t/{token}");
    for (evidence, verdicts) in [
        (
            Evidence::Token(names.token.clone()),
            [Official, Official, None],
        ),
        (
            Evidence::Text(text(&names.token)),
            [Official, Official, None],
        ),
        (Evidence::Token(forged.clone()), [Forged, None, None]),
        (Evidence::Text(text(&forged)), [Forged, None, None]),
    ] {
        let request = pb::VerifyProvenanceRequest {
            evidence: Some(evidence),
            at: Option::None,
        };
        let request = request.encode_to_vec();
        for (token, verdict) in [&every, &mine, &others].into_iter().zip(verdicts) {
            let answer = method.call(&guarded.channel, &request, Some(token)).await;
            let answer = pb::VerifyProvenanceResponse::decode(&*answer.unwrap()).unwrap();
            assert_eq!(answer.verdict(), verdict);
            if verdict == None {
                let nothing = pb::VerifyProvenanceResponse {
                    verdict: None.into(),
                    ..Default::default()
                };
                assert_eq!(answer, nothing);
            }
        }
    }
}

/// A call of `CreatePlacement` or `ResumePlacement` as the merchant itself.
async fn as_merchant(guarded: &Guarded, rpc: &str, request: &[u8]) -> Result<Vec<u8>, Status> {
    let token = guarded.token(json!({"merchants": ["klook"]}));
    let method = methods().into_iter().find(|m| m.name.ends_with(rpc));
    let method = method.unwrap();
    method.call(&guarded.channel, request, Some(&token)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_does_not_vouch_for_its_own_notes() {
    let (guarded, names) = Guarded::start().await;
    for note in ["free", "of-klook", "not a note"] {
        let request = place("klook", "main", "new", on_note(note)).encode_to_vec();
        let answer = as_merchant(&guarded, "CreatePlacement", &request).await;
        refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
    }
    let menu = request("PlacementService.CreatePlacement", &names);
    as_merchant(&guarded, "CreatePlacement", &menu)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_merchants_placement_is_not_named_to_who_wants_its_slot() {
    let (guarded, _) = Guarded::start().await;
    let every = guarded.token(json!({}));
    let by_platform = async |rpc: &str, request: Vec<u8>| {
        let method = methods().into_iter().find(|m| m.name.ends_with(rpc));
        let method = method.unwrap();
        method.call(&guarded.channel, &request, Some(&every)).await
    };
    let name = "merchants/klook/placements/note".to_owned();
    let pause = pb::PausePlacementRequest {
        name: name.clone(),
        ..Default::default()
    };
    by_platform("PausePlacement", pause.encode_to_vec())
        .await
        .unwrap();
    let card = create_card("other", "main").encode_to_vec();
    by_platform("CreateCard", card).await.unwrap();
    let theirs = place("other", "main", "secret", on_note("of-klook")).encode_to_vec();
    by_platform("CreatePlacement", theirs).await.unwrap();

    let resume = pb::ResumePlacementRequest {
        name,
        ..Default::default()
    };
    let resume = resume.encode_to_vec();
    let told =
        |status: Status| status.get_details_error_info().unwrap().metadata["placement"].clone();
    let platform = by_platform("ResumePlacement", resume.clone()).await;
    let platform = refused(platform, Code::AlreadyExists, "SLOT_TAKEN");
    assert_eq!(told(platform), "merchants/other/placements/secret");
    let merchant = as_merchant(&guarded, "ResumePlacement", &resume).await;
    // It cannot vouch for itself, so it does not even learn that the note is taken.
    let merchant = refused(merchant, Code::PermissionDenied, "PERMISSION_DENIED");
    assert!(!format!("{merchant:?}").contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_the_callers_own() {
    let (guarded, names) = Guarded::start().await;
    let method = methods().into_iter().find(|m| m.name.ends_with("SendCard"));
    let method = method.unwrap();
    let id = "00000000-0000-4000-8000-000000000001";
    let first = method.with_request_id(&request(&method.name, &names), id);
    let call = async |subject: &str, scope: &str| {
        let token = guarded.token(json!({"sub": subject, "scope": scope}));
        method.call(&guarded.channel, &first, Some(&token)).await
    };
    let mine = call("one", EVERY).await.unwrap();
    assert_eq!(call("one", EVERY).await.unwrap(), mine);
    assert_ne!(call("two", EVERY).await.unwrap(), mine);
    // Who lost the right has lost the answers too.
    let answer = call("one", "cards.read").await.unwrap_err();
    assert_eq!(reason(&answer), "PERMISSION_DENIED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reveal_leaves_one_audit_row_and_a_refused_one_none() {
    let (guarded, names) = Guarded::start().await;
    let method = methods()
        .into_iter()
        .find(|m| m.name.ends_with("RevealContact"));
    let method = method.unwrap();
    let store = &guarded.api.server.app.store;
    let rows = async || store.reads().audit_of(&names.card).await.unwrap();
    let reveal = async |kind: pb::contact::Kind, claims| {
        let request = pb::RevealContactRequest {
            name: names.card.clone(),
            kind: kind.into(),
            purpose: "complaint 7".into(),
        };
        let token = guarded.token(claims);
        method
            .call(&guarded.channel, &request.encode_to_vec(), Some(&token))
            .await
    };
    use pb::contact::Kind::{Phone, Unspecified};
    reveal(Phone, json!({"scope": "cards.write"}))
        .await
        .unwrap_err();
    reveal(Phone, json!({"merchants": ["other"]}))
        .await
        .unwrap_err();
    reveal(Unspecified, json!({})).await.unwrap_err();
    assert_eq!(rows().await, []);

    let claims = json!({"sub": "clerk", "scope": "contacts.reveal"});
    let revealed = reveal(Phone, claims).await.unwrap();
    let revealed = pb::RevealContactResponse::decode(&*revealed).unwrap();
    assert_eq!(revealed.value, "+8613800138000");
    let rows = rows().await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (rows[0].actor.as_str(), &*rows[0].action),
        ("clerk", "RevealContact")
    );
    assert_eq!(rows[0].resource, names.card);
    // The purpose may name a person: it is sealed for its row, and opens.
    let (kind, purpose) = rows[0].detail.split_once(" purpose=").unwrap();
    assert_eq!(kind, "kind=PHONE");
    let keys = &guarded.api.server.app.keys;
    let place = format!("audit/{}", names.card);
    let purpose = keys.open_text(&place, purpose).unwrap();
    assert_eq!(purpose.expose_secret(), "complaint 7");
    assert!(!format!("{rows:?}").contains("13800138000"));
    assert_eq!(store.reads().audit_of(&names.gone).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_of_all_merchants_are_the_platforms() {
    let (guarded, _) = Guarded::start().await;
    for rpc in [
        "ComplianceService.ListSanctions",
        "ComplianceService.ListAppeals",
    ] {
        let method = methods().into_iter().find(|m| m.name == rpc).unwrap();
        let all = pb::ListAppealsRequest {
            parent: "merchants/-".into(),
            ..Default::default()
        };
        let all = all.encode_to_vec();
        let every = guarded.token(json!({}));
        let listed = method.call(&guarded.channel, &all, Some(&every)).await;
        assert!(listed.unwrap().len() > 100, "{rpc}");
        for merchants in [json!(["klook"]), json!([]), json!(["-"])] {
            let limited = guarded.token(json!({ "merchants": merchants }));
            let answer = method.call(&guarded.channel, &all, Some(&limited)).await;
            refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_tells_of_no_other() {
    let (guarded, _) = Guarded::start().await;
    let own = guarded.token(json!({"merchants": ["klook"]}));
    let every = guarded.token(json!({}));
    let ingest = async |token: &str, events: &[pb::Event]| {
        let name = "MeasurementService.IngestEvents";
        let method = methods().into_iter().find(|m| m.name == name).unwrap();
        let events = events.to_vec();
        let request = pb::IngestEventsRequest { events }.encode_to_vec();
        let answer = method.call(&guarded.channel, &request, Some(token)).await;
        answer.map(|bytes| pb::IngestEventsResponse::decode(&*bytes).unwrap())
    };
    let mine = cases::event("klook", "e-1");
    let others = cases::event("other", "e-1");
    let mut nobodys = others.clone();
    nobodys.merchant = "other".into();
    for batch in [
        &[mine.clone(), others.clone()][..],
        std::slice::from_ref(&others),
        // Before its size.
        &vec![others.clone(); 1001],
    ] {
        let answer = ingest(&own, batch).await;
        refused(answer, Code::PermissionDenied, "PERMISSION_DENIED");
    }
    // Nothing of it went in.
    let answer = ingest(&own, &[nobodys, mine.clone()]).await.unwrap();
    assert_eq!((answer.accepted, answer.rejected.len()), (1, 1));
    let answer = ingest(&every, &[mine, others]).await.unwrap();
    assert_eq!((answer.accepted, answer.duplicates), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_reads_neither_who_reported_it_nor_the_proof() {
    let (guarded, names) = Guarded::start().await;
    let (every, own) = (json!({}), json!({"merchants": ["klook"]}));
    let [every, own] = [every, own].map(|claims| guarded.token(claims));
    let ask = async |token: &str, rpc: &str, request: Vec<u8>| {
        let name = format!("ComplianceService.{rpc}");
        let method = methods().into_iter().find(|m| m.name == name).unwrap();
        method.call(&guarded.channel, &request, Some(token)).await
    };
    let set = pb::CreateSanctionRequest {
        parent: "merchants/klook".into(),
        sanction: Some(pb::Sanction {
            evidence: vec!["https://proof.example.com".into()],
            ..cases::sanction(pb::sanction::Kind::TrafficRestricted)
        }),
        sanction_id: "proven".into(),
        ..Default::default()
    };
    let set = ask(&every, "CreateSanction", set.encode_to_vec()).await;
    let set = pb::Sanction::decode(&*set.unwrap()).unwrap();
    let lift = pb::LiftSanctionRequest {
        name: set.name.clone(),
        reason: "x".into(),
        ..Default::default()
    };
    ask(&every, "LiftSanction", lift.encode_to_vec())
        .await
        .unwrap();

    let get = pb::GetViolationRequest {
        name: names.known_violation.clone(),
    };
    let get = get.encode_to_vec();
    let list = pb::ListViolationsRequest {
        parent: "merchants/klook".into(),
        ..Default::default()
    };
    let list = list.encode_to_vec();
    let get_sanction = pb::GetSanctionRequest { name: set.name };
    let account = pb::GetCreditAccountRequest {
        name: "merchants/klook/creditAccount".into(),
        ..Default::default()
    };
    let account = account.encode_to_vec();
    for (token, whole) in [(&every, true), (&own, false)] {
        let read = |text: &str| assert_eq!(text.is_empty(), !whole, "{text}");
        let got = ask(token, "GetViolation", get.clone()).await.unwrap();
        let got = pb::Violation::decode(&*got).unwrap();
        for text in [&got.reporter, &got.description, &got.decider] {
            read(text);
        }
        assert_eq!(got.decision, "属实");
        let listed = ask(token, "ListViolations", list.clone()).await.unwrap();
        let listed = pb::ListViolationsResponse::decode(&*listed).unwrap();
        let listed = listed.violations;
        assert_eq!(listed.len(), if whole { 3 } else { 1 });
        assert!(listed.contains(&got));

        let got = ask(token, "GetSanction", get_sanction.encode_to_vec()).await;
        let got = pb::Sanction::decode(&*got.unwrap()).unwrap();
        for text in [&got.author, &got.lifter, &got.evidence.concat()] {
            read(text);
        }
        let listed = ask(token, "ListSanctions", list.clone()).await.unwrap();
        let listed = pb::ListSanctionsResponse::decode(&*listed).unwrap();
        assert!(listed.sanctions.contains(&got));
        let account = ask(token, "GetCreditAccount", account.clone()).await;
        let account = pb::CreditAccount::decode(&*account.unwrap()).unwrap();
        read(&account.history[0].author);
        read(&account.sanctions[0].author);
    }

    // What is reported only is not there.
    let reported = |name: &str| {
        let get = pb::GetViolationRequest { name: name.into() };
        let appeal = pb::CreateAppealRequest {
            parent: "merchants/klook".into(),
            appeal: Some(pb::Appeal {
                subject: Some(pb::appeal::Subject::Violation(name.into())),
                ..cases::appeal("")
            }),
            ..Default::default()
        };
        [
            ("GetViolation", get.encode_to_vec()),
            ("CreateAppeal", appeal.encode_to_vec()),
        ]
    };
    let absent = names.absent().violation;
    for (there, absent) in reported(&names.violation)
        .into_iter()
        .zip(reported(&absent))
    {
        let there = ask(&own, there.0, there.1).await;
        let there = refused(there, Code::NotFound, "VIOLATION_NOT_FOUND");
        let absent = ask(&own, absent.0, absent.1).await.unwrap_err();
        assert_eq!(there.message(), absent.message());
    }
    let reported = pb::ListViolationsRequest {
        parent: "merchants/klook".into(),
        state: pb::violation::State::Reported.into(),
        ..Default::default()
    };
    let listed = ask(&own, "ListViolations", reported.encode_to_vec()).await;
    assert_eq!(listed.unwrap(), Vec::<u8>::new());

    // Its own words it reads.
    let appeal = pb::GetAppealRequest { name: names.appeal };
    let appeal = ask(&own, "GetAppeal", appeal.encode_to_vec())
        .await
        .unwrap();
    let appeal = pb::Appeal::decode(&*appeal).unwrap();
    assert_eq!(appeal.statement, "不是我们发的");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_learns_neither_of_a_report_by_its_sanction_nor_who_decided_its_appeal() {
    let (guarded, names) = Guarded::start().await;
    let (every, own) = (json!({}), json!({"merchants": ["klook"]}));
    let [every, own] = [every, own].map(|claims| guarded.token(claims));
    let ask = async |token: &str, rpc: &str, request: Vec<u8>| {
        let name = format!("ComplianceService.{rpc}");
        let method = methods().into_iter().find(|m| m.name == name).unwrap();
        let answer = method.call(&guarded.channel, &request, Some(token)).await;
        answer.unwrap()
    };
    let set = pb::CreateSanctionRequest {
        parent: "merchants/klook".into(),
        sanction: Some(pb::Sanction {
            violation: names.violation.clone(),
            ..cases::sanction(pb::sanction::Kind::TrafficRestricted)
        }),
        sanction_id: "follows".into(),
        ..Default::default()
    };
    let set = ask(&every, "CreateSanction", set.encode_to_vec()).await;
    let name = pb::Sanction::decode(&*set).unwrap().name;
    let of = async |token: &str| {
        let get = pb::GetSanctionRequest { name: name.clone() };
        let got = ask(token, "GetSanction", get.encode_to_vec()).await;
        let list = pb::ListSanctionsRequest {
            parent: "merchants/klook".into(),
            ..Default::default()
        };
        let listed = ask(token, "ListSanctions", list.encode_to_vec()).await;
        let account = pb::GetCreditAccountRequest {
            name: "merchants/klook/creditAccount".into(),
            ..Default::default()
        };
        let account = ask(token, "GetCreditAccount", account.encode_to_vec()).await;
        let mut all = vec![pb::Sanction::decode(&*got).unwrap()];
        all.extend(
            pb::ListSanctionsResponse::decode(&*listed)
                .unwrap()
                .sanctions,
        );
        all.extend(pb::CreditAccount::decode(&*account).unwrap().sanctions);
        all.retain(|sanction| sanction.name == name);
        all.into_iter().map(|s| s.violation).collect::<Vec<_>>()
    };
    assert_eq!(of(&every).await, vec![names.violation.clone(); 3]);
    assert_eq!(of(&own).await, ["", "", ""]);
    let confirm = pb::ConfirmViolationRequest {
        name: names.violation.clone(),
        decision: "属实".into(),
        ..Default::default()
    };
    ask(&every, "ConfirmViolation", confirm.encode_to_vec()).await;
    assert_eq!(of(&own).await, vec![names.violation.clone(); 3]);

    let reject = pb::RejectAppealRequest {
        name: names.appeal.clone(),
        decision: "申诉不成立".into(),
        ..Default::default()
    };
    ask(&every, "RejectAppeal", reject.encode_to_vec()).await;
    for (token, decider) in [(&every, "test"), (&own, "")] {
        let get = pb::GetAppealRequest {
            name: names.appeal.clone(),
        };
        let got = ask(token, "GetAppeal", get.encode_to_vec()).await;
        let got = pb::Appeal::decode(&*got).unwrap();
        assert_eq!((&*got.decider, &*got.decision), (decider, "申诉不成立"));
        let list = pb::ListAppealsRequest {
            parent: "merchants/klook".into(),
            ..Default::default()
        };
        let listed = ask(token, "ListAppeals", list.encode_to_vec()).await;
        let listed = pb::ListAppealsResponse::decode(&*listed).unwrap();
        assert!(listed.appeals.contains(&got));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_token() {
    let (guarded, names) = Guarded::start().await;
    let clock = guarded.api.server.clock.clone();
    let watch = async |exp: i64| {
        let mut client = guarded.api.compliance.clone();
        let mut request = tonic::Request::new(pb::WatchSanctionsRequest::default());
        let bearer = format!("Bearer {}", guarded.token(json!({ "exp": exp })));
        let bearer = bearer.parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut stream = client.watch_sanctions(request).await.unwrap().into_inner();
        let first = stream.message().await.unwrap().unwrap();
        assert!(!first.changes.is_empty());
        stream
    };
    // Nothing happens until the minute for clocks that differ is over, too.
    let mut idle = watch(clock.now().seconds() - 57).await;
    let ended = async {
        while idle.message().await?.is_some() {}
        Ok::<_, Status>(())
    };
    let ended = tokio::time::timeout(std::time::Duration::from_secs(10), ended).await;
    refused(ended.unwrap(), Code::Unauthenticated, "CREDENTIALS_INVALID");

    // What happens after that is not told.
    let mut busy = watch(clock.now().seconds() + 600).await;
    clock.advance(std::time::Duration::from_secs(661));
    let set = methods()
        .into_iter()
        .find(|m| m.name.ends_with("CreateSanction"));
    let set = set.unwrap();
    guarded
        .call(&set, &names, Some(&guarded.token(json!({}))))
        .await
        .unwrap();
    let told = busy.message().await;
    refused(told, Code::Unauthenticated, "CREDENTIALS_INVALID");
}
