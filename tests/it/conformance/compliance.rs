//! Violations, sanctions and appeals at rest, and the feed of sanctions.

use mingpian::{
    domain::{
        Appeal, AppealName, Micros, Sanction, SanctionKind, SanctionName, Violation, ViolationName,
        ViolationState,
        appeal::{Outcome, Subject},
        sanction::Lift,
        violation::{Charge, Decision},
    },
    store::{Against, Sought},
};

use super::{AUTHOR, NOW, SECOND, Stage, merchant};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    each_reads_back_as_written_and_keeps_its_versions,
    a_taken_name_or_subject_is_none_and_the_transaction_goes_on,
    a_violation_that_cost_points_once_is_charged_for_good,
    credit_is_told_of_what_still_counts_and_of_the_latest_changes,
    credit_is_told_as_of_one_moment,
    pages_go_back_from_the_latest,
    a_sanction_is_listed_as_it_was_known,
    what_is_not_over_counts_but_for_what_is_done_at_once,
    the_feed_grows_in_the_order_of_commits,
    appeals_are_found_by_what_they_are_against,
);

fn violation(id: &str) -> Violation {
    Violation {
        no: 0,
        name: ViolationName::new(merchant("klook"), id).unwrap(),
        rule: "qq".into(),
        points: 6,
        papers: "c2VhbGVk".into(),
        item_ids: vec!["p1".into()],
        event_time: NOW,
        reporter: "报告人".into(),
        state: ViolationState::Reported,
        decision: None,
        charge: None,
        version: 1,
        create_time: NOW,
        update_time: NOW,
    }
}

fn sanction(merchant_id: &str, id: &str) -> Sanction {
    Sanction {
        no: 0,
        name: SanctionName::new(merchant(merchant_id), id).unwrap(),
        kind: SanctionKind::CardsSuspended,
        item_ids: Vec::new(),
        channels: Vec::new(),
        amount: None,
        start_time: NOW,
        end_time: None,
        reason: "多次违规".into(),
        rule: "qq".into(),
        violation: None,
        papers: String::new(),
        author: AUTHOR.into(),
        lift: None,
        version: 1,
        create_time: NOW,
        update_time: NOW,
    }
}

fn appeal(id: &str, against: &Sanction) -> Appeal {
    Appeal {
        no: 0,
        name: AppealName::new(merchant("klook"), id).unwrap(),
        subject: Subject::Sanction(against.name.clone()),
        papers: "c2VhbGVk".into(),
        author: AUTHOR.into(),
        due_time: NOW + SECOND,
        outcome: None,
        version: 1,
        create_time: NOW,
        update_time: NOW,
    }
}

fn lift(at: Micros) -> Lift {
    Lift {
        time: at,
        author: AUTHOR.into(),
        reason: "已整改".into(),
        appeal: None,
    }
}

fn confirmed(violation: Violation) -> Violation {
    let decision = Decision {
        time: NOW + SECOND,
        author: AUTHOR.into(),
        reason: "属实".into(),
    };
    let charge = Charge {
        conduct_version: "1".into(),
        balance: 6,
        sanctions: Vec::new(),
        appeal_end_time: NOW + 2 * SECOND,
        return_time: None,
        overturned: None,
    };
    violation.decided(ViolationState::Confirmed, decision, Some(charge))
}

async fn report(s: &Stage, id: &str) -> Violation {
    let made = s.write(async |tx| tx.insert_violation(violation(id), AUTHOR).await.unwrap());
    made.await.unwrap()
}

async fn impose(s: &Stage, sanction: Sanction) -> Sanction {
    let made = s.write(async |tx| tx.insert_sanction(sanction, None, AUTHOR).await.unwrap());
    made.await.unwrap()
}

async fn object(s: &Stage, id: &str, to: &Sanction) -> Option<Appeal> {
    let against = Against::Sanction(to.no);
    s.write(async |tx| {
        tx.insert_appeal(appeal(id, to), against, AUTHOR)
            .await
            .unwrap()
    })
    .await
}

