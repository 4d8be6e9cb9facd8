//! Programs and enrollments: as they stand, and as they stood.

use std::sync::Arc;

use mingpian::{
    domain::{
        ContactKind, Enrollment, List, Micros, Money, Program, ProgramDraft, ProgramName,
        ProgramState, SurfaceKind,
    },
    store::{Store, Tx},
};
use tokio::time::timeout;

use super::{AUTHOR, NOW, SECOND, SORTED_IDS, Stage, merchant, options};
use crate::{
    on_both_engines,
    support::{Engine, Scratch},
};

on_both_engines!(
    a_program_reads_back_as_written,
    a_taken_name_is_none_and_leaves_nothing,
    programs_are_known_as_they_stood,
    a_program_that_is_rolled_back_leaves_no_version,
    the_same_version_of_a_program_twice_is_a_conflict,
    programs_go_by_the_bytes_of_their_ids,
    what_has_ended_is_not_counted,
    a_decision_looks_at_what_is_not_over_or_at_what_ended_last,
    lists_are_known_as_they_stood,
    an_enrollment_is_written_over_and_its_versions_stay,
    enrollments_go_by_the_bytes_of_their_merchants,
    replicas_that_start_together_make_one_default_program,
    a_later_start_makes_no_default_program,
    a_locked_program_waits_for_its_holder,
    programs_are_counted_one_after_the_other,
);

fn program(id: &str) -> Program {
    Program::new(ProgramName::new(id).unwrap(), ProgramDraft::default(), NOW)
}

async fn insert(tx: &Tx, program: Program) -> Option<Program> {
    tx.insert_program(program, AUTHOR).await.unwrap()
}

async fn add(s: &Stage, program: Program) -> Program {
    s.write(async |tx| insert(tx, program).await.unwrap()).await
}

async fn save(s: &Stage, program: &Program) {
    s.write(async |tx| tx.save_program(program, AUTHOR).await.unwrap())
        .await;
}

async fn enroll(s: &Stage, enrollment: &Enrollment) {
    s.write(async |tx| tx.save_enrollment(enrollment, AUTHOR).await.unwrap())
        .await;
}

/// The programs beside the default, by id, as known then.
async fn known(s: &Stage, at: Micros) -> Vec<Program> {
    let mut programs = s.store.reads().programs_at(at).await.unwrap();
    programs.retain(|p| p.name.id() != "default");
    programs
}

async fn a_program_reads_back_as_written(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut odd = Program {
        display_name: "内测 🧪 – 1".into(),
        state: ProgramState::Paused,
        surfaces: vec![SurfaceKind::ChatMenu, SurfaceKind::CardMessage],
        kinds: vec![ContactKind::WechatId],
        threshold: Money(-100_000_000_000_000),
        window_days: 90,
        serving_grace_days: 0,
        configuration_grace_days: 90,
        start_time: Some(Micros::MIN),
        end_time: Some(Micros::MAX),
        share_permille: 1,
        ..program("odd")
    };
    let made = add(&s, odd.clone()).await;
    assert!(made.no > 0);
    odd.no = made.no;
    assert_eq!(made, odd);
    let reads = s.store.reads();
    assert_eq!(reads.program(&odd.name).await.unwrap(), Some(odd.clone()));
    assert_eq!(known(&s, NOW).await, std::slice::from_ref(&odd));

    let next = Program {
        state: ProgramState::Ended,
        surfaces: SurfaceKind::ALL.to_vec(),
        kinds: ContactKind::ALL.to_vec(),
        threshold: Money(100_000_000_000_000),
        start_time: None,
        end_time: None,
        share_permille: 1000,
        ..odd.next(NOW + SECOND)
    };
    save(&s, &next).await;
    assert_eq!(reads.program(&odd.name).await.unwrap(), Some(next.clone()));
    let other = ProgramName::new("od").unwrap();
    assert_eq!(reads.program(&other).await.unwrap(), None);
}

async fn a_taken_name_is_none_and_leaves_nothing(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = add(&s, program("p")).await;
    s.write(async |tx| {
        assert_eq!(insert(tx, program("p")).await, None);
        // The transaction lives.
        insert(tx, program("q")).await.unwrap();
    })
    .await;
    let found = s.store.reads().program(&first.name).await.unwrap();
    assert_eq!(found, Some(first));
    assert_eq!(known(&s, NOW).await.len(), 2);
}

