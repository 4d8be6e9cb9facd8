//! Ad spend coming in by the stream, and what it decides.

use std::time::Duration;

use mingpian::{
    api::{
        common,
        pb::{self, eligibility::State},
    },
    domain::{Day, Merchant, Micros, Money, SpendEntry, Zone},
    store::{Options, Store},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

use super::{DAY, malformed, micros, refused, so_many_wait, time};
use crate::{
    on_both_engines,
    support::{EligibilityClient, Engine, TestServer},
};

on_both_engines!(
    a_stream_is_counted_over_all_its_messages,
    every_broken_rule_is_told_and_the_rest_goes_in,
    an_empty_or_too_long_message_ends_the_stream_and_chunks_before_stay,
    a_stream_that_is_cut_leaves_whole_chunks,
    spend_over_the_threshold_opens_the_day_after,
    eligibility_is_told_as_of_then,
    a_replaced_figure_replaces_the_decision,
    complete_days_are_complete_once,
    a_day_is_complete_after_the_chunk_before_it,
    eligibilities_are_listed_by_program,
    a_thousand_of_the_longest_entries_fit,
    an_import_may_outlast_the_deadline_of_other_calls,
    an_import_outlives_the_age_of_its_connection,
    where_sources_are_named_others_are_rejected_and_not_awaited,
    a_source_too_many_is_rejected_and_the_rest_goes_in,
    the_last_source_is_brought_by_one_alone,
);

struct Spend {
    server: TestServer,
    client: EligibilityClient,
}

pub fn date(day: Day) -> common::Date {
    let (year, month, day) = day.date();
    common::Date {
        year,
        month: month.cast_signed(),
        day: day.cast_signed(),
    }
}

fn yuan(currency: &str, units: i64, nanos: i32) -> Option<common::Money> {
    Some(common::Money {
        currency_code: currency.into(),
        units,
        nanos,
    })
}

impl Spend {
    async fn start(engine: Engine) -> Self {
        Self::start_with(engine, "").await
    }

    async fn start_with(engine: Engine, more: &str) -> Self {
        let server = TestServer::gated(engine, more).await;
        // Noon in Shanghai: a test must not pass midnight. Tomorrow's: the program is there.
        server.clock.stop_at(noon(server.clock.now() + DAY));
        Self {
            client: server.eligibilities().await,
            server,
        }
    }

    fn today(&self) -> Day {
        Zone::SHANGHAI.day(self.server.clock.now())
    }

    /// A figure of `klook` so many days ago.
    fn entry(&self, days_ago: i32, units: i64) -> pb::SpendEntry {
        pb::SpendEntry {
            merchant: "merchants/klook".into(),
            day: Some(date(self.today() - days_ago)),
            source: "juguang".into(),
            amount: yuan("CNY", units, 0),
        }
    }

    async fn send(
        &mut self,
        messages: Vec<Vec<pb::SpendEntry>>,
    ) -> Result<pb::ImportSpendResponse, Status> {
        let messages: Vec<_> = messages.into_iter().map(message).collect();
        let answer = self.client.import_spend(tokio_stream::iter(messages)).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn get(&mut self, as_of: Option<Micros>) -> Result<pb::Eligibility, Status> {
        let request = pb::GetEligibilityRequest {
            name: "merchants/klook/eligibility".into(),
            as_of: as_of.and_then(time),
            ..Default::default()
        };
        let answer = self.client.get_eligibility(request).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn total(&mut self) -> i64 {
        self.get(None).await.unwrap().total.unwrap().units
    }
}

fn noon(now: Micros) -> Micros {
    Zone::SHANGHAI.start(Zone::SHANGHAI.day(now)) + DAY / 2
}

fn message(entries: Vec<pb::SpendEntry>) -> pb::ImportSpendRequest {
    pb::ImportSpendRequest { entries }
}

fn counts(answer: &pb::ImportSpendResponse) -> (i64, i64, i64, i64) {
    (
        answer.accepted,
        answer.unchanged,
        answer.replaced,
        answer.rejected,
    )
}

async fn a_stream_is_counted_over_all_its_messages(engine: Engine) {
    let mut s = Spend::start(engine).await;
    let messages = vec![
        vec![s.entry(1, 10), s.entry(2, 20)],
        vec![s.entry(2, 20), s.entry(1, 11)],
    ];
    let answer = s.send(messages.clone()).await.unwrap();
    assert_eq!(counts(&answer), (2, 1, 1, 0));
    uuid::Uuid::parse_str(&answer.import_id).unwrap();
    let again = s.send(messages[1..].to_vec()).await.unwrap();
    assert_eq!(counts(&again), (0, 2, 0, 0));
    assert_ne!(again.import_id, answer.import_id);
    assert_eq!(s.total().await, 31);
    assert_eq!(counts(&s.send(vec![]).await.unwrap()), (0, 0, 0, 0));
}

async fn every_broken_rule_is_told_and_the_rest_goes_in(engine: Engine) {
    let mut s = Spend::start(engine).await;
    let good = s.entry(1, 10);
    let day = |year, month, day| Some(common::Date { year, month, day });
    let with = |change: &dyn Fn(&mut pb::SpendEntry)| {
        let mut entry = good.clone();
        change(&mut entry);
        entry
    };
    let bad = [
        ("merchant", with(&|e| e.merchant = "klook".into())),
        ("merchant", with(&|e| e.merchant = "merchants/K".into())),
        ("day", s.entry(-1, 1)),
        ("day", s.entry(401, 1)),
        ("day", with(&|e| e.day = None)),
        ("day", with(&|e| e.day = day(2026, 2, 30))),
        ("day", with(&|e| e.day = day(0, 2, 3))),
        ("source", with(&|e| e.source = String::new())),
        ("source", with(&|e| e.source = "聚光".into())),
        ("source", with(&|e| e.source = "s".repeat(33))),
        ("amount", with(&|e| e.amount = None)),
        ("amount", with(&|e| e.amount = yuan("USD", 1, 0))),
        ("amount", with(&|e| e.amount = yuan("CNY", 1, 1_000_000))),
        ("amount", with(&|e| e.amount = yuan("CNY", 1, -10_000_000))),
        (
            "amount",
            with(&|e| e.amount = yuan("CNY", 1_000_000_000_001, 0)),
        ),
    ];
    let mut entries: Vec<_> = bad.iter().map(|(_, entry)| entry.clone()).collect();
    entries.push(good.clone());
    let answer = s
        .send(vec![vec![s.entry(400, 5), s.entry(0, 7)], entries])
        .await
        .unwrap();
    assert_eq!(counts(&answer), (3, 0, 0, 15));
    let told = answer.rejections.iter().map(|r| (r.index, &*r.field));
    let fields = bad.iter().map(|(field, _)| *field);
    assert_eq!(
        told.collect::<Vec<_>>(),
        (2..).zip(fields).collect::<Vec<_>>()
    );
    assert!(answer.rejections.iter().all(|r| !r.description.is_empty()));

    let many = vec![s.entry(-1, 1); 150];
    let answer = s.send(vec![many]).await.unwrap();
    assert_eq!((answer.rejected, answer.rejections.len()), (150, 100));
}

async fn an_empty_or_too_long_message_ends_the_stream_and_chunks_before_stay(engine: Engine) {
    let mut s = Spend::start(engine).await;
    for (n, bad) in [(1, vec![]), (2, vec![s.entry(3, 1); 1001])] {
        let messages = vec![vec![s.entry(n, 10)], bad, vec![s.entry(9, 10)]];
        malformed(s.send(messages).await, &["entries"]);
    }
    assert_eq!(s.total().await, 20);
}

async fn a_stream_that_is_cut_leaves_whole_chunks(engine: Engine) {
    let mut s = Spend::start(engine).await;
    let (sender, messages) = mpsc::channel(1);
    let mut client = s.client.clone();
    let messages = ReceiverStream::new(messages);
    let importing = tokio::spawn(async move { client.import_spend(messages).await });
    let chunk = message(vec![s.entry(1, 10), s.entry(2, 20)]);
    sender.send(chunk.clone()).await.unwrap();
    while s.total().await != 30 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    importing.abort();
    let _ = importing.await;
    assert_eq!(s.total().await, 30);
    let again = s.send(vec![chunk.entries]).await.unwrap();
    assert_eq!(counts(&again), (0, 2, 0, 0));
}

async fn spend_over_the_threshold_opens_the_day_after(engine: Engine) {
    let mut s = Spend::start(engine).await;
    assert_eq!(s.get(None).await.unwrap().state(), State::Locked);
    s.send(vec![vec![s.entry(1, 1000)]]).await.unwrap();
    let locked = s.get(None).await.unwrap();
    assert_eq!(locked.state(), State::Locked);
    assert_eq!(locked.name, "merchants/klook/eligibility");
    assert_eq!(locked.program, "programs/default");
    assert_eq!(locked.shortfall, yuan("CNY", 0, 10_000_000));
    assert_eq!(locked.threshold, yuan("CNY", 1000, 0));
    assert_eq!(locked.decision_day, Some(date(s.today())));
    assert_eq!(locked.window.len(), 1);
    assert_eq!(locked.missing_days, []);

    s.send(vec![vec![s.entry(0, 1)]]).await.unwrap();
    let pending = s.get(None).await.unwrap();
    assert_eq!(pending.state(), State::Pending);
    let midnight = Zone::SHANGHAI.start(s.today() + 1);
    assert_eq!(micros(pending.opens_at), midnight);
    s.server.clock.stop_at(Micros(midnight.0 - 1));
    assert_eq!(s.get(None).await.unwrap().state(), State::Pending);
    s.server.clock.stop_at(midnight);
    let open = s.get(None).await.unwrap();
    assert_eq!(open.state(), State::Open);
    assert_eq!((open.total, open.opens_at), (yuan("CNY", 1001, 0), None));
}

async fn eligibility_is_told_as_of_then(engine: Engine) {
    let mut s = Spend::start(engine).await;
    let before = s.server.clock.now();
    s.server.clock.advance(Duration::from_secs(60));
    s.send(vec![vec![s.entry(1, 1001)]]).await.unwrap();
    let after = s.server.clock.now();
    s.server.clock.advance(Duration::from_secs(60));
    let then = s.get(Some(before)).await.unwrap();
    assert_eq!((then.state(), micros(then.as_of)), (State::Locked, before));
    assert_eq!(s.get(Some(after)).await.unwrap().state(), State::Open);
    let future = Micros(s.server.clock.now().0 + 1);
    malformed(s.get(Some(future)).await, &["as_of"]);
    // Before there was any program.
    let never = s.get(Some(Micros(0))).await;
    refused(never, Code::NotFound, "PROGRAM_NOT_FOUND");

    let of = async |s: &mut Spend, name: &str, program: &str| {
        let request = pb::GetEligibilityRequest {
            name: name.into(),
            program: program.into(),
            ..Default::default()
        };
        s.client.get_eligibility(request).await
    };
    let name = "merchants/klook/eligibility";
    of(&mut s, name, "programs/default").await.unwrap();
    let missing = of(&mut s, name, "programs/none").await;
    refused(missing, Code::NotFound, "PROGRAM_NOT_FOUND");
    malformed(of(&mut s, name, "default").await, &["program"]);
    malformed(of(&mut s, "merchants/klook", "").await, &["name"]);
}

async fn a_replaced_figure_replaces_the_decision(engine: Engine) {
    let mut s = Spend::start(engine).await;
    s.send(vec![vec![s.entry(1, 1500)]]).await.unwrap();
    assert_eq!(s.get(None).await.unwrap().state(), State::Open);
    let mut refund = s.entry(1, -600);
    refund.source = "refunds".into();
    s.send(vec![vec![refund]]).await.unwrap();
    assert_eq!(s.total().await, 900);
    let answer = s.send(vec![vec![s.entry(1, 1601)]]).await.unwrap();
    assert_eq!(counts(&answer), (0, 0, 1, 0));
    assert_eq!(s.get(None).await.unwrap().state(), State::Open);
}

async fn complete_days_are_complete_once(engine: Engine) {
    let mut s = Spend::start(engine).await;
    let request = |day: Day, id: &str| pb::CompleteSpendDayRequest {
        source: "juguang".into(),
        day: Some(date(day)),
        request_id: id.into(),
    };
    let (today, id) = (s.today(), uuid::Uuid::now_v7().to_string());
    let first = s.client.complete_spend_day(request(today - 1, &id)).await;
    let first = first.unwrap().into_inner();
    assert_eq!(first.day, Some(date(today - 1)));
    assert_eq!(micros(first.complete_time), s.server.clock.now());
    s.server.clock.advance(Duration::from_secs(1));
    for id in [id.as_str(), ""] {
        let again = s.client.complete_spend_day(request(today - 1, id)).await;
        assert_eq!(again.unwrap().into_inner(), first);
    }
    let other = s.client.complete_spend_day(request(today - 2, &id)).await;
    refused(other, Code::InvalidArgument, "REQUEST_ID_REUSED");
    for day in [today, today + 1, today - 401] {
        malformed(
            s.client.complete_spend_day(request(day, "")).await,
            &["day"],
        );
    }
    let nothing = pb::CompleteSpendDayRequest::default();
    let nothing = s.client.complete_spend_day(nothing).await;
    malformed(nothing, &["source", "day"]);
}

/// Another replica brings figures, and has not committed yet.
async fn a_day_is_complete_after_the_chunk_before_it(engine: Engine) {
    let s = Spend::start(engine).await;
    let other = other_replica(&s.server).await;
    let (turn, tx) = other.begin_import().await.unwrap();
    let request = pb::CompleteSpendDayRequest {
        source: "juguang".into(),
        day: Some(date(s.today() - 1)),
        ..Default::default()
    };
    let mut client = s.client.clone();
    let completing = tokio::spawn(async move { client.complete_spend_day(request).await });
    so_many_wait(engine, &s.server.scratch.url, "1").await;
    assert!(!completing.is_finished());
    s.server.clock.advance(Duration::from_secs(60));
    let released = s.server.clock.now();
    tx.commit().await.unwrap();
    drop(turn);
    let day = completing.await.unwrap().unwrap().into_inner();
    assert_eq!(micros(day.complete_time), released);
}

async fn eligibilities_are_listed_by_program(engine: Engine) {
    let mut s = Spend::start(engine).await;
    crate::support::open_to_all(&s.server.app.store).await;
    let mut request = pb::ListEligibilitiesRequest {
        parent: "merchants/klook".into(),
        page_size: 1,
        ..Default::default()
    };
    let mut programs = Vec::new();
    loop {
        let page = s.client.list_eligibilities(request.clone()).await;
        let page = page.unwrap().into_inner();
        assert_eq!(page.eligibilities.len(), 1);
        programs.push((
            page.eligibilities[0].program.clone(),
            page.eligibilities[0].state(),
        ));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let wanted = [("default", State::Locked), ("open", State::Open)];
    assert_eq!(
        programs,
        wanted.map(|(id, state)| (format!("programs/{id}"), state))
    );
    request.parent = "merchants/other".into();
    let strange = s.client.list_eligibilities(request).await;
    refused(strange, Code::InvalidArgument, "PAGE_TOKEN_INVALID");
    // Who admits comes before who comes nearest.
    assert_eq!(s.get(None).await.unwrap().program, "programs/open");
}

async fn a_thousand_of_the_longest_entries_fit(engine: Engine) {
    let mut s = Spend::start(engine).await;
    let mut entry = s.entry(1, -999_999_999);
    entry.source = "s".repeat(32);
    entry.amount = yuan("CNY", -999_999_999, -990_000_000);
    let entries = (0..1000).map(|n| pb::SpendEntry {
        merchant: format!("merchants/{n:063}"),
        ..entry.clone()
    });
    let answer = s.send(vec![entries.collect()]).await.unwrap();
    assert_eq!(counts(&answer), (1000, 0, 0, 0));
}

async fn an_import_may_outlast_the_deadline_of_other_calls(engine: Engine) {
    let mut s = Spend::start_with(engine, "[limits]\ndeadline_seconds = 1\n").await;
    let (sender, messages) = mpsc::channel(1);
    let mut client = s.client.clone();
    let messages = ReceiverStream::new(messages);
    let importing = tokio::spawn(async move { client.import_spend(messages).await });
    for n in 1..=3 {
        sender.send(message(vec![s.entry(n, 10)])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    drop(sender);
    let answer = importing.await.unwrap().unwrap().into_inner();
    assert_eq!(counts(&answer), (3, 0, 0, 0));

    let (_sender, messages) = mpsc::channel::<pb::ImportSpendRequest>(1);
    let mut request = Request::new(ReceiverStream::new(messages));
    request.set_timeout(Duration::from_millis(300));
    // The client may be quicker to say so than the server.
    let late = s.client.import_spend(request).await.unwrap_err();
    assert!(matches!(
        late.code(),
        Code::DeadlineExceeded | Code::Cancelled
    ));
}

async fn an_import_outlives_the_age_of_its_connection(engine: Engine) {
    let settings = "[limits]\nconnection_age_seconds = 1\ndrain_seconds = 1\n";
    let s = Spend::start_with(engine, settings).await;
    let (sender, messages) = mpsc::channel(1);
    let mut client = s.client.clone();
    let messages = ReceiverStream::new(messages);
    let importing = tokio::spawn(async move { client.import_spend(messages).await });
    for n in 1..=5 {
        sender.send(message(vec![s.entry(n, 10)])).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    drop(sender);
    let answer = importing.await.unwrap().unwrap().into_inner();
    assert_eq!(counts(&answer), (5, 0, 0, 0));
}

async fn where_sources_are_named_others_are_rejected_and_not_awaited(engine: Engine) {
    for (more, named) in [("", false), ("[spend]\nsources = [\"juguang\"]\n", true)] {
        let mut s = Spend::start_with(engine, more).await;
        // As if from before the setting.
        let stray = SpendEntry {
            merchant: Merchant::from_id("klook").unwrap(),
            day: s.today() - 20,
            source: "juguan".into(),
            amount: Money(1),
        };
        let mut import = s.server.app.import_spend("test").await.unwrap();
        import.chunk(&[stray], 0).await.unwrap();
        let missing = s.get(None).await.unwrap().missing_days;
        assert_eq!(missing.is_empty(), named, "{missing:?}");

        let mut entry = s.entry(1, 10);
        entry.source = "juguan".into();
        let answer = s.send(vec![vec![s.entry(1, 10), entry]]).await.unwrap();
        let fields: Vec<_> = answer.rejections.iter().map(|r| &*r.field).collect();
        let wanted: &[&str] = if named { &["source"] } else { &[] };
        assert_eq!(fields, wanted);
        let request = pb::CompleteSpendDayRequest {
            source: "juguan".into(),
            day: Some(date(s.today() - 1)),
            ..Default::default()
        };
        let completed = s.client.complete_spend_day(request).await;
        if named {
            malformed(completed, &["source"]);
        } else {
            completed.unwrap();
        }
    }
}

const TWO_SOURCES: &str = "[spend]\nmost_sources = 2\n";

async fn a_source_too_many_is_rejected_and_the_rest_goes_in(engine: Engine) {
    let mut s = Spend::start_with(engine, TWO_SOURCES).await;
    let of = |entry: pb::SpendEntry, source: &str| pb::SpendEntry {
        source: source.into(),
        ..entry
    };
    let entry = |source: &str| of(s.entry(1, 10), source);
    let bad = of(s.entry(-1, 10), "a");
    let messages = vec![
        vec![entry("a"), entry("b"), entry("c"), bad],
        vec![entry("d"), entry("b"), entry("a")],
    ];
    let again = vec![entry("c"), entry("b")];
    let answer = s.send(messages).await.unwrap();
    assert_eq!(counts(&answer), (2, 2, 0, 3));
    let told = answer.rejections.iter().map(|r| (r.index, &*r.field));
    let wanted = [(2, "source"), (3, "day"), (4, "source")];
    assert_eq!(told.collect::<Vec<_>>(), wanted);
    assert_eq!(s.total().await, 20);

    let request = |source: &str, day| pb::CompleteSpendDayRequest {
        source: source.into(),
        day: Some(date(day)),
        ..Default::default()
    };
    let (yesterday, mut client) = (s.today() - 1, s.client.clone());
    let known = client.complete_spend_day(request("b", yesterday)).await;
    known.unwrap();
    let new = client.complete_spend_day(request("c", yesterday)).await;
    let refused = refused(new, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    assert!(refused.message().contains("settings"), "{refused:?}");

    // Who was silent for so long gives its place back.
    s.server.clock.advance(DAY * 402);
    let today = s.today();
    let again: Vec<_> = again
        .into_iter()
        .map(|entry| pb::SpendEntry {
            day: Some(date(today)),
            ..entry
        })
        .collect();
    assert_eq!(counts(&s.send(vec![again]).await.unwrap()), (2, 0, 0, 0));
}

/// Another replica brings it, and has not committed yet.
async fn the_last_source_is_brought_by_one_alone(engine: Engine) {
    let mut s = Spend::start_with(engine, TWO_SOURCES).await;
    s.send(vec![vec![s.entry(1, 10)]]).await.unwrap();
    let entry = SpendEntry {
        merchant: Merchant::from_id("klook").unwrap(),
        day: s.today() - 1,
        source: "theirs".into(),
        amount: Money(1),
    };
    let other = other_replica(&s.server).await;
    let (turn, tx) = other.begin_import().await.unwrap();
    tx.import_chunk(1, &[entry], s.server.clock.now())
        .await
        .unwrap();
    let mut ours = s.entry(1, 10);
    ours.source = "ours".into();
    let url = s.server.scratch.url.clone();
    let sending = s.send(vec![vec![ours]]);
    let committing = async {
        so_many_wait(engine, &url, "1").await;
        tx.commit().await.unwrap();
        drop(turn);
    };
    let (answer, ()) = tokio::join!(sending, committing);
    assert_eq!(counts(&answer.unwrap()), (0, 0, 0, 1));
}

pub async fn other_replica(server: &TestServer) -> Store {
    let options = Options {
        url: server.scratch.url.clone().into(),
        max_connections: 1,
        acquire_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(5),
    };
    Store::open(&options).await.unwrap()
}