async fn each_reads_back_as_written_and_keeps_its_versions(engine: Engine) {
    let s = Stage::new(engine).await;
    let reads = s.store.reads();
    let v = report(&s, "v").await;
    assert_eq!(reads.violation(&v.name).await.unwrap(), Some(v.clone()));
    let v = confirmed(v);
    s.write(async |tx| {
        let locked = tx.lock_violation(&v.name).await.unwrap().unwrap();
        assert_eq!(locked.state, ViolationState::Reported);
        tx.save_violation(&v, AUTHOR).await.unwrap();
    })
    .await;
    assert_eq!(reads.violation(&v.name).await.unwrap(), Some(v.clone()));

    let follows = Sanction {
        violation: Some(v.name.clone()),
        ..sanction("klook", "s")
    };
    let made = s.write(async |tx| {
        tx.insert_sanction(follows, Some(v.no), AUTHOR)
            .await
            .unwrap()
    });
    let set = made.await.unwrap();
    assert_eq!(reads.sanction(&set.name).await.unwrap(), Some(set.clone()));
    let set = set.lifted(lift(NOW + SECOND));
    s.write(async |tx| {
        assert!(tx.lock_sanction(&set.name).await.unwrap().is_some());
        tx.save_sanction(&set, AUTHOR).await.unwrap();
    })
    .await;
    assert_eq!(reads.sanction(&set.name).await.unwrap(), Some(set.clone()));
    // What it follows from outlasts a change.
    let of = s.write(async |tx| tx.lock_sanctions_of(v.no).await.unwrap());
    assert_eq!(of.await, std::slice::from_ref(&set));

    let made = object(&s, "a", &set).await.unwrap();
    assert_eq!(reads.appeal(&made.name).await.unwrap(), Some(made.clone()));
    let decided = made.decided(Outcome {
        time: NOW + SECOND,
        author: AUTHOR.into(),
        reason: "不成立".into(),
        loss: None,
    });
    s.write(async |tx| tx.save_appeal(&decided, AUTHOR).await.unwrap())
        .await;
    assert_eq!(
        reads.appeal(&decided.name).await.unwrap(),
        Some(decided.clone())
    );
    let against = reads.appeals_against(&[], &[set.no]).await.unwrap();
    assert_eq!(against, [decided]);
    for table in ["violation_versions", "sanction_versions", "appeal_versions"] {
        let versions =
            format!("SELECT CAST(version AS text) || author FROM {table} ORDER BY version");
        assert_eq!(s.select(&versions).await, ["1tester", "2tester"], "{table}");
    }
}

async fn a_taken_name_or_subject_is_none_and_the_transaction_goes_on(engine: Engine) {
    let s = Stage::new(engine).await;
    report(&s, "v").await;
    let set = impose(&s, sanction("klook", "s")).await;
    object(&s, "a", &set).await.unwrap();
    let changes = s.store.reads().last_sanction_change().await.unwrap();
    s.write(async |tx| {
        let twice = tx.insert_violation(violation("v"), AUTHOR).await;
        assert_eq!(twice.unwrap(), None);
        let twice = tx
            .insert_sanction(sanction("klook", "s"), None, AUTHOR)
            .await;
        assert_eq!(twice.unwrap(), None);
        for id in ["a", "b"] {
            let against = Against::Sanction(set.no);
            let twice = tx.insert_appeal(appeal(id, &set), against, AUTHOR).await;
            assert_eq!(twice.unwrap(), None, "{id}");
        }
        tx.insert_violation(violation("w"), AUTHOR)
            .await
            .unwrap()
            .unwrap();
    })
    .await;
    let reads = s.store.reads();
    assert_eq!(reads.count_reported(&merchant("klook")).await.unwrap(), 2);
    // What was not written is no change.
    assert_eq!(reads.last_sanction_change().await.unwrap(), changes);
}

async fn a_violation_that_cost_points_once_is_charged_for_good(engine: Engine) {
    let s = Stage::new(engine).await;
    let ids = ["reported", "confirmed", "overturned", "dismissed"];
    let mut made = Vec::new();
    for id in ids {
        made.push(report(&s, id).await);
    }
    let [_, one, two, three]: [Violation; 4] = made.try_into().unwrap();
    let one = confirmed(one);
    let two = confirmed(two).overturned("judge", NOW + 2 * SECOND);
    let decision = one.decision.clone().unwrap();
    let three = three.decided(ViolationState::Dismissed, decision, None);
    s.write(async |tx| {
        for violation in [&one, &two, &three] {
            tx.save_violation(violation, AUTHOR).await.unwrap();
        }
    })
    .await;
    let reads = s.store.reads();
    let klook = merchant("klook");
    let charged = reads.violations_charged(&klook, NOW + 9 * SECOND, 9).await;
    assert_eq!(charged.unwrap(), [one, two]);
    let other = merchant("other");
    let none = reads.violations_charged(&other, NOW + 9 * SECOND, 9);
    assert_eq!(none.await.unwrap(), []);
    assert_eq!(reads.count_reported(&klook).await.unwrap(), 1);
}

