//! Corps: who may use WeCom through which company, and secrets that nobody reads back.

use mingpian::api::pb;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{Api, malformed, mask, refused};
use crate::{
    on_both_engines,
    support::{AES_KEY, APP_SECRET, CALLBACK_TOKEN, CORP_ID, Engine, corp, create_corp},
};

on_both_engines!(
    a_corp_reads_back_as_written_without_its_secrets,
    secrets_are_sealed_wherever_they_are_kept,
    corps_are_listed_by_id_in_pages,
    a_page_that_would_be_too_large_ends_before,
    the_limit_counts_corps_that_are_not_deleted,
);

impl Api {
    async fn create_corp(&mut self, id: &str) -> Result<pb::Corp, Status> {
        let made = self.wecom.create_corp(create_corp(id)).await;
        made.map(tonic::Response::into_inner)
    }

    async fn get_corp(&mut self, id: &str) -> Result<pb::Corp, Status> {
        let name = format!("corps/{id}");
        let found = self.wecom.get_corp(pb::GetCorpRequest { name }).await;
        found.map(tonic::Response::into_inner)
    }

    async fn update_corp(&mut self, corp: pb::Corp, paths: &[&str]) -> Result<pb::Corp, Status> {
        let request = pb::UpdateCorpRequest {
            corp: Some(corp),
            update_mask: mask(paths),
            ..Default::default()
        };
        let updated = self.wecom.update_corp(request).await;
        updated.map(tonic::Response::into_inner)
    }

    async fn delete_corp(&mut self, id: &str, etag: &str) -> Result<(), Status> {
        let request = pb::DeleteCorpRequest {
            name: format!("corps/{id}"),
            etag: etag.into(),
            ..Default::default()
        };
        self.wecom.delete_corp(request).await.map(|_| ())
    }
}

async fn a_corp_reads_back_as_written_without_its_secrets(engine: Engine) {
    let mut api = Api::start_with(engine, "public_url = \"https://m.example.com\"\n").await;
    let made = api.create_corp("klook").await.unwrap();
    assert_eq!(made, api.get_corp("klook").await.unwrap());
    let written = pb::Corp {
        name: "corps/klook".into(),
        callback_uri: "https://m.example.com/wecom/callback/klook".into(),
        app_secret: String::new(),
        callback_token: String::new(),
        encoding_aes_key: String::new(),
        etag: made.etag.clone(),
        create_time: made.create_time,
        update_time: made.create_time,
        ..corp()
    };
    assert_eq!(made, written);

    let change = pb::Corp {
        name: made.name.clone(),
        merchants: vec![
            "merchants/b".into(),
            "merchants/a".into(),
            "merchants/b".into(),
        ],
        callback_token: "next".into(),
        corp_id: CORP_ID.into(),
        etag: made.etag.clone(),
        ..Default::default()
    };
    let changed = api.update_corp(change.clone(), &[]).await.unwrap();
    assert_eq!(changed.merchants, ["merchants/b", "merchants/a"]);
    assert_eq!(changed.display_name, made.display_name);
    assert_ne!(changed.etag, made.etag);
    assert_eq!(changed, api.get_corp("klook").await.unwrap());
    let stale = api.update_corp(change, &[]).await;
    refused(stale, Code::Aborted, "ETAG_MISMATCH");
    // `*` is what can be read.
    let all = pb::Corp {
        display_name: "Other".into(),
        ..changed.clone()
    };
    let all = api.update_corp(all, &["*"]).await.unwrap();
    assert_eq!((&*all.display_name, all.merchants.len()), ("Other", 2));

    let wrong = api.delete_corp("klook", &made.etag).await;
    refused(wrong, Code::Aborted, "ETAG_MISMATCH");
    api.delete_corp("klook", &all.etag).await.unwrap();
    for gone in [
        api.get_corp("klook").await.map(|_| ()),
        api.delete_corp("klook", "").await,
        api.update_corp(all, &[]).await.map(|_| ()),
    ] {
        refused(gone, Code::NotFound, "CORP_NOT_FOUND");
    }
    // The name stays taken.
    refused(
        api.create_corp("klook").await,
        Code::AlreadyExists,
        "CORP_EXISTS",
    );
    let store = &api.server.app.store;
    let audit = store.reads().audit_of("corps/klook").await.unwrap();
    let audit: Vec<_> = audit
        .iter()
        .map(|row| (&*row.action, &*row.detail))
        .collect();
    let created = format!("corp_id={CORP_ID}");
    assert_eq!(
        audit,
        [
            ("CreateCorp", &*created),
            ("UpdateCorp", "secrets=callback_token"),
            ("UpdateCorp", "secrets="),
            ("DeleteCorp", "version=4"),
        ]
    );
}

