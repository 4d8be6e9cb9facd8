//! Cards that are created at once share a transaction, and nothing else.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use mingpian::api::pb::{self, wecom_contact::Target};
use tokio::task::yield_now;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::{super::micros, wecom_at};
use crate::{
    api::{Api, refused},
    lifecycle::{column, database},
    on_both_engines,
    support::{Engine, create_card},
};

on_both_engines!(
    each_is_judged_on_its_own,
    one_request_id_is_one_request_however_many_merchants_it_names,
);

async fn create(api: &Api, request: &pb::CreateCardRequest) -> Result<pb::Card, Status> {
    let (mut cards, request) = (api.cards.clone(), request.clone());
    let created = cards.create_card(request).await;
    created.map(tonic::Response::into_inner)
}

fn main_of(merchant: &str) -> pb::CreateCardRequest {
    create_card(merchant, "main")
}

async fn each_is_judged_on_its_own(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.cards
        .create_card(create_card("taken", "main"))
        .await
        .unwrap();
    let wanted = |n: usize| {
        let mut request = create_card(&format!("m{n}"), "main");
        request.request_id = Uuid::now_v7().to_string();
        match n % 5 {
            1 => request.parent = "merchants/taken".into(),
            2 => request.card.as_mut().unwrap().headline = "薇信 klook_lily88".into(),
            3 => request.validate_only = true,
            4 => {
                let unknown = Target::AcquisitionLink("corps/none/acquisitionLinks/none".into());
                request.card.as_mut().unwrap().contacts = vec![wecom_at(unknown)];
            }
            _ => {}
        }
        request
    };
    let requests: Vec<_> = (0..60).map(wanted).collect();
    let answers = join_all(requests.iter().map(|request| create(&api, request))).await;
    for (n, answer) in answers.iter().enumerate() {
        let refused = |code, reason| refused(answer.clone(), code, reason);
        match n % 5 {
            1 => drop(refused(Code::AlreadyExists, "CARD_EXISTS")),
            2 => drop(refused(Code::InvalidArgument, "CONTENT_DIVERSION")),
            4 => drop(refused(Code::FailedPrecondition, "CORP_NOT_OPEN")),
            _ => assert_eq!(
                answer.as_ref().unwrap().name,
                format!("merchants/m{n}/cards/main")
            ),
        }
    }
    // Who was refused may ask anew by the same id: no claim of theirs stays.
    let db = database(&api.server.scratch).await;
    let claimed = "SELECT caller FROM requests WHERE length(answer) = 0";
    assert_eq!(column(&db, claimed).await, Vec::<String>::new());
    // Those of one transaction have its time.
    let made = answers.iter().filter_map(|answer| answer.as_ref().ok());
    let times: HashSet<_> = made.map(|card| micros(card.create_time)).collect();
    assert!(times.len() < 12, "{times:?}");
    for (n, again) in join_all(requests.iter().map(|request| create(&api, request)))
        .await
        .iter()
        .enumerate()
    {
        let there = api.cards.get_card(pb::GetCardRequest {
            name: format!("merchants/m{n}/cards/main"),
        });
        match n % 5 {
            0 => {
                assert_eq!(again.as_ref().unwrap(), answers[n].as_ref().unwrap());
                let there = there.await.unwrap().into_inner();
                assert_eq!(again.as_ref().unwrap(), &there);
            }
            _ => drop(refused(there.await, Code::NotFound, "CARD_NOT_FOUND")),
        }
    }
}

async fn one_request_id_is_one_request_however_many_merchants_it_names(engine: Engine) {
    let api = Api::start(engine).await;
    let request_id = Uuid::now_v7().to_string();
    let named = |n: usize| pb::CreateCardRequest {
        request_id: request_id.clone(),
        ..main_of(&format!("m{n}"))
    };
    let requests: Vec<_> = (0..8).map(named).collect();
    let answers = join_all(requests.iter().map(|request| create(&api, request))).await;
    let (made, others): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1, "{made:?}");
    for other in others {
        refused(other, Code::InvalidArgument, "REQUEST_ID_REUSED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merchant_whose_lock_is_held_keeps_no_other_waiting() {
    let api = Api::start(Engine::Postgres).await;
    let held = api.server.app.store.begin().await.unwrap();
    held.lock_merchant("m0").await.unwrap();
    let stuck = main_of("m0");
    let others: Vec<_> = (1..20).map(|n| main_of(&format!("m{n}"))).collect();
    let others = join_all(others.iter().map(|request| create(&api, request)));
    let (stuck, ()) = tokio::join!(create(&api, &stuck), async {
        yield_now().await;
        for created in others.await {
            created.unwrap();
        }
        held.rollback().await.unwrap();
    });
    stuck.unwrap();
}

/// SQLite's one writer is busy until after the caller has gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_went_away_leaves_no_card() {
    let mut api = Api::start(Engine::Sqlite).await;
    let held = api.server.app.store.begin().await.unwrap();
    let mut hurried = Request::new(main_of("gone"));
    hurried.set_timeout(Duration::from_millis(200));
    let gone = api.cards.clone().create_card(hurried).await;
    let gone = gone.unwrap_err().code();
    assert!(
        matches!(gone, Code::DeadlineExceeded | Code::Cancelled),
        "{gone:?}"
    );
    held.rollback().await.unwrap();
    create(&api, &main_of("here")).await.unwrap();
    let there = api.cards.get_card(pb::GetCardRequest {
        name: "merchants/gone/cards/main".into(),
    });
    refused(there.await, Code::NotFound, "CARD_NOT_FOUND");
}