/// Confirmed so many seconds after `NOW`, its points back so many after that.
async fn charge(s: &Stage, id: &str, at: u32, back: Option<u32>) {
    let violation = confirmed(report(s, id).await);
    let (decision, charge) = (violation.decision.unwrap(), violation.charge.unwrap());
    let at = NOW + SECOND * at;
    let violation = Violation {
        decision: Some(Decision {
            time: at,
            ..decision
        }),
        charge: Some(Charge {
            return_time: back.map(|back| at + SECOND * back),
            ..charge
        }),
        update_time: at,
        ..violation
    };
    s.write(async |tx| tx.save_violation(&violation, AUTHOR).await.unwrap())
        .await;
}

async fn credit_is_told_of_what_still_counts_and_of_the_latest_changes(engine: Engine) {
    let s = Stage::new(engine).await;
    for (id, at, back) in [
        ("never", 1, None),
        ("gone", 2, Some(3)),
        ("late", 3, Some(90)),
        ("soon", 4, Some(9)),
    ] {
        charge(&s, id, at, back).await;
    }
    let reads = s.store.reads();
    let klook = merchant("klook");
    let ids = |violations: Vec<Violation>| {
        let ids = violations.iter().map(|v| v.name.id().to_owned());
        ids.collect::<Vec<_>>()
    };
    for (seconds, points) in [(0, 0), (1, 6), (4, 24), (5, 18), (13, 12), (93, 6)] {
        let at = NOW + SECOND * seconds;
        assert_eq!(reads.points_missing(&klook, at).await.unwrap(), points);
        let missing = reads.violations_missing(&klook, at, 9).await.unwrap();
        assert_eq!(missing.len() as u64 * 6, points, "{seconds}");
    }
    let at = NOW + SECOND * 6;
    let missing = reads.violations_missing(&klook, at, 9).await.unwrap();
    assert_eq!(ids(missing), ["soon", "late", "never"]);
    let missing = reads.violations_missing(&klook, at, 1).await.unwrap();
    assert_eq!(ids(missing), ["soon"]);
    // The last change is that `gone` came back, the one before that `soon` was confirmed.
    let charged = reads.violations_charged(&klook, at, 1).await.unwrap();
    assert_eq!(ids(charged), ["gone", "soon"]);
    let last = reads.last_violation_change(&klook).await.unwrap();
    assert_eq!(last, Some(NOW + SECOND * 4));
    let none = reads.last_violation_change(&merchant("other")).await;
    assert_eq!(none.unwrap(), None);
    let other = reads.points_missing(&merchant("other"), at).await;
    assert_eq!(other.unwrap(), 0);
}

/// A violation comes with its sanction, and goes with it.
async fn credit_is_told_as_of_one_moment(engine: Engine) {
    let s = Stage::new(engine).await;
    let klook = merchant("klook");
    let writer = {
        let store = s.store.clone();
        tokio::spawn(async move {
            for i in 0..60 {
                let id = format!("n{i}");
                let tx = store.begin().await.unwrap();
                let made = tx.insert_violation(confirmed(violation(&id)), AUTHOR).await;
                let made = made.unwrap().unwrap();
                let set = tx
                    .insert_sanction(sanction("klook", &id), None, AUTHOR)
                    .await;
                let set = set.unwrap().unwrap();
                tx.commit().await.unwrap();
                let tx = store.begin().await.unwrap();
                let undone = made.overturned(AUTHOR, NOW);
                tx.save_violation(&undone, AUTHOR).await.unwrap();
                let lifted = set.lifted(lift(NOW));
                tx.save_sanction(&lifted, AUTHOR).await.unwrap();
                tx.commit().await.unwrap();
            }
        })
    };
    let reads = s.store.reads();
    let mut seen = [0; 2];
    while !writer.is_finished() {
        let account = reads.credit_account(&klook, NOW + SECOND * 9, None).await;
        let account = account.unwrap();
        assert_eq!(account.missing, 6 * account.sanctions.len() as u64);
        assert_eq!(account.restorable.len(), account.sanctions.len());
        seen[account.sanctions.len()] += 1;
    }
    writer.await.unwrap();
    assert!(seen.iter().all(|&times| times > 0), "{seen:?}");
}