/// Also in the answers that are kept by `request_id`, which are replayed.
async fn secrets_are_sealed_wherever_they_are_kept(engine: Engine) {
    let mut api = Api::start(engine).await;
    let create = pb::CreateCorpRequest {
        request_id: Uuid::now_v7().to_string(),
        ..create_corp("klook")
    };
    let made = api.wecom.create_corp(create.clone()).await.unwrap();
    let again = api.wecom.create_corp(create).await.unwrap();
    assert_eq!(made.get_ref(), again.get_ref());
    let rotate = pb::UpdateCorpRequest {
        corp: Some(pb::Corp {
            name: "corps/klook".into(),
            encoding_aes_key: AES_KEY.replace('j', "k"),
            ..Default::default()
        }),
        request_id: Uuid::now_v7().to_string(),
        ..Default::default()
    };
    let rotated = api.wecom.update_corp(rotate).await.unwrap();
    let secrets = [APP_SECRET, CALLBACK_TOKEN, AES_KEY];
    for answer in [made.get_ref(), again.get_ref(), rotated.get_ref()] {
        let bytes = answer.encode_to_vec();
        for secret in secrets {
            assert!(!contains(&bytes, secret));
        }
    }
    let store = api.server.app.store.clone();
    let name = mingpian::domain::CorpName::new("klook").unwrap();
    let row = store.reads().corp(&name).await.unwrap().unwrap();
    let opened = api.server.app.keys.open("corp/klook", &row.secrets);
    let opened = opened.unwrap();
    for secret in secrets {
        assert!(!contains(&row.secrets, secret));
        // What is sealed is the secrets, the key before among them.
        assert!(contains(&opened, secret), "{secret}");
    }
    api.delete_corp("klook", "").await.unwrap();
    let gone = store.reads().corp_by_no(row.no).await.unwrap().unwrap();
    assert_eq!(gone.secrets, b"");
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_of_a_corp_is_named() {
    let mut api = Api::start(Engine::Sqlite).await;
    let create = |id: &str, corp| pb::CreateCorpRequest {
        corp_id: id.into(),
        corp,
        ..Default::default()
    };
    let required = [
        "corp.display_name",
        "corp.corp_id",
        "corp.app_secret",
        "corp.callback_token",
        "corp.encoding_aes_key",
    ];
    let empty = api.wecom.create_corp(create("klook", None)).await;
    malformed(empty, &required);
    let wrong = pb::Corp {
        display_name: "名".repeat(21),
        merchants: vec!["merchants/klook".into(), "klook".into()],
        corp_id: "ww 1".into(),
        app_secret: "a".repeat(129),
        callback_token: "a-b".into(),
        encoding_aes_key: AES_KEY[1..].into(),
        ..Default::default()
    };
    let refusal = api
        .wecom
        .create_corp(create("-", Some(wrong.clone())))
        .await;
    malformed(
        refusal,
        &[
            "corp_id",
            "corp.display_name",
            "corp.merchants[1]",
            "corp.corp_id",
            "corp.app_secret",
            "corp.callback_token",
            "corp.encoding_aes_key",
        ],
    );
    let crowd = (0..1001).map(|i| format!("merchants/m{i}")).collect();
    let crowd = pb::Corp {
        merchants: crowd,
        ..corp()
    };
    let refusal = api.wecom.create_corp(create("klook", Some(crowd))).await;
    malformed(refusal, &["corp.merchants"]);

    api.create_corp("klook").await.unwrap();
    let wrong = pb::Corp {
        name: "corps/klook".into(),
        ..wrong
    };
    let paths = ["display_name", "app_secret", "callback_token"];
    let refusal = api.update_corp(wrong, &paths).await;
    malformed(
        refusal,
        &[
            "corp.display_name",
            "corp.app_secret",
            "corp.callback_token",
        ],
    );
    let another = pb::Corp {
        name: "corps/klook".into(),
        corp_id: "ww2".into(),
        ..Default::default()
    };
    malformed(
        api.update_corp(another.clone(), &[]).await,
        &["corp.corp_id"],
    );
    malformed(
        api.update_corp(another, &["corp_id"]).await,
        &["update_mask"],
    );
    malformed(api.get_corp("A").await, &["name"]);
}

async fn corps_are_listed_by_id_in_pages(engine: Engine) {
    let mut api = Api::start(engine).await;
    for id in ["b", "a0", "a-b", "c", "gone"] {
        api.create_corp(id).await.unwrap();
    }
    api.delete_corp("gone", "").await.unwrap();
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListCorpsRequest {
            page_size: 3,
            page_token,
        };
        let page = api.wecom.list_corps(request).await.unwrap().into_inner();
        seen.extend(page.corps.into_iter().map(|corp| corp.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["corps/a-b", "corps/a0", "corps/b", "corps/c"]);
}

async fn the_limit_counts_corps_that_are_not_deleted(engine: Engine) {
    let mut api = Api::start_with(engine, "[wecom]\ncorps = 1\n").await;
    api.create_corp("one").await.unwrap();
    let full = api.create_corp("two").await;
    let full = refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    assert_eq!(
        full.get_details_error_info().unwrap().metadata["limit"],
        "1"
    );
    // One that is there is said to be, full or not.
    refused(
        api.create_corp("one").await,
        Code::AlreadyExists,
        "CORP_EXISTS",
    );
    api.delete_corp("one", "").await.unwrap();
    api.create_corp("two").await.unwrap();
}

async fn a_page_that_would_be_too_large_ends_before(engine: Engine) {
    let mut api = Api::start(engine).await;
    let crowd: Vec<_> = (0..800).map(|i| format!("merchants/{i:063}")).collect();
    let mut made = Vec::new();
    for i in 0..20 {
        let mut request = create_corp(&format!("c{i:02}"));
        request.corp.as_mut().unwrap().merchants = crowd.clone();
        made.push(api.wecom.create_corp(request).await.unwrap().into_inner());
    }
    let (mut seen, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let request = pb::ListCorpsRequest {
            page_size: 100,
            page_token,
        };
        let page = api.wecom.list_corps(request).await.unwrap().into_inner();
        assert!(page.encoded_len() < 600 * 1024);
        (seen, pages) = ([seen, page.corps].concat(), pages + 1);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!((seen, pages), (made, 3));
}

/// Which only an operator can mend.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_larger_than_the_setting_says_so() {
    let mut api = Api::start_with(Engine::Sqlite, "[limits]\nmax_response_bytes = 1024\n").await;
    let mut request = create_corp("klook");
    let crowd = (0..100).map(|i| format!("merchants/m{i}"));
    request.corp.as_mut().unwrap().merchants = crowd.collect();
    let made = api.wecom.create_corp(request).await;
    refused(made, Code::Internal, "INTERNAL");
}
