use proptest::{prelude::*, sample::subsequence};

use super::{EventKind as K, *};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn credit_of(n: u128) -> Credit {
    Credit {
        merchant: Merchant::from_id("klook").unwrap(),
        placement_no: 1,
        kind: ContactKind::Wecom,
        tapped: Tapped::Item {
            viewer: 7,
            tap: Uuid::from_u128(n),
        },
    }
}

/// State 0 is none, 1 to 4 credit, those above do not.
fn state(n: u128) -> Option<State> {
    let verdict = match n {
        0 => return None,
        1..=4 => Ok(credit_of(n)),
        5 => Err(Unattributed::StateForged),
        _ => Err(Unattributed::StateMalformed),
    };
    Some(State {
        id: Uuid::from_u128(n),
        verdict,
    })
}

fn fact(kind: K, seconds: i64, n: u128) -> Fact {
    Fact {
        kind,
        time: Micros::from_seconds(seconds),
        source: Source::Callback,
        state: state(n),
    }
}

fn pulled(kind: K, seconds: i64, n: u128) -> Fact {
    Fact {
        source: Source::Pull,
        ..fact(kind, seconds, n)
    }
}

fn learned(facts: impl IntoIterator<Item = Fact>) -> History {
    let (mut history, mut n) = (History::default(), 0);
    for fact in facts {
        history.learn([fact], || {
            n += 1;
            Uuid::from_u128(n)
        });
    }
    history
}

fn said(facts: impl IntoIterator<Item = Fact>) -> Vec<Event> {
    let mut events: Vec<_> = learned(facts).events().into_values().collect();
    events.sort_by_key(|e| (e.time, e.kind, e.source, format!("{:?}", e.credit)));
    events
}

/// Kind, second, and the State whose credit it has, or the reason.
fn brief(facts: impl IntoIterator<Item = Fact>) -> Vec<(K, i64, Result<u128, Unattributed>)> {
    let tap = |credit: Credit| match credit.tapped {
        Tapped::Item { tap, .. } => tap.as_u128(),
        Tapped::Link { .. } => 0,
    };
    said(facts)
        .into_iter()
        .map(|e| (e.kind, e.time.seconds(), e.credit.map(tap)))
        .collect()
}

