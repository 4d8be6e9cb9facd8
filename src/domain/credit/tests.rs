use super::super::{
    Merchant, ViolationName, ViolationState,
    violation::{Charge, Decision},
};
use super::*;

/// Confirmed at `at`, its points back at `returns`, overturned at `overturned`.
fn charged(
    id: &str,
    points: u8,
    at: i64,
    returns: Option<i64>,
    overturned: Option<i64>,
) -> Violation {
    let merchant = Merchant::from_id("klook").unwrap();
    let overturned = overturned.map(|time| (Micros(time), "judge".to_owned()));
    Violation {
        no: 1,
        name: ViolationName::new(merchant, id).unwrap(),
        rule: "qq".to_owned(),
        points,
        papers: String::new(),
        item_ids: Vec::new(),
        event_time: Micros(0),
        reporter: String::new(),
        state: match overturned {
            Some(_) => ViolationState::Overturned,
            None => ViolationState::Confirmed,
        },
        decision: Some(Decision {
            time: Micros(at),
            author: "clerk".to_owned(),
            reason: String::new(),
        }),
        charge: Some(Charge {
            conduct_version: "1".to_owned(),
            balance: 0,
            sanctions: Vec::new(),
            appeal_end_time: Micros(at + 5),
            return_time: returns.map(Micros),
            overturned,
        }),
        version: 2,
        create_time: Micros(0),
        update_time: Micros(at),
    }
}

/// Points that are missing at a moment; the store counts them in SQL.
fn lost(violations: &[Violation], at: Micros) -> u64 {
    let missing = violations.iter().filter(|v| is_missing(v, at));
    missing.map(|violation| u64::from(violation.points)).sum()
}

fn balances(violations: &[Violation], until: i64) -> Vec<u8> {
    let at = |time| balance(lost(violations, Micros(time)));
    (0..=until).map(at).collect()
}

/// The earliest first.
fn told(violations: &[Violation], until: i64) -> Vec<Entry<'_>> {
    let until = Micros(until);
    let mut entries = history(violations, until, lost(violations, until));
    entries.reverse();
    entries
}

#[test]
fn points_are_missing_from_the_decision_until_they_return() {
    let one = [charged("a", 6, 2, Some(4), None)];
    assert_eq!(balances(&one, 5), [12, 12, 6, 6, 12, 12]);
    let never = [charged("a", 6, 2, None, None)];
    assert_eq!(balance(lost(&never, Micros::MAX)), 6);
}

#[test]
fn an_overturned_violation_gives_back_what_had_not_come_back() {
    let early = [charged("a", 6, 1, Some(9), Some(3))];
    assert_eq!(balances(&early, 4), [12, 6, 6, 12, 12]);
    let late = [charged("a", 6, 1, Some(2), Some(3))];
    assert_eq!(balances(&late, 4), [12, 6, 12, 12, 12]);
    for (violations, back) in [(&early, Cause::Overturned), (&late, Cause::Returned)] {
        let causes: Vec<_> = told(violations, 9).iter().map(|e| e.cause).collect();
        assert_eq!(causes, [Cause::Confirmed, back]);
    }
}

#[test]
fn a_balance_is_never_under_zero_and_nothing_that_was_lost_is_forgotten() {
    let deep = [
        charged("a", 8, 1, Some(5), None),
        charged("b", 8, 2, Some(6), None),
    ];
    assert_eq!(balances(&deep, 6), [12, 4, 0, 0, 0, 4, 12]);
    let changes: Vec<_> = told(&deep, 9)
        .iter()
        .map(|e| (e.points, e.balance))
        .collect();
    assert_eq!(changes, [(-8, 4), (-4, 0), (4, 4), (8, 12)]);
    assert_eq!([11, 12, 13, u64::MAX].map(balance), [1, 0, 0, 0]);
}

#[test]
fn the_history_ends_at_its_moment_with_the_balance_of_then() {
    let some = [
        charged("a", 2, 1, Some(4), None),
        // Back in the same moment in which the next is lost: first back, then lost.
        charged("b", 4, 4, Some(9), Some(6)),
    ];
    for until in 0..12 {
        let entries = told(&some, until);
        let mut balance = INITIAL;
        for entry in &entries {
            let after = i32::from(balance) + entry.points;
            assert_eq!(after, i32::from(entry.balance));
            balance = entry.balance;
        }
        assert_eq!(Some(&balance), balances(&some, until).last(), "{until}");
        assert!(entries.iter().all(|entry| entry.time <= Micros(until)));
    }
    let changes: Vec<_> = told(&some, 4).iter().map(|e| e.points).collect();
    assert_eq!(changes, [-2, 2, -4]);
}

#[test]
fn what_is_missing_comes_back_in_the_order_of_its_dates() {
    let some = [
        charged("never", 1, 1, None, None),
        charged("late", 1, 1, Some(9), None),
        charged("soon", 1, 1, Some(5), None),
        charged("undone", 1, 1, Some(5), Some(2)),
    ];
    let missing = |at| {
        let missing = restorations(&some, Micros(at)).into_iter();
        missing
            .map(|m| m.violation.name.id().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(missing(0), Vec::<String>::new());
    assert_eq!(missing(1), ["soon", "undone", "late", "never"]);
    assert_eq!(missing(2), ["soon", "late", "never"]);
    assert_eq!(missing(5), ["late", "never"]);
}

#[test]
fn a_loss_is_told_until_the_points_came_back() {
    let second = Duration::from_micros;
    let one = charged("a", 6, 1, Some(4), None);
    assert_eq!(lost_until(&one, Micros(3)), (6, second(2)));
    assert_eq!(lost_until(&one, Micros(9)), (0, second(3)));
    let never = charged("a", 6, 1, None, None);
    assert_eq!(lost_until(&never, Micros(9)), (6, second(8)));
}
