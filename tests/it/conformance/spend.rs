//! The ledger of ad spend: what comes in, what it counts as, what is known when.

use futures_util::future::join_all;
use mingpian::{
    domain::{Day, Micros, Money, SpendCounts, SpendEntry},
    store::SpendImport,
};

use super::{AUTHOR, NOW, SECOND, Stage, merchant};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    figures_are_accepted_then_unchanged_then_replaced,
    a_replaced_figure_stays_known_as_of_then,
    figures_come_with_what_was_added_since,
    figures_in_one_chunk_count_as_if_one_by_one,
    sources_add_up_and_refunds_are_negative,
    a_large_chunk_mixes_new_old_and_changed,
    a_chunk_that_is_not_committed_never_was,
    importers_at_once_lose_nothing,
    times_of_a_figure_only_grow,
    a_days_first_figure_dates_its_source,
    a_complete_day_keeps_its_first_word,
    an_import_is_gone_on_with_by_one_alone,
    an_import_begins_anew_where_another_came_later,
    what_comes_late_with_an_old_import_is_news,
);

const DAY: Day = Day(20_400);

pub(super) fn entry(id: &str, source: &str, cents: i64) -> SpendEntry {
    SpendEntry {
        merchant: merchant(id),
        day: DAY,
        source: source.to_owned(),
        amount: Money(cents),
    }
}

fn counts(accepted: u64, unchanged: u64, replaced: u64) -> SpendCounts {
    SpendCounts {
        accepted,
        unchanged,
        replaced,
    }
}

async fn begin(s: &Stage, file: Option<&str>) -> SpendImport {
    let import = SpendImport {
        no: 0,
        id: uuid::Uuid::now_v7(),
        time: NOW,
        author: AUTHOR.to_owned(),
        file: file.map(ToOwned::to_owned),
        position: 0,
        counts: SpendCounts::default(),
    };
    s.write(async |tx| tx.insert_import(import).await.unwrap())
        .await
}

/// One committed chunk.
pub(super) async fn import(s: &Stage, entries: &[SpendEntry], now: Micros) -> SpendCounts {
    let no = begin(s, None).await.no;
    let (_turn, tx) = s.store.begin_import().await.unwrap();
    let counts = tx.import_chunk(no, entries, now).await.unwrap();
    tx.commit().await.unwrap();
    counts
}

/// The sum of all days of a merchant, in cents.
async fn total(s: &Stage, id: &str, known: Option<Micros>) -> i64 {
    let (first, last) = (DAY - 100, DAY + 100);
    let spend = s.store.reads().spend(&[id], first, last, known).await;
    let spend = spend.unwrap().remove(&merchant(id)).unwrap_or_default();
    let days = spend.days.values().flat_map(|sources| sources.values());
    days.map(|amount| amount.0).sum()
}

async fn rows(s: &Stage) -> Vec<String> {
    s.select(
        "SELECT CONCAT(merchant, ' ', source, ' ', version, ' ', amount, ' ', delta) FROM spend \
         ORDER BY merchant, source, version",
    )
    .await
}

async fn figures_are_accepted_then_unchanged_then_replaced(engine: Engine) {
    let s = Stage::new(engine).await;
    let (a, b) = (entry("a", "juguang", 100), entry("b", "juguang", 0));
    let both = [a.clone(), b.clone()];
    assert_eq!(import(&s, &both, NOW).await, counts(2, 0, 0));
    assert_eq!(import(&s, &both, NOW).await, counts(0, 2, 0));
    let changed = [entry("a", "juguang", 99), b];
    assert_eq!(import(&s, &changed, NOW).await, counts(0, 1, 1));
    assert_eq!(
        rows(&s).await,
        [
            "a juguang 1 100 100",
            "a juguang 2 99 -1",
            "b juguang 1 0 0"
        ]
    );
    let of = "SELECT CAST(import_no AS text) FROM spend ORDER BY merchant, version";
    assert_eq!(s.select(of).await, ["1", "3", "1"]);
    assert_eq!(import(&s, &[], NOW).await, counts(0, 0, 0));
}

async fn a_replaced_figure_stays_known_as_of_then(engine: Engine) {
    let s = Stage::new(engine).await;
    for (seconds, cents) in [(0, 500), (10, 700), (20, 200)] {
        import(&s, &[entry("a", "juguang", cents)], NOW + seconds * SECOND).await;
    }
    for (seconds, cents) in [(0, 500), (9, 500), (10, 700), (19, 700), (20, 200)] {
        let known = Some(NOW + seconds * SECOND);
        assert_eq!(total(&s, "a", known).await, cents, "after {seconds} s");
    }
    assert_eq!(total(&s, "a", Some(Micros(NOW.0 - 1))).await, 0);
    assert_eq!(total(&s, "a", None).await, 200);
}