#[test]
fn what_says_the_same_is_one_event_and_what_says_no_state_takes_the_others() {
    use Unattributed::{NoState, StateForged, StateMalformed};
    for (case, facts, wanted) in [
        (
            "half and full",
            vec![fact(K::Added, 0, 1), fact(K::Added, 9, 1)],
            vec![(K::Added, 0, Ok(1))],
        ),
        (
            "half and full, days apart",
            vec![fact(K::Added, 0, 1), fact(K::Added, 3 * DAY, 1)],
            vec![(K::Added, 0, Ok(1))],
        ),
        (
            "an add without a State beside one with",
            vec![fact(K::Added, 0, 0), fact(K::Added, DAY, 1)],
            vec![(K::Added, 0, Ok(1))],
        ),
        (
            "one a second further is another, credited likewise",
            vec![fact(K::Added, 0, 0), fact(K::Added, DAY + 1, 1)],
            vec![(K::Added, 0, Ok(1)), (K::Added, DAY + 1, Ok(1))],
        ),
        (
            "half and full without a State",
            vec![fact(K::Added, 0, 0), fact(K::Added, 9, 0)],
            vec![(K::Added, 0, Err(NoState))],
        ),
        (
            "two taps are two adds, and an add without a State the nearer",
            vec![
                fact(K::Added, 0, 1),
                fact(K::Added, 60, 2),
                fact(K::Added, 50, 0),
            ],
            vec![(K::Added, 0, Ok(1)), (K::Added, 50, Ok(2))],
        ),
        (
            "removed and added again by the same link",
            vec![
                fact(K::Added, 0, 1),
                fact(K::Removed, 60, 0),
                fact(K::Added, 90, 1),
            ],
            vec![
                (K::Added, 0, Ok(1)),
                (K::Removed, 60, Ok(1)),
                (K::Added, 90, Ok(1)),
            ],
        ),
        (
            "both sides end one contact",
            vec![
                fact(K::Added, 0, 1),
                fact(K::Removed, 60, 0),
                fact(K::Removed, 90, 0),
            ],
            vec![(K::Added, 0, Ok(1)), (K::Removed, 60, Ok(1))],
        ),
        (
            "what has no State takes the latest credit before it",
            vec![
                fact(K::AddRequested, 0, 1),
                fact(K::Added, 9, 2),
                fact(K::WecomOpening, 60, 0),
            ],
            vec![
                (K::AddRequested, 0, Ok(1)),
                (K::Added, 9, Ok(2)),
                (K::WecomOpening, 60, Ok(2)),
            ],
        ),
        (
            "where none is before it, the first after",
            vec![fact(K::WecomOpening, 0, 0), fact(K::Added, 60, 1)],
            vec![(K::WecomOpening, 0, Ok(1)), (K::Added, 60, Ok(1))],
        ),
        (
            "where none is credited, the reason",
            vec![fact(K::Added, 0, 5), fact(K::WecomOpening, 60, 0)],
            vec![
                (K::Added, 0, Err(StateForged)),
                (K::WecomOpening, 60, Err(StateForged)),
            ],
        ),
        (
            "a State of its own that is none of ours stays its own",
            vec![fact(K::Added, 0, 1), fact(K::WecomOpening, 60, 6)],
            vec![
                (K::Added, 0, Ok(1)),
                (K::WecomOpening, 60, Err(StateMalformed)),
            ],
        ),
        (
            "a State that is none of ours does not come to credit beside one that is",
            vec![
                fact(K::Added, 0, 1),
                fact(K::Removed, 60, 1),
                fact(K::Removed, 61, 5),
                pulled(K::Added, HOUR, 5),
            ],
            vec![
                (K::Added, 0, Ok(1)),
                (K::Removed, 60, Ok(1)),
                (K::Added, HOUR, Err(StateForged)),
            ],
        ),
        (
            "nobody named a State",
            vec![fact(K::Added, 0, 0), fact(K::Removed, 60, 0)],
            vec![(K::Added, 0, Err(NoState)), (K::Removed, 60, Err(NoState))],
        ),
        (
            "a first message is one",
            vec![
                fact(K::WecomOpening, 0, 1),
                fact(K::WecomOpening, 5, 1),
                pulled(K::WecomOpening, 9, 1),
            ],
            vec![(K::WecomOpening, 0, Ok(1))],
        ),
        (
            "a pull that finds what was called back adds nothing",
            vec![pulled(K::Added, HOUR, 1), fact(K::Added, 0, 1)],
            vec![(K::Added, 0, Ok(1))],
        ),
        (
            "nor after the contact ended",
            vec![
                fact(K::Added, 0, 1),
                fact(K::Removed, 60, 0),
                pulled(K::Added, HOUR, 1),
            ],
            vec![(K::Added, 0, Ok(1)), (K::Removed, 60, Ok(1))],
        ),
        (
            "a pull that finds what was missed adds it once",
            vec![pulled(K::Added, DAY, 1), pulled(K::Added, HOUR, 1)],
            vec![(K::Added, HOUR, Ok(1))],
        ),
        (
            "and gives its State to an add that had none",
            vec![fact(K::Added, 0, 0), pulled(K::Added, HOUR, 1)],
            vec![(K::Added, 0, Ok(1))],
        ),
    ] {
        assert_eq!(brief(facts), wanted, "{case}");
    }
}