async fn pages_go_back_from_the_latest(engine: Engine) {
    let s = Stage::new(engine).await;
    let mut made = Vec::new();
    for (owner, id) in [("klook", "b"), ("other", "a"), ("klook", "a")] {
        made.push(impose(&s, sanction(owner, id)).await);
    }
    let reads = s.store.reads();
    let klook = merchant("klook");
    let page = async |merchant, before, limit| {
        let sought = Sought {
            merchant,
            ..Default::default()
        };
        let page = reads.sanctions_page(sought, before, limit).await.unwrap();
        page.into_iter().map(|s| s.no).collect::<Vec<_>>()
    };
    let nos: Vec<_> = made.iter().map(|sanction| sanction.no).collect();
    assert_eq!(page(None, None, 2).await, [nos[2], nos[1]]);
    assert_eq!(page(None, Some(nos[1]), 2).await, [nos[0]]);
    assert_eq!(page(Some(&klook), None, 9).await, [nos[2], nos[0]]);
    let violations = [report(&s, "b").await.no, report(&s, "a").await.no];
    let reported = [ViolationState::Reported];
    let page = reads.violations_page(&klook, &reported, None, 9).await;
    let listed: Vec<_> = page.unwrap().iter().map(|v| v.no).collect();
    assert_eq!(listed, [violations[1], violations[0]]);
    let before = Some(violations[1]);
    let page = reads
        .violations_page(&klook, &ViolationState::ALL, before, 9)
        .await;
    assert_eq!(page.unwrap().len(), 1);
    for states in [&[ViolationState::Confirmed][..], &[]] {
        let none = reads.violations_page(&klook, states, None, 9).await;
        assert_eq!(none.unwrap(), []);
    }
}

async fn a_sanction_is_listed_as_it_was_known(engine: Engine) {
    let s = Stage::new(engine).await;
    let at = |seconds: u32| NOW + SECOND * seconds;
    let planned = Sanction {
        start_time: at(2),
        end_time: Some(at(8)),
        ..sanction("klook", "s")
    };
    let first = impose(&s, planned).await;
    let lifted = first.clone().lifted(lift(at(5)));
    s.write(async |tx| tx.save_sanction(&lifted, AUTHOR).await.unwrap())
        .await;
    let reads = s.store.reads();
    let klook = merchant("klook");
    for (seconds, in_force) in [(1, false), (2, true), (4, true), (5, false), (8, false)] {
        let sought = Sought {
            in_force_at: Some(at(seconds)),
            ..Default::default()
        };
        let page = reads.sanctions_page(sought, None, 9).await.unwrap();
        assert_eq!(
            page,
            vec![first.clone(); usize::from(in_force)],
            "{seconds}"
        );
        let known = Some(at(seconds));
        let open = reads
            .sanctions_not_over(&klook, at(seconds), known, 9)
            .await;
        assert_eq!(open.unwrap(), vec![first.clone(); usize::from(seconds < 5)]);
    }
    let now = reads.sanctions_not_over(&klook, at(4), None, 9).await;
    assert_eq!(now.unwrap(), [], "it is lifted, whatever the clock says");
    assert!(!reads.suspended(&klook, at(4)).await.unwrap());
    let earlier = Some(Micros(NOW.0 - 1));
    let unset = reads
        .sanctions_not_over(&klook, Micros(NOW.0 - 1), earlier, 9)
        .await;
    assert_eq!(unset.unwrap(), []);
}

