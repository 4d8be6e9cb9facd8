//! Random histories: SQLite, PostgreSQL and the model give the same answers.

mod model;
mod real;

use std::sync::atomic::{AtomicUsize, Ordering};

use mingpian::domain::{Card, CardState, Merchant, Micros, Placement, PlacementState, Surface};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};

use self::{model::Model, real::Real};
use super::{NOW, SECOND, SORTED_IDS, Stage, card, menu, merchant, message, note, placement};
use crate::support::Engine;

/// One thing to do. Merchants, ids, notes and placements are drawn from few.
#[derive(Clone, Debug)]
enum Op {
    AddCard(&'static str, &'static str, &'static str),
    EditCard(&'static str, &'static str, &'static str),
    DeleteOrUndelete(&'static str, &'static str),
    Purge,
    Place(&'static str, &'static str, &'static str, Surface),
    Move(&'static str, &'static str, PlacementState),
    Cards(&'static str, &'static str, u64, bool),
    Placements(&'static str, &'static str, u64, bool),
    Counts(&'static str),
    Menu(&'static str),
    Capsules(Vec<&'static str>),
    ShownAt(usize, i64),
    Claim(&'static str, u128, u8, u32),
    Forget(u32),
}

const MERCHANTS: [&str; 2] = ["a", "b"];
const NOTES: [&str; 3] = ["n", "N", "n-"];
const TEXTS: [&str; 4] = ["", "Klook 客路", "🧧", "nul\0"];

fn op() -> impl Strategy<Value = Op> {
    let merchant = || select(&MERCHANTS[..]);
    let id = || select(&SORTED_IDS[2..7]);
    let text = || select(&TEXTS[..]);
    let surface = prop_oneof![
        (1..=3).prop_map(menu),
        select(&NOTES[..]).prop_map(note),
        select(&NOTES[..]).prop_map(message),
    ];
    let state = select(
        &[
            PlacementState::Live,
            PlacementState::Paused,
            PlacementState::Deleted,
        ][..],
    );
    let page = || (merchant(), select(&SORTED_IDS[..]), 0..5_u64, any::<bool>());
    let caller = select(&["a", "A"][..]);
    prop_oneof![
        4 => (merchant(), id(), text()).prop_map(|(m, i, t)| Op::AddCard(m, i, t)),
        3 => (merchant(), id(), text()).prop_map(|(m, i, t)| Op::EditCard(m, i, t)),
        3 => (merchant(), id()).prop_map(|(m, i)| Op::DeleteOrUndelete(m, i)),
        1 => Just(Op::Purge),
        6 => (merchant(), id(), id(), surface).prop_map(|(m, c, p, s)| Op::Place(m, c, p, s)),
        6 => (merchant(), id(), state).prop_map(|(m, p, s)| Op::Move(m, p, s)),
        1 => page().prop_map(|(m, a, l, d)| Op::Cards(m, a, l, d)),
        1 => page().prop_map(|(m, a, l, d)| Op::Placements(m, a, l, d)),
        1 => merchant().prop_map(Op::Counts),
        1 => merchant().prop_map(Op::Menu),
        1 => proptest::collection::vec(select(&NOTES[..]), 0..4).prop_map(Op::Capsules),
        3 => (0..6_usize, -1..=60_i64).prop_map(|(p, at)| Op::ShownAt(p, at)),
        4 => (caller, 0..2_u128, 0..2_u8, 0..60_u32).prop_map(|(c, i, f, k)| Op::Claim(c, i, f, k)),
        1 => (0..60_u32).prop_map(Op::Forget),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn any_history_has_the_same_answers_on_both_engines_and_by_the_model() {
    let sqlite = Stage::new(Engine::Sqlite).await;
    let postgres = Stage::new(Engine::Postgres).await;
    let mut runner = TestRunner::new(Config {
        cases: 120,
        failure_persistence: None,
        ..Config::default()
    });
    let cases = AtomicUsize::new(0);
    let outcome = block_in_place(|| {
        runner.run(&proptest::collection::vec(op(), 1..60), |ops| {
            // One database for all; each case has its own names.
            let case = format!("c{}-", cases.fetch_add(1, Ordering::Relaxed));
            let [mut a, mut b] = [&sqlite, &postgres].map(|stage| Real::new(stage, &case));
            let mut model = Model::default();
            for (i, op) in ops.iter().enumerate() {
                let now = NOW + SECOND * i as u32;
                let by_model = model.answer(&case, op, now);
                let by_sqlite = Handle::current().block_on(a.answer(op, now));
                let by_postgres = Handle::current().block_on(b.answer(op, now));
                prop_assert_eq!(&by_sqlite, &by_model, "SQLite, {}: {:?}", i, op);
                prop_assert_eq!(&by_postgres, &by_model, "PostgreSQL, {}: {:?}", i, op);
            }
            // What the next case must not find.
            for real in [&mut a, &mut b] {
                Handle::current().block_on(real.answer(&Op::Purge, Micros::MAX));
            }
            Ok(())
        })
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}

/// The moment so many seconds before.
fn ago(now: Micros, seconds: u32) -> Micros {
    Micros(now.0 - i64::from(seconds) * 1_000_000)
}

fn of(case: &str, merchant_id: &str) -> Merchant {
    merchant(&format!("{case}{merchant_id}"))
}

fn add_card(case: &str, m: &str, id: &str, text: &str, now: Micros) -> Card {
    let mut wanted = card(of(case, m).id(), id);
    wanted.display_name = text.into();
    (wanted.create_time, wanted.update_time) = (now, now);
    wanted
}

fn edited(old: &Card, text: &str, now: Micros) -> Card {
    let mut next = old.next(now);
    next.headline = text.into();
    next
}

fn turned(old: &Card, now: Micros) -> Card {
    if active(old) {
        old.deleted(now, SECOND * 5)
    } else {
        old.undeleted(now)
    }
}

fn placed(case: &str, card: &Card, id: &str, surface: &Surface, now: Micros) -> Placement {
    let surface = match surface {
        Surface::NoteCapsule { note: id } => note(&format!("{case}{id}")),
        other => other.clone(),
    };
    let mut wanted = placement(card, id, surface);
    (wanted.create_time, wanted.update_time) = (now, now);
    wanted
}

/// Numbers may have gaps, on each engine its own.
fn plain_card(mut card: Card) -> Card {
    card.no = 0;
    card
}

fn plain(mut placement: Placement) -> Placement {
    (placement.no, placement.card_no) = (0, 0);
    placement
}

fn say(answer: impl std::fmt::Debug) -> String {
    format!("{answer:?}")
}

fn ids<T>(all: Vec<T>, id: impl Fn(&T) -> &str) -> String {
    say(all.iter().map(id).collect::<Vec<_>>())
}

/// Live ones by name, and whether another one says why there is none.
fn menu_of(shown: Vec<(Placement, Option<Card>)>) -> String {
    let live = |p: &Placement| p.state == PlacementState::Live;
    let (mut live, other): (Vec<_>, Vec<_>) = shown.into_iter().partition(|(p, _)| live(p));
    live.sort_by(|a, b| a.0.name.id().cmp(b.0.name.id()));
    say((with_cards(live), other.is_empty()))
}

fn with_cards(shown: Vec<(Placement, Option<Card>)>) -> Vec<(Placement, Option<Card>)> {
    let plain = |(p, c): (_, Option<Card>)| (plain(p), c.map(plain_card));
    shown.into_iter().map(plain).collect()
}

fn sorted(mut shown: Vec<(Placement, Option<Card>)>) -> String {
    shown.sort_by_key(|(p, _)| p.name.to_string());
    say(with_cards(shown))
}

fn active(card: &Card) -> bool {
    card.state == CardState::Active
}
