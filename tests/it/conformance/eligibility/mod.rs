//! Random ledgers: what the store and the rule say, now and as of any moment, and what the
//! runs of T+1 date, against a naive model; on both engines.

mod ledger;
mod model;

use std::{collections::BTreeSet, time::Duration};

use mingpian::{
    domain::{
        Calendar, Day, Micros, Money, Program, ProgramName, ProgramState, SourceNames, Zone,
        eligibility::{State, Terms},
    },
    store::Tx,
};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};

use self::{
    ledger::Ledger,
    model::{Judged, Model, Said, What},
};
use super::{AUTHOR, NOW, Stage, merchant};
use crate::support::Engine;

const MERCHANTS: [&str; 3] = ["a", "a-b", "b"];
const SOURCES: [&str; 2] = ["juguang", "qianfan"];
const CALENDAR: Calendar = Calendar {
    zone: Zone::SHANGHAI,
    closing_wait: Duration::from_secs(36 * 60 * 60),
    sources: SourceNames::ANY,
};

#[derive(Clone, Debug)]
enum Op {
    /// A merchant's figure of a day so many days ago.
    Figure(&'static str, &'static str, i32, i64),
    Complete(&'static str, i32),
    /// Half a day at most, so that a run sees each day.
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let source = || select(&SOURCES[..]);
    let amount = prop_oneof![
        select(&[99_999, 100_000, 100_001, 0, -30_000][..]),
        select(&[40_000, 60_000, 60_001][..]),
    ];
    prop_oneof![
        6 => (select(&MERCHANTS[..]), source(), 0..9, amount)
            .prop_map(|(m, s, d, a)| Op::Figure(m, s, d, a)),
        3 => (source(), 1..4).prop_map(|(s, d)| Op::Complete(s, d)),
        5 => (1..=12_u64).prop_map(Op::Wait),
    ]
}

fn terms() -> [Terms; 2] {
    let terms = |threshold, window_days, configuration_grace_days, serving_grace_days| Terms {
        threshold: Money(threshold),
        window_days,
        configuration_grace_days,
        serving_grace_days,
    };
    [terms(100_000, 5, 0, 3), terms(60_000, 7, 2, 1)]
}

#[tokio::test(flavor = "multi_thread")]
async fn random_ledgers_are_judged_as_by_the_model() {
    let sqlite = Stage::new(Engine::Sqlite).await;
    let postgres = Stage::new(Engine::Postgres).await;
    for stage in [&sqlite, &postgres] {
        stage.write(programs).await;
    }
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let ops = proptest::collection::vec(op(), 1..40);
    let questions = proptest::collection::vec((select(&MERCHANTS[..]), 0..100_i64), 4);
    let outcome = block_in_place(|| {
        runner.run(&(ops, questions), |(ops, questions)| {
            for stage in [&sqlite, &postgres] {
                Handle::current().block_on(case(stage, &ops, &questions))?;
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

/// Two programs; the default one is none of them.
async fn programs(tx: &Tx) {
    let name = ProgramName::new("default").unwrap();
    let mut default = tx.lock_program(&name).await.unwrap().unwrap();
    default.state = ProgramState::Ended;
    tx.save_program(&default.next(NOW), AUTHOR).await.unwrap();
    for (id, terms) in ["p", "q"].into_iter().zip(terms()) {
        let program = Program {
            name: ProgramName::new(id).unwrap(),
            threshold: terms.threshold,
            window_days: terms.window_days,
            configuration_grace_days: terms.configuration_grace_days,
            serving_grace_days: terms.serving_grace_days,
            ..Program::default_at(NOW)
        };
        tx.insert_program(program, AUTHOR).await.unwrap().unwrap();
    }
}

async fn case(
    stage: &Stage,
    ops: &[Op],
    questions: &[(&'static str, i64)],
) -> Result<(), TestCaseError> {
    let mut ledger = Ledger::empty(stage).await;
    let (mut said, mut now) = (Vec::new(), NOW);
    let mut open = BTreeSet::new();
    for op in ops {
        now = Micros(now.0 + 1_000_000);
        let today = CALENDAR.zone.day(now);
        let (source, day, what) = match *op {
            Op::Figure(m, source, ago, amount) => {
                (source, today - ago, What::Figure(m, Money(amount)))
            }
            Op::Complete(source, ago) => (source, today - ago, What::Complete),
            Op::Wait(hours) => {
                now = now + Duration::from_secs(hours * 3600);
                open = run(stage, &ledger, &said, now, open).await?;
                continue;
            }
        };
        let word = Said {
            at: now,
            source,
            day,
            what,
        };
        ledger.write(&word).await;
        said.push(word);
        open = run(stage, &ledger, &said, now, open).await?;
    }
    let span = now.0 - NOW.0;
    for (id, percent) in questions {
        let at = Micros(NOW.0 + span * percent / 99);
        let (merchant, reads) = (merchant(id), stage.store.reads());
        let standing = reads.standing_at(&merchant, &CALENDAR, at).await.unwrap();
        judged_alike(&standing, &said, id, at)?;
    }
    Ok(())
}

type Open = BTreeSet<(usize, &'static str)>;

/// A run, by the store and by the model; who is open afterwards.
async fn run(
    stage: &Stage,
    ledger: &Ledger,
    said: &[Said],
    now: Micros,
    before: Open,
) -> Result<Open, TestCaseError> {
    let mut open = Open::new();
    for id in MERCHANTS {
        let (merchant, reads) = (merchant(id), stage.store.reads());
        let standing = reads.standing(&merchant, &CALENDAR, now).await.unwrap();
        let judged = judged_alike(&standing, said, id, now)?;
        let is_open = judged.into_iter().enumerate();
        let is_open = is_open.filter(|(_, judged)| judged.state == State::Open);
        open.extend(is_open.map(|(program, _)| (program, id)));
    }
    let begin = stage.store.begin().await.unwrap();
    let run = begin.run_openings(&CALENDAR, now, "me").await.unwrap();
    begin.commit().await.unwrap();
    let [opened, closed] = [&open - &before, &before - &open];
    prop_assert_eq!(run.opened, opened.len() as u64);
    prop_assert_eq!(run.closed, closed.len() as u64);
    prop_assert_eq!(&ledger.openings().await, &open);

    let mut expected = BTreeSet::new();
    let today = CALENDAR.zone.day(now);
    for (opens, (program, id)) in opened
        .iter()
        .map(|o| (true, o))
        .chain(closed.iter().map(|c| (false, c)))
    {
        let model = model(said, *program);
        let total = |day: Day| model.total(id, day, now);
        expected.insert((*program, *id, opens, total(today - 1), total(today)));
    }
    prop_assert_eq!(ledger.last_transitions().await, expected);
    Ok(open)
}

fn model(said: &[Said], program: usize) -> Model<'_> {
    Model {
        said,
        terms: terms()[program],
        calendar: CALENDAR,
    }
}

/// What both programs say of a merchant, by the store and by the model.
fn judged_alike(
    standing: &mingpian::domain::Standing,
    said: &[Said],
    id: &'static str,
    at: Micros,
) -> Result<Vec<Judged>, TestCaseError> {
    let mut all = Vec::new();
    let chances = standing.chances.iter();
    let chances = chances.filter(|chance| chance.program.name.id() != "default");
    for (program, chance) in chances.enumerate() {
        let decision = &chance.decision;
        let by_store = Judged {
            state: decision.state,
            total: decision.total,
            opens_at: decision.opens_at,
            hides_at: decision.hides_at,
            missing: decision.missing_days.clone(),
        };
        let by_model = model(said, program).judge(id, at);
        prop_assert_eq!(&by_store, &by_model, "{} at {} of {:?}", id, at, said);
        all.push(by_model);
    }
    prop_assert_eq!(all.len(), 2);
    Ok(all)
}