/// Figures and changes are of the same rows: what was added since is part of the figure.
async fn figures_come_with_what_was_added_since(engine: Engine) {
    let s = Stage::new(engine).await;
    for (seconds, cents) in [(0, 500), (10, 700), (20, 200)] {
        import(&s, &[entry("a", "juguang", cents)], NOW + seconds * SECOND).await;
    }
    import(&s, &[entry("a", "qianfan", 9)], NOW + 15 * SECOND).await;
    let days = (DAY, DAY);
    for (since, known, sum, added) in [
        (0, None, 209, &[(10, 200), (15, 9), (18, -500)][..]),
        (10, None, 209, &[(15, 9), (18, -500)]),
        (20, None, 209, &[]),
        (0, Some(NOW + 15 * SECOND), 709, &[(10, 200), (15, 9)]),
    ] {
        let (since, now) = (NOW + since * SECOND, NOW + 18 * SECOND);
        let reads = s.store.reads();
        let spend = reads.spend_since(&["a", "b"], days, since, now, known);
        let mut spend = spend.await.unwrap();
        let found = spend.remove(&merchant("a")).unwrap();
        assert!(spend.is_empty());
        assert_eq!(found.of_day(DAY), Some(Money(sum)));
        let mut changes: Vec<_> = found.changes.iter().map(|c| (c.time, c.delta)).collect();
        changes.sort_unstable();
        let expected = added
            .iter()
            .map(|(t, cents)| (NOW + *t * SECOND, Money(*cents)));
        assert_eq!(changes, expected.collect::<Vec<_>>());
    }
}

async fn figures_in_one_chunk_count_as_if_one_by_one(engine: Engine) {
    let s = Stage::new(engine).await;
    let chunk = [10, 10, 20, 10].map(|cents| entry("a", "juguang", cents));
    assert_eq!(import(&s, &chunk, NOW).await, counts(1, 1, 2));
    assert_eq!(total(&s, "a", None).await, 10);
    assert_eq!(rows(&s).await.len(), 3);
}

async fn sources_add_up_and_refunds_are_negative(engine: Engine) {
    let s = Stage::new(engine).await;
    let chunk = [
        entry("a", "juguang", 1000),
        entry("a", "other_1", 500),
        entry("a", "refunds", -700),
    ];
    assert_eq!(import(&s, &chunk, NOW).await, counts(3, 0, 0));
    assert_eq!(total(&s, "a", None).await, 800);
}

/// Over several of SQLite's statements, with every kind in each.
async fn a_large_chunk_mixes_new_old_and_changed(engine: Engine) {
    let s = Stage::new(engine).await;
    let many = |cents: &dyn Fn(usize) -> Option<i64>| -> Vec<_> {
        let entries = (0..2011).filter_map(|n| Some((n, cents(n)?)));
        entries
            .map(|(n, cents)| entry(&format!("m{:04}", n * 7 % 2011), "juguang", cents))
            .collect()
    };
    let first = many(&|n| (n % 3 != 0).then_some(n as i64));
    assert_eq!(import(&s, &first, NOW).await, counts(1340, 0, 0));
    let second = many(&|n| Some(if n % 3 == 1 { -5 } else { n as i64 }));
    assert_eq!(import(&s, &second, NOW).await, counts(671, 670, 670));
    let sums = "SELECT CAST(sum(delta) AS text) FROM spend";
    let expected: i64 = second.iter().map(|entry| entry.amount.0).sum();
    assert_eq!(s.select(sums).await, [expected.to_string()]);
}

async fn a_chunk_that_is_not_committed_never_was(engine: Engine) {
    let s = Stage::new(engine).await;
    let no = begin(&s, None).await.no;
    let (turn, tx) = s.store.begin_import().await.unwrap();
    let chunk = [entry("a", "juguang", 1)];
    tx.import_chunk(no, &chunk, NOW).await.unwrap();
    drop((tx, turn));
    assert_eq!(total(&s, "a", None).await, 0);
    assert_eq!(import(&s, &chunk, NOW).await, counts(1, 0, 0));
}

async fn importers_at_once_lose_nothing(engine: Engine) {
    let s = Stage::new(engine).await;
    let one = async |n: i64| {
        let mut sum = SpendCounts::default();
        for round in 0..5 {
            let ids = (0..40).map(|id| (id + n * 13) % 40);
            let chunk: Vec<_> = ids
                .map(|id| entry(&format!("m{id:02}"), "juguang", n * 100 + round))
                .collect();
            sum += import(&s, &chunk, NOW).await;
        }
        sum
    };
    let mut sum = SpendCounts::default();
    for counts in join_all((1..=6).map(one)).await {
        sum += counts;
    }
    // No figure of two senders is the same.
    assert_eq!(sum, counts(40, 0, 40 * 29));
    let last = "SELECT CAST(sum(delta) AS text) FROM spend GROUP BY merchant";
    let latest = "SELECT CAST(amount AS text) FROM spend s WHERE version = 30";
    let (mut last, mut latest) = (s.select(last).await, s.select(latest).await);
    last.sort();
    latest.sort();
    assert_eq!(last, latest);
    assert_eq!(last.len(), 40);
}

