//! The feed of changes: what other processes write ends what is kept in memory, in whatever
//! order it comes.

use mingpian::{
    api,
    domain::{Calendar, Merchant, SourceNames, Zone},
    serving::{Options, Serving},
    store::{Changed, Mark, Store},
};
use sea_orm::ConnectionTrait;

use super::{
    NOW, SECOND, Stage, card, insert_card, merchant, note, options, placement,
    spend::{entry, import},
};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    what_others_write_no_longer_holds_after_a_look,
    a_number_that_comes_late_is_seen,
    a_feed_that_is_set_back_is_begun_anew,
    every_change_is_told_once,
    a_corrected_figure_is_a_change,
);

/// Another process on the same database, with its memory.
struct Other {
    store: Store,
    serving: Serving,
}

impl Other {
    async fn of(stage: &Stage) -> Self {
        let store = Store::open(&options(&stage.scratch.url)).await.unwrap();
        let options = Options {
            calendar: Calendar {
                zone: Zone::SHANGHAI,
                closing_wait: SECOND,
                sources: SourceNames::ANY,
            },
            memory: 1 << 20,
            compile: api::compile,
            away: 30 * SECOND,
        };
        let serving = Serving::new(&store, options).await.unwrap();
        Self { store, serving }
    }

    /// Whether what was read then still holds, once the feed was looked at.
    async fn holds(&self, then: u64, what: &Changed) -> bool {
        self.serving.feed.look().await.unwrap();
        self.store.marks().holds(then, &[Mark::of(what)])
    }
}

fn of(merchant: &Merchant) -> Changed {
    Changed::Merchant(merchant.id().to_owned())
}

async fn what_others_write_no_longer_holds_after_a_look(engine: Engine) {
    let stage = Stage::new(engine).await;
    let other = Other::of(&stage).await;
    let then = other.store.marks().now();
    let klook = of(&merchant("klook"));
    assert!(other.holds(then, &klook).await);
    stage.add_card(card("klook", "main")).await;
    assert!(
        other.store.marks().holds(then, &[Mark::of(&klook)]),
        "not looked yet"
    );
    assert!(!other.holds(then, &klook).await);
    // Who wrote it knows at once.
    assert!(!stage.store.marks().holds(0, &[Mark::of(&klook)]));
    let now = other.store.marks().now();
    assert!(other.holds(now, &klook).await, "seen once");
}

async fn a_number_that_comes_late_is_seen(engine: Engine) {
    let stage = Stage::new(engine).await;
    let other = Other::of(&stage).await;
    let db = stage.raw().await;
    let insert = |no: i64, id: &str| {
        format!(
            "INSERT INTO changes (no, what) OVERRIDING SYSTEM VALUE VALUES ({no}, 'merchants/{id}')"
        )
    };
    let insert = |no, id| match engine {
        Engine::Postgres => insert(no, id),
        Engine::Sqlite => insert(no, id).replace("OVERRIDING SYSTEM VALUE ", ""),
    };
    let (early, late) = (of(&merchant("early")), of(&merchant("late")));
    db.execute_unprepared(&insert(1050, "early")).await.unwrap();
    assert!(!other.holds(0, &early).await);
    let then = other.store.marks().now();
    db.execute_unprepared(&insert(1049, "late")).await.unwrap();
    assert!(!other.holds(then, &late).await);
    let now = other.store.marks().now();
    assert!(other.holds(now, &late).await && other.holds(now, &early).await);
}

async fn a_feed_that_is_set_back_is_begun_anew(engine: Engine) {
    let stage = Stage::new(engine).await;
    stage.add_card(card("klook", "main")).await;
    let other = Other::of(&stage).await;
    let anyone = of(&merchant("anyone"));
    let then = other.store.marks().now();
    assert!(other.holds(then, &anyone).await);
    let forget = "DELETE FROM changes";
    stage.raw().await.execute_unprepared(forget).await.unwrap();
    assert!(!other.holds(then, &anyone).await);
}

/// In the transaction of the change, and only where it is committed.
async fn every_change_is_told_once(engine: Engine) {
    let stage = Stage::new(engine).await;
    let before = stage.store.reads().latest_change().await.unwrap();
    let from = before.map_or(0, |(no, _)| no + 1);
    let made = stage.add_card(card("klook", "main")).await;
    stage
        .add_placement(placement(&made, "p", note("n-1")))
        .await;
    let dropped = stage.store.begin().await.unwrap();
    let other = insert_card(&dropped, card("klook", "other")).await;
    assert!(other.is_some());
    dropped.rollback().await.unwrap();
    let told = stage.store.reads().changes(from, &[], 100).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|(_, changed)| changed).collect();
    let klook = || of(&merchant("klook"));
    let expected = [klook(), klook(), Changed::Note("n-1".to_owned())];
    assert_eq!(told, expected);
}

async fn a_corrected_figure_is_a_change(engine: Engine) {
    let stage = Stage::new(engine).await;
    import(&stage, &[entry("klook", "juguang", 900)], NOW).await;
    let other = Other::of(&stage).await;
    let klook = of(&merchant("klook"));
    let then = other.store.marks().now();
    import(&stage, &[entry("klook", "juguang", 900)], NOW).await;
    assert!(other.holds(then, &klook).await, "nothing changed");
    import(&stage, &[entry("klook", "juguang", 1100)], NOW + SECOND).await;
    assert!(!other.holds(then, &klook).await);
}