async fn what_is_not_over_counts_but_for_what_is_done_at_once(engine: Engine) {
    let s = Stage::new(engine).await;
    let klook = merchant("klook");
    for (i, kind) in SanctionKind::ALL.into_iter().enumerate() {
        let kept = Sanction {
            kind,
            end_time: Some(NOW + SECOND * 5),
            ..sanction("klook", &format!("s{i}"))
        };
        impose(&s, kept).await;
    }
    impose(&s, sanction("other", "s")).await;
    let reads = s.store.reads();
    let count = async |seconds: u32| {
        let now = NOW + SECOND * seconds;
        reads.count_sanctions(&klook, now).await.unwrap()
    };
    assert_eq!((count(0).await, count(4).await, count(5).await), (5, 5, 0));
    let known = Some(NOW);
    let lasting = reads.sanctions_not_over(&klook, NOW, known, 9).await;
    let lasting = lasting.unwrap();
    assert_eq!(lasting.len(), 5);
    assert!(lasting.iter().all(|sanction| sanction.in_force(NOW)));
    let before = Micros(NOW.0 - 1);
    let planned = reads.sanctions_not_over(&klook, before, None, 9).await;
    assert_eq!(planned.unwrap().len(), 7);
    assert!(reads.suspended(&klook, NOW + SECOND * 4).await.unwrap());
    assert!(!reads.suspended(&klook, NOW + SECOND * 5).await.unwrap());
}

/// Who comes second waits, and has the higher number.
async fn the_feed_grows_in_the_order_of_commits(engine: Engine) {
    let s = Stage::new(engine).await;
    let reads = s.store.reads();
    assert_eq!(reads.last_sanction_change().await.unwrap(), 0);
    let first = s.store.begin().await.unwrap();
    let made = first
        .insert_sanction(sanction("klook", "a"), None, AUTHOR)
        .await;
    let made = made.unwrap().unwrap();
    let store = s.store.clone();
    let second = tokio::spawn(async move {
        let tx = store.begin().await.unwrap();
        let other = tx
            .insert_sanction(sanction("other", "b"), None, AUTHOR)
            .await;
        tx.commit().await.unwrap();
        other.unwrap().unwrap()
    });
    s.someone_waits().await;
    assert_eq!(reads.last_sanction_change().await.unwrap(), 0);
    first.commit().await.unwrap();
    let other = second.await.unwrap();
    let feed = "SELECT CAST(sanction_no AS text) FROM sanction_changes ORDER BY no";
    assert_eq!(
        s.select(feed).await,
        [made.no, other.no].map(|no| no.to_string())
    );
    let before = reads.last_sanction_change().await.unwrap();
    let lifted = made.lifted(lift(NOW + SECOND));
    s.write(async |tx| tx.save_sanction(&lifted, AUTHOR).await.unwrap())
        .await;
    assert!(reads.last_sanction_change().await.unwrap() > before);
    let versions = "SELECT CAST(version AS text) FROM sanction_changes ORDER BY no";
    assert_eq!(s.select(versions).await, ["1", "1", "2"]);
}

async fn appeals_are_found_by_what_they_are_against(engine: Engine) {
    let s = Stage::new(engine).await;
    let v = report(&s, "v").await;
    let [one, two] = [
        impose(&s, sanction("klook", "s1")).await,
        impose(&s, sanction("klook", "s2")).await,
    ];
    let a = object(&s, "a", &one).await.unwrap();
    let b = object(&s, "b", &two).await.unwrap();
    let whole = Appeal {
        subject: Subject::Violation(v.name.clone()),
        ..appeal("c", &one)
    };
    let against = Against::Violation(v.no);
    let c = s.write(async |tx| tx.insert_appeal(whole, against, AUTHOR).await.unwrap());
    let c = c.await.unwrap();
    let reads = s.store.reads();
    let found = async |violations: &[i64], sanctions: &[i64]| {
        let found = reads.appeals_against(violations, sanctions).await.unwrap();
        found.into_iter().map(|a| a.no).collect::<Vec<_>>()
    };
    assert_eq!(found(&[], &[]).await, Vec::<i64>::new());
    assert_eq!(found(&[v.no], &[]).await, [c.no]);
    assert_eq!(found(&[], &[two.no, one.no]).await, [a.no, b.no]);
    assert_eq!(found(&[v.no], &[two.no]).await, [b.no, c.no]);
    let undecided = reads
        .appeals_page(Some(&merchant("other")), true, None, 9)
        .await;
    assert_eq!(undecided.unwrap(), []);
}