/// Whatever the clocks of two replicas say.
async fn times_of_a_figure_only_grow(engine: Engine) {
    let s = Stage::new(engine).await;
    for (now, cents) in [(NOW + SECOND, 1), (NOW, 2), (NOW, 3)] {
        import(&s, &[entry("a", "juguang", cents)], now).await;
    }
    let times = "SELECT CAST(time AS text) FROM spend ORDER BY version";
    let later = NOW + SECOND;
    let wanted = [0, 1, 2].map(|n| (later.0 + n).to_string());
    assert_eq!(s.select(times).await, wanted);
}

async fn a_days_first_figure_dates_its_source(engine: Engine) {
    let s = Stage::new(engine).await;
    import(&s, &[entry("a", "juguang", 1)], NOW).await;
    import(&s, &[entry("b", "juguang", 1)], NOW + SECOND).await;
    let reads = s.store.reads();
    let sources = reads.sources(DAY, DAY, Some(NOW)).await.unwrap();
    assert_eq!(sources.0["juguang"].0[&DAY].first, NOW);
    let before = Some(Micros(NOW.0 - 1));
    assert!(reads.sources(DAY, DAY, before).await.unwrap().0.is_empty());
}

async fn a_complete_day_keeps_its_first_word(engine: Engine) {
    let s = Stage::new(engine).await;
    import(&s, &[entry("a", "juguang", 1)], NOW).await;
    for seconds in [1, 2] {
        let at = NOW + seconds * SECOND;
        let day = s
            .write(async |tx| tx.complete_day("juguang", DAY, AUTHOR, at).await.unwrap())
            .await;
        assert_eq!(day.complete_time, NOW + SECOND);
    }
    let first = "SELECT CONCAT(first_time, ' ', completed_by) FROM spend_days";
    assert_eq!(s.select(first).await, [format!("{} {AUTHOR}", NOW.0)]);
    let sources = s.store.reads().sources(DAY, DAY, Some(NOW)).await.unwrap();
    assert!(sources.complete_from(DAY).is_none());
    let sources = s.store.reads().sources(DAY, DAY, None).await.unwrap();
    assert_eq!(sources.complete_from(DAY), Some(NOW + SECOND));
}

async fn an_import_is_gone_on_with_by_one_alone(engine: Engine) {
    let s = Stage::new(engine).await;
    let row = begin(&s, Some("digest")).await;
    let reads = s.store.reads();
    assert_eq!(
        reads.unfinished_import("digest", NOW).await.unwrap(),
        Some(row.clone())
    );
    assert_eq!(reads.unfinished_import("other", NOW).await.unwrap(), None);
    let later = NOW + SECOND;
    assert_eq!(
        reads.unfinished_import("digest", later).await.unwrap(),
        None
    );

    let advance = async |from: &SpendImport, to| {
        let tx = s.store.begin().await.unwrap();
        let done = tx.advance_import(from, to, counts(1, 2, 3), NOW).await;
        tx.commit().await.unwrap();
        done
    };
    advance(&row, 100).await.unwrap();
    assert!(advance(&row, 100).await.unwrap_err().is_conflict());
    let kept = reads
        .unfinished_import("digest", NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!((kept.position, kept.counts), (100, counts(1, 2, 3)));
    s.write(async |tx| tx.finish_import(&kept, later).await.unwrap())
        .await;
    assert_eq!(reads.unfinished_import("digest", NOW).await.unwrap(), None);
    assert!(advance(&kept, 200).await.unwrap_err().is_conflict());
}

async fn an_import_begins_anew_where_another_came_later(engine: Engine) {
    let s = Stage::new(engine).await;
    begin(&s, Some("cut")).await;
    let later = begin(&s, Some("later")).await;
    let reads = s.store.reads();
    assert_eq!(reads.unfinished_import("cut", NOW).await.unwrap(), None);
    let unfinished = reads.unfinished_import("later", NOW).await.unwrap();
    assert_eq!(unfinished, Some(later));
}

async fn what_comes_late_with_an_old_import_is_news(engine: Engine) {
    let s = Stage::new(engine).await;
    let old = begin(&s, Some("old")).await;
    begin(&s, Some("new")).await;
    let later = NOW + 1000 * SECOND;
    assert!(s.store.reads().latest_news().await.unwrap().unwrap() < later);
    s.write(async |tx| {
        let advanced = tx.advance_import(&old, 100, counts(1, 0, 0), later).await;
        advanced.unwrap();
    })
    .await;
    let reads = s.store.reads();
    assert_eq!(reads.latest_news().await.unwrap(), Some(later));
    let end = later + SECOND;
    s.write(async |tx| tx.finish_import(&old, end).await.unwrap())
        .await;
    assert_eq!(reads.latest_news().await.unwrap(), Some(end));
}