async fn programs_are_known_as_they_stood(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut stood = vec![add(&s, program("b")).await];
    // The clock stands, goes on, and goes back; of eleven versions the tenth comes before the
    // eleventh.
    for i in 1..=10_i64 {
        let clock = Micros(NOW.0 + [0, 5_000_000, -7][(i % 3) as usize]);
        let last = stood.last().unwrap();
        let next = Program {
            share_permille: u16::try_from(i).unwrap(),
            ..last.next(clock)
        };
        save(&s, &next).await;
        stood.push(next);
    }
    assert!(stood.is_sorted_by(|a, b| a.update_time < b.update_time));
    // Another, which was made before and sorts first, and does not change.
    let early = Program {
        create_time: Micros(NOW.0 - 100),
        update_time: Micros(NOW.0 - 100),
        ..program("a")
    };
    let early = add(&s, early).await;

    assert_eq!(known(&s, Micros(NOW.0 - 101)).await, []);
    assert_eq!(
        known(&s, Micros(NOW.0 - 1)).await,
        std::slice::from_ref(&early)
    );
    for (i, version) in stood.iter().enumerate() {
        let begin = version.update_time.0;
        let end = stood.get(i + 1).map_or(begin + 9, |v| v.update_time.0);
        for time in [begin, end - 1] {
            let expected = [early.clone(), version.clone()];
            assert_eq!(known(&s, Micros(time)).await, expected, "at {time}");
        }
    }
    let rows = s.select(
        "SELECT author FROM program_versions v JOIN programs p ON p.no = v.no \
         WHERE p.id = 'b' ORDER BY v.version",
    );
    assert_eq!(rows.await, [AUTHOR; 11]);
}

async fn a_program_that_is_rolled_back_leaves_no_version(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = add(&s, program("p")).await;
    let tx = s.store.begin().await.unwrap();
    tx.save_program(&first.next(NOW), AUTHOR).await.unwrap();
    insert(&tx, program("q")).await.unwrap();
    let listed = Enrollment::new(&first, merchant("klook"), List::Deny, None, NOW);
    tx.save_enrollment(&listed, AUTHOR).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(known(&s, NOW + SECOND).await, [first]);
    let lists = s.store.reads().lists_at(&["klook"], NOW + SECOND).await;
    assert_eq!(lists.unwrap(), []);
}

async fn the_same_version_of_a_program_twice_is_a_conflict(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = add(&s, program("p")).await;
    let next = first.next(NOW);
    save(&s, &next).await;
    let tx = s.store.begin().await.unwrap();
    let again = tx.save_program(&next, AUTHOR).await;
    assert!(again.unwrap_err().is_conflict());
    drop(tx);
    let listed = Enrollment::new(&first, merchant("klook"), List::Deny, None, NOW);
    enroll(&s, &listed).await;
    let tx = s.store.begin().await.unwrap();
    let again = tx.save_enrollment(&listed, AUTHOR).await;
    assert!(again.unwrap_err().is_conflict());
}

async fn programs_go_by_the_bytes_of_their_ids(engine: Engine) {
    let s = Stage::new(engine).await;
    for id in SORTED_IDS.iter().rev() {
        add(&s, program(id)).await;
    }
    let mut expected: Vec<_> = SORTED_IDS.to_vec();
    expected.push("default");
    let ids = |programs: Vec<Program>| -> Vec<String> {
        programs.iter().map(|p| p.name.id().to_owned()).collect()
    };
    let reads = s.store.reads();
    assert_eq!(ids(reads.programs_page("", 100).await.unwrap()), expected);
    assert_eq!(ids(reads.programs(NOW).await.unwrap()), expected);
    assert_eq!(ids(reads.unended_programs().await.unwrap()), expected);
    assert_eq!(ids(reads.programs_at(NOW).await.unwrap()), expected);
    for (i, id) in expected.iter().enumerate() {
        let page = reads.programs_page(id, 2).await.unwrap();
        let rest: Vec<_> = expected[i + 1..].iter().take(2).collect();
        assert_eq!(ids(page).iter().collect::<Vec<_>>(), rest, "after {id}");
    }
}

async fn what_has_ended_is_not_counted(engine: Engine) {
    let s = Stage::new(engine).await;
    let count = async || s.store.reads().count_programs().await.unwrap();
    assert_eq!(count().await, 1);
    let first = add(&s, program("p")).await;
    assert_eq!(count().await, 2);
    let paused = first.to(ProgramState::Paused, NOW);
    save(&s, &paused).await;
    assert_eq!(count().await, 2);
    save(&s, &paused.to(ProgramState::Ended, NOW)).await;
    assert_eq!(count().await, 1);
}

