use super::super::{
    Day, Money, ProgramDraft, ProgramName,
    eligibility::State::{self, Grace, Locked, Open, Pending},
};
use super::*;

const NOW: Micros = Micros(1_767_225_600_000_000);
const LATER: Micros = Micros(NOW.0 + 1);
const SERVE: Asked = Asked {
    door: Door::Serve,
    surface: Some(SurfaceKind::ChatMenu),
    kind: Some(ContactKind::Wecom),
    now: NOW,
};

/// A decision of this state; its total falls short of a threshold of 1000.00 by so many cents.
fn decision(state: State, shortfall: i64) -> Decision {
    Decision {
        state,
        decision_day: Day(20_454),
        window: vec![(Day(20_453), Money(100_001 - shortfall))],
        total: Money(100_001 - shortfall),
        threshold: Money(100_000),
        shortfall: Money(shortfall),
        opens_at: (state == Pending).then_some(LATER),
        closes_at: None,
        hides_at: None,
        missing_days: Vec::new(),
        edge: LATER,
    }
}

/// A program that admits, after this change.
fn chance(id: &str, change: impl FnOnce(&mut Chance)) -> Chance {
    let name = ProgramName::new(id).unwrap();
    let mut chance = Chance {
        program: Program::new(name, ProgramDraft::default(), NOW),
        list: None,
        decision: decision(Open, 0),
    };
    change(&mut chance);
    chance
}

fn locked(shortfall: i64) -> impl FnOnce(&mut Chance) {
    move |c| c.decision = decision(Locked, shortfall)
}

fn denied(c: &mut Chance) {
    c.list = Some(List::Deny);
}

fn paused(c: &mut Chance) {
    c.program.state = ProgramState::Paused;
}

fn ended(c: &mut Chance) {
    c.program.state = ProgramState::Ended;
}

fn one_surface(c: &mut Chance) {
    c.program.surfaces = vec![SurfaceKind::NoteCapsule];
}

fn one_kind(c: &mut Chance) {
    c.program.kinds = vec![ContactKind::Phone];
}

fn standing(chances: Vec<Chance>) -> Standing {
    Standing {
        merchant: Merchant::from_id("klook").unwrap(),
        chances,
        sanctions: Vec::new(),
    }
}

/// What is said of these programs: nothing, or the reason and the program it is about.
fn said(chances: Vec<Chance>) -> Option<(Reason, String)> {
    let refusal = standing(chances).admits(&SERVE).err()?;
    let program = refusal.metadata.iter().find(|(key, _)| *key == "program");
    Some((refusal.reason, program.unwrap().1.clone()))
}

type Change = fn(&mut Chance);

#[test]
fn each_gate_has_its_word() {
    let cases: &[(Reason, Change)] = &[
        (Reason::NotEnrolled, denied),
        (Reason::NotEnrolled, |c| c.program.share_permille = 0),
        (Reason::NotEnrolled, |c| {
            denied(c);
            ended(c);
        }),
        (Reason::ProgramPaused, paused),
        (Reason::ProgramEnded, ended),
        (Reason::ProgramEnded, |c| c.program.end_time = Some(NOW)),
        // Over is over, also while paused.
        (Reason::ProgramEnded, |c| {
            paused(c);
            c.program.end_time = Some(NOW);
        }),
        (Reason::ProgramNotStarted, |c| {
            c.program.start_time = Some(LATER);
        }),
        (Reason::ProgramPaused, |c| {
            paused(c);
            c.program.start_time = Some(LATER);
        }),
        (Reason::SurfaceNotOpen, one_surface),
        (Reason::KindNotOpen, one_kind),
        (Reason::SurfaceNotOpen, |c| {
            one_surface(c);
            one_kind(c);
        }),
        (Reason::SpendBelowThreshold, |c| locked(1)(c)),
        (Reason::SpendPending, |c| c.decision = decision(Pending, 1)),
    ];
    for (i, (reason, change)) in cases.iter().enumerate() {
        let word = (*reason, "programs/p".to_owned());
        assert_eq!(said(vec![chance("p", change)]), Some(word), "case {i}");
    }
    let open: &[Change] = &[
        |_| {},
        |c| {
            c.program.share_permille = 0;
            c.list = Some(List::Allow);
        },
        |c| c.program.start_time = Some(NOW),
        |c| c.program.end_time = Some(LATER),
    ];
    for (i, change) in open.iter().enumerate() {
        assert_eq!(said(vec![chance("p", change)]), None, "case {i}");
    }
    assert_eq!(said(Vec::new()), Some((Reason::NotEnrolled, String::new())));
}

/// The later the gate that stops it, the nearer; whatever the order of the programs.
#[test]
fn a_refusal_is_of_the_program_that_came_nearest() {
    let nearer: &[(&str, Change)] = &[
        ("over", |c| {
            denied(c);
            ended(c);
        }),
        ("ended", ended),
        ("denied", denied),
        ("paused", paused),
        ("surface", one_surface),
        ("kind", one_kind),
        ("far", |c| locked(500)(c)),
        ("near", |c| locked(499)(c)),
        ("open", |_| {}),
    ];
    let both = |a: &(&str, Change), b: &(&str, Change)| {
        said(vec![chance(a.0, a.1), chance(b.0, b.1)]).map(|(_, program)| program)
    };
    for (i, far) in nearer.iter().enumerate() {
        for near in &nearer[i + 1..] {
            let expected = (near.0 != "open").then(|| format!("programs/{}", near.0));
            assert_eq!(both(far, near), expected, "{} {}", far.0, near.0);
            assert_eq!(both(near, far), expected, "{} {}", near.0, far.0);
        }
    }
    // Of equals the first.
    let twice = both(&("a", denied), &("b", denied));
    assert_eq!(twice.as_deref(), Some("programs/a"));
}

