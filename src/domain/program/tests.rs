use super::super::Check;
use super::*;

const NOW: Micros = Micros(1_767_225_600_000_000);

fn merchant(id: &str) -> Merchant {
    Merchant::from_id(id).unwrap()
}

fn program(id: &str) -> Program {
    let name = ProgramName::new(id).unwrap();
    Program::new(name, ProgramDraft::default(), NOW)
}

/// The first four are published with the reference implementation and in encyclopedias, the
/// others were computed by another implementation: every tail of 0 to 3 bytes.
#[test]
fn the_hash_is_the_published_one() {
    for (text, hash) in [
        ("", 0),
        ("hello", 0x248b_fa47),
        ("hello, world", 0x149b_bb7f),
        ("The quick brown fox jumps over the lazy dog", 0x2e4f_f723),
        ("a", 0x3c25_69b2),
        ("aa", 0x3710_91a9),
        ("aaa", 0xb4d0_5fb7),
        ("aaaa", 0x7eee_d987),
        ("abc", 0xb3dd_93fa),
    ] {
        assert_eq!(mur3::murmurhash3_x86_32(text.as_bytes(), 0), hash, "{text}");
    }
}

/// As another implementation of the proto's formula has them; that of a merchant never changes.
#[test]
fn a_bucket_is_what_the_contract_says() {
    for (program, id, expected) in [
        ("default", "klook", 567),
        ("default", "m1", 784),
        ("default", "a-merchant", 229),
        ("pilot", "klook", 112),
        ("p", "0", 637),
    ] {
        let name = ProgramName::new(program).unwrap();
        assert_eq!(bucket(&name, &merchant(id)), expected, "{program}/{id}");
    }
}

/// Growing only adds; and of 100,000 merchants so many are in as a fair coin would have it,
/// within 4.5 standard deviations (by chance once in 150,000).
#[test]
fn a_growing_share_only_adds_and_splits_fairly() {
    const MANY: u32 = 100_000;
    let merchants: Vec<_> = (0..MANY).map(|i| merchant(&format!("m{i}"))).collect();
    let mut program = program("default");
    let mut before = vec![false; merchants.len()];
    for share in [0, 10, 50, 200, 500, 999, EVERYBODY] {
        program.share_permille = share;
        let inside = |m| program.membership(m, None).is_in();
        let now: Vec<_> = merchants.iter().map(inside).collect();
        let left = before.iter().zip(&now).any(|(was, is)| *was && !is);
        assert!(!left, "a merchant left at {share}");

        let p = f64::from(share) / f64::from(EVERYBODY);
        let count = f64::from(u32::try_from(now.iter().filter(|is| **is).count()).unwrap());
        let (mean, deviation) = (
            f64::from(MANY) * p,
            (f64::from(MANY) * p * (1.0 - p)).sqrt(),
        );
        let off = (count - mean).abs();
        assert!(off <= 4.5 * deviation, "{share}: {count} of {mean}");
        before = now;
    }
}

/// Whom one program takes first is not whom another takes first.
#[test]
fn programs_draw_independently() {
    let (a, b) = (
        ProgramName::new("a").unwrap(),
        ProgramName::new("b").unwrap(),
    );
    let both = (0..100_000).filter(|i| {
        let m = merchant(&format!("m{i}"));
        bucket(&a, &m) < 200 && bucket(&b, &m) < 200
    });
    // 4 % of 100,000, within 4.5 standard deviations of 62.
    assert!(both.count().abs_diff(4000) <= 279);
}

#[test]
fn deny_outranks_allow_and_allow_the_share() {
    let mut program = program("default");
    let klook = merchant("klook");
    for share in [0, 567, 568, EVERYBODY] {
        program.share_permille = share;
        let on = |list| program.membership(&klook, list);
        assert_eq!(on(Some(List::Deny)), Membership::Denied);
        assert_eq!(on(Some(List::Allow)), Membership::Allowed);
        let expected = if share > 567 {
            Membership::InShare(567)
        } else {
            Membership::BeyondShare(567)
        };
        assert_eq!(on(None), expected, "{share}");
    }
    assert!(Membership::Allowed.is_in() && !Membership::Denied.is_in());
}

/// What is violated, field by field.
fn violated(draft: ProgramDraft) -> Vec<String> {
    let mut check = Check::default();
    let draft = draft.check(&mut check);
    match check.done(Some(draft)) {
        Ok(_) => Vec::new(),
        Err(refusal) => refusal.violations.into_iter().map(|v| v.field).collect(),
    }
}