async fn a_decision_looks_at_what_is_not_over_or_at_what_ended_last(engine: Engine) {
    let s = Stage::new(engine).await;
    let default = ProgramName::new("default").unwrap();
    let default = s.store.reads().program(&default).await.unwrap().unwrap();
    let long_ended = Program {
        end_time: Some(NOW + 2 * SECOND),
        ..program("a")
    };
    let a = add(&s, long_ended).await;
    let b = add(&s, program("b")).await;
    let dated = Program {
        end_time: Some(NOW + 8 * SECOND),
        ..program("c")
    };
    add(&s, dated).await;
    save(&s, &b.to(ProgramState::Ended, NOW + 4 * SECOND)).await;
    // Over by its date long before the call.
    save(&s, &a.to(ProgramState::Ended, NOW + 9 * SECOND)).await;
    save(&s, &default.to(ProgramState::Ended, NOW + 6 * SECOND)).await;

    let ids = |programs: Vec<Program>| -> Vec<String> {
        let ids = programs.iter().map(|p| p.name.id().to_owned());
        ids.collect()
    };
    let reads = s.store.reads();
    for (seconds, expected) in [
        (0, &["a", "b", "c", "default"][..]),
        (2, &["b", "c", "default"]),
        (4, &["c", "default"]),
        (6, &["c"]),
        (8, &["c"]),
        (9, &["c"]),
    ] {
        let then = reads.programs_at(NOW + seconds * SECOND).await.unwrap();
        assert_eq!(ids(then), expected, "{seconds}");
    }
    let now = async |seconds: u32| ids(reads.programs(NOW + seconds * SECOND).await.unwrap());
    assert_eq!(now(7).await, ["c"]);
    assert_eq!(now(8).await, ["c"]);
    let c = reads.program(&ProgramName::new("c").unwrap()).await;
    save(
        &s,
        &c.unwrap()
            .unwrap()
            .to(ProgramState::Ended, NOW + 7 * SECOND),
    )
    .await;
    assert_eq!(now(10).await, ["c"]);
    let unended = reads.unended_programs().await.unwrap();
    assert_eq!(unended, []);
    // Of those that calls have ended, by the date where that came first.
    let then = reads.programs_at(NOW + 30 * SECOND).await.unwrap();
    assert_eq!(ids(then), ["c"]);
}

async fn lists_are_known_as_they_stood(engine: Engine) {
    let s = Stage::new(engine).await;
    let (one, two) = (add(&s, program("one")).await, add(&s, program("two")).await);
    let klook = merchant("klook");
    let new = |p: &Program, m: &str, list, now| Enrollment::new(p, merchant(m), list, None, now);
    let allowed = new(&one, "klook", List::Allow, NOW);
    let gone = allowed.clone().deleted(NOW);
    let denied = Enrollment::new(&one, klook.clone(), List::Deny, Some(&gone), NOW + SECOND);
    let other = new(&two, "klook", List::Allow, NOW + 2 * SECOND);
    let stranger = new(&one, "klook-2", List::Deny, NOW);
    for e in [&allowed, &gone, &denied, &other, &stranger] {
        enroll(&s, e).await;
    }
    let at = async |time: i64| {
        let reads = s.store.reads();
        let mut lists = reads.lists_at(&["klook"], Micros(time)).await.unwrap();
        lists.sort_by_key(|(no, ..)| *no);
        lists
    };
    let as_listed = |e: &Enrollment| (e.program_no, e.merchant.clone(), e.list);
    assert_eq!(at(NOW.0 - 1).await, []);
    assert_eq!(at(NOW.0).await, [as_listed(&allowed)]);
    assert_eq!(at(NOW.0 + 1).await, []);
    assert_eq!(at(denied.update_time.0 - 1).await, []);
    assert_eq!(at(denied.update_time.0).await, [as_listed(&denied)]);
    let both = [as_listed(&denied), as_listed(&other)];
    assert_eq!(at(other.update_time.0).await, both);

    // Now is the same as then; of several merchants each has its own, of none there are none.
    let mut now = s.store.reads().lists(&["klook", "nobody"]).await.unwrap();
    now.sort_by_key(|(no, ..)| *no);
    assert_eq!(now, both);
    let all = s.store.reads().lists_at(&["klook-2", "klook"], Micros::MAX);
    assert_eq!(all.await.unwrap().len(), 3);
    assert_eq!(s.store.reads().lists(&[]).await.unwrap(), []);
    assert_eq!(s.store.reads().lists_at(&[], NOW).await.unwrap(), []);
}

async fn an_enrollment_is_written_over_and_its_versions_stay(engine: Engine) {
    let s = Stage::new(engine).await;
    let p = add(&s, program("p")).await;
    let klook = merchant("klook");
    let reads = s.store.reads();
    assert_eq!(reads.enrollment(&p, &klook).await.unwrap(), None);
    let first = Enrollment::new(&p, klook.clone(), List::Allow, None, NOW);
    let gone = first.clone().deleted(NOW + SECOND);
    let again = Enrollment::new(&p, klook.clone(), List::Deny, Some(&gone), NOW);
    for e in [&first, &gone, &again] {
        enroll(&s, e).await;
        let found = reads.enrollment(&p, &klook).await.unwrap();
        assert_eq!(found.as_ref(), Some(e));
        let page = reads.enrollments_page(&p, "", 10).await.unwrap();
        let shown: Vec<_> = [e.clone()].into_iter().filter(|e| !e.deleted).collect();
        assert_eq!(page, shown);
    }
    let versions = s.select(
        "SELECT version || '/' || list || '/' || author FROM enrollment_versions \
         ORDER BY version",
    );
    assert_eq!(versions.await, ["1/1/tester", "2/1/tester", "3/2/tester"]);
}