/// Enrolled in one, in time for another, spent enough for a third: that is none.
#[test]
fn gates_of_different_programs_do_not_add_up() {
    let chances = vec![
        chance("a", denied),
        chance("b", paused),
        chance("c", locked(1)),
    ];
    assert!(said(chances).is_some());
}

#[test]
fn graces_open_each_its_own_door() {
    let with = |state, hides_at| {
        let change = |c: &mut Chance| {
            c.decision = Decision {
                hides_at,
                ..decision(state, 1)
            };
        };
        standing(vec![chance("p", change)])
    };
    for (state, hides_at, configure, serve) in [
        (Open, None, true, true),
        (Grace, Some(LATER), true, true),
        (Locked, Some(LATER), false, true),
        (Locked, None, false, false),
        (Pending, Some(LATER), false, true),
        (Pending, None, false, false),
    ] {
        let standing = with(state, hides_at);
        let at = |door| standing.admits(&Asked { door, ..SERVE }).is_ok();
        assert_eq!(at(Door::Configure), configure, "{state:?} {hides_at:?}");
        assert_eq!(at(Door::Serve), serve, "{state:?} {hides_at:?}");
        assert_eq!(at(Door::Tap), serve, "{state:?} {hides_at:?}");
    }
}

#[test]
fn a_refusal_says_how_much_and_when() {
    let metadata = |change: Change| {
        let refusal = standing(vec![chance("p", change)]).admits(&SERVE);
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.resource.as_deref(), Some("merchants/klook"));
        let mut metadata = refusal.metadata;
        metadata.sort_unstable();
        metadata
    };
    let own = |more: &[(&'static str, &str)]| {
        let mut all: Vec<_> = [("program", "programs/p")]
            .iter()
            .chain(more)
            .map(|(key, value)| (*key, (*value).to_owned()))
            .collect();
        all.sort_unstable();
        all
    };
    let sums = [
        ("threshold", "1000.00 CNY"),
        ("total", "999.99 CNY"),
        ("shortfall", "0.02 CNY"),
    ];
    assert_eq!(metadata(|c| locked(2)(c)), own(&sums));
    let later = "2026-01-01T00:00:00.000001Z";
    let mut pending = vec![("opensAt", later)];
    pending.extend(sums);
    assert_eq!(
        metadata(|c| c.decision = decision(Pending, 2)),
        own(&pending)
    );
    let start = metadata(|c| c.program.start_time = Some(LATER));
    assert_eq!(start, own(&[("startTime", later)]));
    let end = own(&[("endTime", "2026-01-01T00:00:00Z")]);
    assert_eq!(metadata(ended), end);
    assert_eq!(metadata(|c| c.program.end_time = Some(NOW)), end);
    assert_eq!(metadata(one_surface), own(&[("surface", "CHAT_MENU")]));
    assert_eq!(metadata(one_kind), own(&[("kind", "WECOM")]));
    for change in [denied, paused] {
        assert_eq!(metadata(change), own(&[]));
    }
}

#[test]
fn findings_go_on_after_a_refusal_and_repeat_no_fact() {
    let change = |c: &mut Chance| {
        denied(c);
        locked(1)(c);
    };
    let standing = standing(vec![chance("p", change)]);
    let findings = standing.chances[0].findings(&standing.merchant, &SERVE);
    let words: Vec<_> = findings
        .iter()
        .map(|f| (f.gate, f.refusal.as_ref().map(|r| r.reason)))
        .collect();
    assert_eq!(
        words,
        [
            (Gate::Enrollment, Some(Reason::NotEnrolled)),
            (Gate::Program, None),
            (Gate::Surface, None),
            (Gate::ContactKind, None),
            (Gate::Spend, Some(Reason::SpendBelowThreshold)),
        ]
    );
    for finding in &findings {
        let mut keys: Vec<_> = finding.facts.iter().map(|(key, _)| key).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all, "{finding:?}");
    }
    let day = ("spend.2025-12-31".to_owned(), "1000.00 CNY".to_owned());
    assert!(findings[4].facts.contains(&day));
}

#[test]
fn the_next_edge_is_the_first_of_all_programs() {
    let at = |n: i64| Some(Micros(NOW.0 + n));
    let far = |c: &mut Chance| c.decision.edge = Micros(NOW.0 + 9);
    let all = standing(vec![
        chance("a", far),
        chance("b", |c| {
            far(c);
            c.program.start_time = at(-1);
            c.program.end_time = at(5);
        }),
        chance("c", |c| {
            far(c);
            c.program.start_time = at(7);
        }),
    ]);
    assert_eq!(all.next_edge(NOW), at(5));
    assert_eq!(all.next_edge(Micros(NOW.0 + 5)), at(7));
    assert_eq!(standing(Vec::new()).next_edge(NOW), None);
}