#[test]
fn a_state_that_credited_an_add_credits_what_follows_however_late() {
    let late = State {
        id: Uuid::from_u128(1),
        verdict: Err(Unattributed::StateExpired),
    };
    let removed = Fact {
        state: Some(late),
        ..fact(K::Removed, 300 * DAY, 0)
    };
    assert_eq!(
        brief([fact(K::Added, 0, 1), removed]),
        [(K::Added, 0, Ok(1)), (K::Removed, 300 * DAY, Ok(1))]
    );
}

#[test]
fn an_event_keeps_its_id_and_says_what_changed() {
    let ids = |n: u128| move || Uuid::from_u128(n);
    let mut history = History::default();
    let first = history.learn([fact(K::Added, 9, 0)], ids(1)).unwrap();
    assert_eq!(first.added.len(), 1);
    assert_eq!(first.added[0].0, Uuid::from_u128(1));
    assert_eq!(history.learn([fact(K::Added, 9, 0)], ids(2)), None);

    let second = history.learn([fact(K::Added, 5, 1)], ids(2)).unwrap();
    let [(id, event)] = &second.changed[..] else {
        panic!("{second:?}")
    };
    assert_eq!(*id, Uuid::from_u128(1));
    assert_eq!(
        (event.time, &event.credit),
        (Micros::from_seconds(5), &Ok(credit_of(1)))
    );
    assert!(second.added.is_empty() && second.gone.is_empty());

    // Later news of a removal in between makes two of one.
    let mut n = 2;
    let third = history.learn([fact(K::Removed, 7, 0)], || {
        n += 1;
        Uuid::from_u128(n)
    });
    let kinds: Vec<_> = third.unwrap().added.iter().map(|(_, e)| e.kind).collect();
    assert_eq!(kinds, [K::Removed, K::Added]);
}

#[test]
fn facts_of_a_contact_have_a_limit() {
    let mut history = learned((0..500).map(|n| fact(K::Removed, n, 0)));
    assert!(history.is_full());
    assert_eq!(history.learn([fact(K::Added, 0, 1)], Uuid::nil), None);
}

const ISSUED: i64 = 1_800_000_000;

fn token(origin: Origin) -> TapToken {
    TapToken {
        placement_no: 1,
        kind: ContactKind::Wecom,
        issued: 1_800_000_000,
        origin,
        nonce: [0; 8],
    }
}

fn known() -> Known {
    Known {
        merchant: Merchant::from_id("klook"),
        link: None,
        names_corp: true,
    }
}

fn link() -> Link {
    let merchant = || Merchant::from_id("klook").unwrap();
    Link {
        no: 3,
        name: LinkName::new(merchant(), "l").unwrap(),
        placement: PlacementName::new(merchant(), "p").unwrap(),
        kind: ContactKind::Wecom,
        channel: String::new(),
        token: String::new(),
        version: 1,
        create_time: Micros::from_seconds(ISSUED),
        expire_time: Micros::from_seconds(ISSUED + 30 * DAY),
        revoke_time: None,
    }
}