#[test]
fn each_term_has_its_range() {
    let days = |window, serving, configuration| ProgramDraft {
        window_days: Some(window),
        serving_grace_days: Some(serving),
        configuration_grace_days: Some(configuration),
        ..Default::default()
    };
    let share = |permille| ProgramDraft {
        share_permille: Some(permille),
        ..Default::default()
    };
    let named = |name: &str| ProgramDraft {
        display_name: Some(name.to_owned()),
        ..Default::default()
    };
    for good in [
        ProgramDraft::default(),
        days(1, 0, 0),
        days(90, 90, 90),
        share(0),
        share(1000),
        named("内"),
        named(&"测".repeat(60)),
        named(&"e\u{301}".repeat(60)),
    ] {
        assert_eq!(violated(good.clone()), [""; 0], "{good:?}");
    }
    let three = [
        "program.window_days",
        "program.serving_grace_days",
        "program.configuration_grace_days",
    ];
    assert_eq!(violated(days(0, -1, -1)), three);
    assert_eq!(violated(days(91, 91, 91)), three);
    for permille in [-1, 1001, i32::MIN, i32::MAX, 65_536 + 10] {
        assert_eq!(violated(share(permille)), ["program.share_permille"]);
    }
    for name in ["", " ", "a\nb", &"测".repeat(61)] {
        assert_eq!(violated(named(name)), ["program.display_name"], "{name:?}");
    }
    let nothing = ProgramDraft {
        surfaces: Some(Vec::new()),
        kinds: Some(Vec::new()),
        ..Default::default()
    };
    assert_eq!(
        violated(nothing),
        ["program.surfaces", "program.contact_kinds"]
    );
}

#[test]
fn a_program_ends_after_it_begins() {
    let dates = |start, end| ProgramDraft {
        start_time: Some(start),
        end_time: Some(end),
        ..Default::default()
    };
    let (one, two) = (Some(Micros(1)), Some(Micros(2)));
    for good in [dates(one, two), dates(None, one), dates(two, None)] {
        assert_eq!(violated(good), [""; 0]);
    }
    for bad in [dates(one, one), dates(two, one)] {
        assert_eq!(violated(bad), ["program.end_time"]);
    }
    // Each well on its own, and not together.
    let begins = program("p").with(dates(two, None));
    let ends = ProgramDraft {
        end_time: Some(one),
        ..Default::default()
    };
    let mut check = Check::default();
    begins.with(ends).check_schedule(&mut check);
    assert!(check.done(Some(())).is_err());
}

#[test]
fn what_a_draft_leaves_out_stays() {
    let old = program("p");
    assert_eq!(old.clone().with(ProgramDraft::default()), old);
    let share = ProgramDraft {
        share_permille: Some(10),
        ..Default::default()
    };
    let grown = old.next(NOW).with(share);
    assert_eq!(grown.update_time.0, NOW.0 + 1);
    let expected = Program {
        share_permille: 10,
        version: 2,
        update_time: grown.update_time,
        ..old
    };
    assert_eq!(grown, expected);
}

#[test]
fn a_program_is_over_since_its_date_or_its_call_whichever_came_first() {
    let (date, call) = (Micros(NOW.0 + 10), Micros(NOW.0 + 20));
    let mut program = program("p");
    assert_eq!(program.ended_at(Micros::MAX), None);
    program.end_time = Some(date);
    assert_eq!(program.ended_at(Micros(date.0 - 1)), None);
    assert_eq!(program.ended_at(date), Some(date));
    // By date it may yet be prolonged.
    assert!(program.not_ended(call).is_ok());

    let ended = program.to(ProgramState::Ended, call);
    assert_eq!(ended.ended_at(call), Some(date));
    let early = program.to(ProgramState::Ended, Micros(date.0 - 5));
    assert_eq!(early.ended_at(NOW), Some(Micros(date.0 - 5)));
    let refusal = early.not_ended(call).unwrap_err();
    assert_eq!(refusal.reason, Reason::ProgramEnded);
}

#[test]
fn versions_of_an_enrollment_go_on_after_it_was_taken_off() {
    let program = program("p");
    let new = |list, old, now| Enrollment::new(&program, merchant("klook"), list, old, now);
    let first = new(List::Allow, None, NOW);
    let gone = first.clone().deleted(NOW);
    let again = new(List::Deny, Some(&gone), Micros(NOW.0 - 5));
    let said = [&first, &gone, &again].map(|e| (e.version, e.update_time.0 - NOW.0, e.deleted));
    assert_eq!(said, [(1, 0, false), (2, 1, true), (3, 2, false)]);
    assert_eq!(again.create_time, again.update_time);
}