async fn enrollments_go_by_the_bytes_of_their_merchants(engine: Engine) {
    let s = Stage::new(engine).await;
    let (p, q) = (add(&s, program("p")).await, add(&s, program("q")).await);
    for id in SORTED_IDS.iter().rev() {
        for program in [&p, &q] {
            let e = Enrollment::new(program, merchant(id), List::Allow, None, NOW);
            enroll(&s, &e).await;
        }
    }
    let page = async |after: &str, limit| -> Vec<String> {
        let rows = s.store.reads().enrollments_page(&p, after, limit).await;
        let ids = rows.unwrap().into_iter();
        ids.map(|e| e.merchant.id().to_owned()).collect()
    };
    assert_eq!(page("", 100).await, SORTED_IDS);
    assert_eq!(page(SORTED_IDS[3], 2).await, SORTED_IDS[4..6]);
}

async fn replicas_that_start_together_make_one_default_program(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let starting = (0..6).map(|i: i64| {
        let options = options(&scratch.url);
        async move {
            let store = Store::open(&options).await.unwrap();
            store.migrate(Micros(NOW.0 + i)).await.unwrap();
            store
        }
    });
    let stores = futures_util::future::join_all(starting).await;
    let all = stores[0].reads().programs_page("", 10).await.unwrap();
    let [made] = &all[..] else {
        panic!("{all:?}");
    };
    // The brief's values.
    assert_eq!(made.name.to_string(), "programs/default");
    assert_eq!(made.state, ProgramState::Running);
    assert_eq!(made.surfaces, SurfaceKind::ALL);
    assert_eq!(made.kinds, [ContactKind::Wecom, ContactKind::Phone]);
    assert_eq!(made.threshold, Money(100_000));
    let days = (
        made.window_days,
        made.serving_grace_days,
        made.configuration_grace_days,
    );
    assert_eq!(days, (30, 7, 0));
    assert_eq!((made.start_time, made.end_time), (None, None));
    assert_eq!((made.share_permille, made.version), (1000, 1));
    assert!((NOW.0..NOW.0 + 6).contains(&made.create_time.0));
    // It has been known since then.
    let then = stores[0].reads().programs_at(made.create_time).await;
    assert_eq!(then.unwrap(), all);
    let before = stores[0]
        .reads()
        .programs_at(Micros(made.create_time.0 - 1));
    assert_eq!(before.await.unwrap(), []);
}

async fn a_later_start_makes_no_default_program(engine: Engine) {
    let s = Stage::new(engine).await;
    let name = ProgramName::new("default").unwrap();
    let first = s.store.reads().program(&name).await.unwrap().unwrap();
    let ended = first.to(ProgramState::Ended, NOW + SECOND);
    save(&s, &ended).await;
    s.store.migrate(NOW + 2 * SECOND).await.unwrap();
    let all = s.store.reads().programs_page("", 10).await.unwrap();
    assert_eq!(all, [ended]);
}

/// Two transactions; the second wants what the first has, and sees what the first left.
async fn a_locked_program_waits_for_its_holder(engine: Engine) {
    let s = Arc::new(Stage::new(engine).await);
    let first = add(&s, program("p")).await;
    let tx = s.store.begin().await.unwrap();
    let held = tx.lock_program(&first.name).await.unwrap().unwrap();
    let paused = held.to(ProgramState::Paused, NOW);
    tx.save_program(&paused, AUTHOR).await.unwrap();
    let waiting = tokio::spawn({
        let (s, name) = (s.clone(), first.name.clone());
        async move {
            let tx = s.store.begin().await.unwrap();
            tx.lock_program(&name).await.unwrap()
        }
    });
    s.someone_waits().await;
    assert!(!waiting.is_finished());
    // Readers do not wait.
    let read = timeout(5 * SECOND, s.store.reads().program(&first.name)).await;
    assert_eq!(read.unwrap().unwrap(), Some(first));
    tx.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Some(paused));
}

async fn programs_are_counted_one_after_the_other(engine: Engine) {
    let s = Arc::new(Stage::new(engine).await);
    let tx = s.store.begin().await.unwrap();
    tx.lock_programs().await.unwrap();
    insert(&tx, program("p")).await.unwrap();
    let waiting = tokio::spawn({
        let s = s.clone();
        async move {
            let tx = s.store.begin().await.unwrap();
            tx.lock_programs().await.unwrap();
            tx.count_programs().await.unwrap()
        }
    });
    s.someone_waits().await;
    tx.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap(), 2);
}