#[test]
fn a_token_credits_within_its_window_and_where_what_was_tapped_named_the_corp() {
    use Unattributed::{CorpMismatch, PlacementGone, StateExpired};
    let served = token(Origin::Served { viewer: 7, arm: 0 });
    let published = token(Origin::Link { no: 3 });
    let linked = || Known {
        link: Some(link()),
        ..known()
    };
    let revoked = |after| Known {
        link: Some(Link {
            revoke_time: Some(Micros::from_seconds(ISSUED + after)),
            ..link()
        }),
        ..known()
    };
    let gone = || Known {
        merchant: None,
        names_corp: false,
        ..known()
    };
    let other = || Known {
        names_corp: false,
        ..known()
    };
    let phone = TapToken {
        kind: ContactKind::Phone,
        ..served
    };
    for (case, token, known, after, wanted) in [
        ("at once", served, known(), 0, Ok(())),
        ("clocks differ", served, known(), -300, Ok(())),
        ("from the future", served, known(), -301, Err(StateExpired)),
        ("on the last day", served, known(), 7 * DAY, Ok(())),
        ("after it", served, known(), 7 * DAY + 1, Err(StateExpired)),
        ("a link's last day", published, linked(), 37 * DAY, Ok(())),
        (
            "after a link's",
            published,
            linked(),
            37 * DAY + 1,
            Err(StateExpired),
        ),
        (
            "a week after a link was revoked",
            published,
            revoked(DAY),
            8 * DAY,
            Ok(()),
        ),
        (
            "later",
            published,
            revoked(DAY),
            8 * DAY + 1,
            Err(StateExpired),
        ),
        (
            "revoked when it had expired",
            published,
            revoked(40 * DAY),
            37 * DAY + 1,
            Err(StateExpired),
        ),
        (
            "before a link's",
            published,
            linked(),
            -301,
            Err(StateExpired),
        ),
        (
            "a link that is gone",
            published,
            known(),
            0,
            Err(PlacementGone),
        ),
        (
            "a placement that is gone",
            served,
            gone(),
            0,
            Err(PlacementGone),
        ),
        ("another corp", served, other(), 0, Err(CorpMismatch)),
        (
            "a phone number was tapped",
            phone,
            known(),
            0,
            Err(CorpMismatch),
        ),
    ] {
        let at = Micros::from_seconds(ISSUED + after);
        let verdict = judge(&token, Uuid::from_u128(9), known, at, WEEK);
        assert_eq!(verdict.map(drop), wanted, "{case}");
    }
    let verdict = judge(
        &served,
        Uuid::from_u128(9),
        known(),
        served.issue_time(),
        WEEK,
    );
    let tapped = verdict.unwrap().tapped;
    let tap = Uuid::from_u128(9);
    assert_eq!(tapped, Tapped::Item { viewer: 7, tap });
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let kind = prop_oneof![
        1 => Just(K::AddRequested),
        3 => Just(K::Added),
        1 => Just(K::WecomOpening),
        1 => Just(K::Removed),
    ];
    // Minutes to days apart, so that all rules meet; often at the same second.
    let time = prop_oneof![0..5i64, 0..40i64].prop_map(|t| t * 5 * HOUR);
    (kind, time, 0..7u128, any::<bool>()).prop_map(|(kind, time, n, pull)| {
        let pulls = matches!(kind, K::Added | K::WecomOpening);
        if pull && pulls {
            pulled(kind, time, n)
        } else {
            fact(kind, time, n)
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn neither_order_nor_repetition_changes_the_events(
        (facts, shuffled, repeated) in prop::collection::vec(any_fact(), 0..12).prop_flat_map(|facts| {
            let repeated = subsequence(facts.clone(), 0..=facts.len());
            (Just(facts.clone()), Just(facts).prop_shuffle(), repeated)
        }),
        at in any::<prop::sample::Index>(),
    ) {
        let wanted = said(facts);
        let mut again = shuffled;
        let at = at.index(again.len() + 1);
        for fact in repeated {
            again.insert(at, fact);
        }
        prop_assert_eq!(said(again), wanted);
    }

    #[test]
    fn what_changed_brings_the_events_up_to_date(facts in prop::collection::vec(any_fact(), 0..12)) {
        let (mut history, mut rows, mut n) = (History::default(), std::collections::BTreeMap::new(), 0);
        for fact in facts {
            let changes = history.learn([fact], || {
                n += 1;
                Uuid::from_u128(n)
            });
            let changes = changes.unwrap_or_default();
            for id in changes.gone {
                prop_assert!(rows.remove(&id).is_some());
            }
            for (id, event) in changes.changed {
                prop_assert!(rows.insert(id, event).is_some());
            }
            for (id, event) in changes.added {
                prop_assert!(rows.insert(id, event).is_none());
            }
            prop_assert_eq!(&rows, &history.events());
        }
    }
}
