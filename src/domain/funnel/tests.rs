use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3600;

fn windows(seen: Vec<Seen>) -> Windows {
    windows_after(None, seen)
}

fn seen(stage: Stage, hour: i64, note: &str) -> Seen {
    Seen {
        time: Micros::from_seconds(hour * HOUR),
        stage,
        id: Uuid::from_u128(u128::from(hour.unsigned_abs())),
        touch: Touch {
            note: note.to_owned(),
            ..Touch::default()
        },
    }
}

/// Opening hour, stage, hour and note of what was reached.
fn told(windows: &Windows) -> Vec<(i64, Stage, i64, &str)> {
    windows
        .iter()
        .map(|((opened, stage), reached)| {
            let hour = |time: Micros| time.seconds() / HOUR;
            let note = reached.touch.note.as_str();
            (hour(*opened), *stage, hour(reached.time), note)
        })
        .collect()
}

#[test]
fn a_stage_counts_once_a_window_and_is_credited_to_what_was_named_last() {
    use Stage::{Impression, Inbound, Lead, Tap};
    let windows = windows(vec![
        seen(Lead, 5, ""),
        seen(Impression, 1, "a"),
        seen(Impression, 2, "b"),
        seen(Inbound, 3, ""),
        seen(Tap, 4, "c"),
        seen(Tap, 4, "c"),
    ]);
    assert_eq!(
        told(&windows),
        [
            (1, Impression, 1, "a"),
            (1, Tap, 4, "c"),
            (1, Inbound, 3, "b"),
            (1, Lead, 5, "c"),
        ]
    );
}

#[test]
fn windows_end_on_the_hour_they_say() {
    use Stage::{Impression, Inbound, Lead, Opening};
    let windows = windows(vec![
        seen(Impression, 0, "a"),
        seen(Opening, 23, ""),
        // Opens a window of its own.
        seen(Inbound, 24, ""),
        seen(Lead, 24 + 7 * 24 - 1, ""),
        // Belongs to nobody: too late for the second window.
        seen(Stage::Added, 24 + 7 * 24, ""),
    ]);
    assert_eq!(
        told(&windows),
        [
            (0, Impression, 0, "a"),
            (0, Opening, 23, "a"),
            (24, Inbound, 24, ""),
            (24, Lead, 24 + 7 * 24 - 1, ""),
        ]
    );
}

#[test]
fn what_comes_before_any_exposure_counts_nowhere() {
    let early = vec![seen(Stage::Lead, 1, "a"), seen(Stage::Inbound, 2, "")];
    assert_eq!(told(&windows(early)), [(2, Stage::Inbound, 2, "")]);
}

fn events() -> impl Strategy<Value = Vec<Seen>> {
    let one = (0..Stage::ALL.len(), 0..600i64, 0..3u8).prop_map(|(stage, hour, note)| {
        let note = ["", "a", "b"][usize::from(note)];
        seen(Stage::ALL[stage], hour, note)
    });
    prop::collection::vec(one, 0..40)
}

proptest! {
    #[test]
    fn neither_order_nor_repetition_matters(events in events(), seed in any::<u64>()) {
        let mut shuffled = events.clone();
        shuffled.extend(events.iter().take(7).cloned());
        let turn = usize::try_from(seed % 41).unwrap_or(0);
        let turn = turn.min(shuffled.len());
        shuffled.rotate_left(turn);
        prop_assert_eq!(windows(shuffled), windows(events));
    }

    /// What allows to make windows again of the events that are still kept.
    #[test]
    fn without_a_windows_own_events_those_after_it_are_the_same(events in events()) {
        let all = windows(events.clone());
        for (opened, _) in all.keys() {
            let cut = Micros(opened.0 + 1);
            let rest = events.iter().filter(|e| e.time >= cut).cloned().collect();
            let later = all.range((cut, Stage::Impression)..);
            let later: Windows = later.map(|(k, v)| (*k, v.clone())).collect();
            prop_assert_eq!(windows_after(Some(*opened), rest), later);
        }
    }

    /// With events that come late, however early they happened.
    #[test]
    fn counting_again_from_the_first_new_event_on_is_counting_all(
        known in events(),
        late in events(),
    ) {
        let was = windows(known.clone());
        let all: Vec<_> = known.iter().chain(&late).cloned().collect();
        let since = late.iter().map(|event| event.time).min().unwrap_or_default();
        let (gone, new) = again(was.clone(), all.clone(), since, Micros::MIN);
        let mut is = was;
        is.retain(|key, _| !gone.contains_key(key));
        is.extend(new);
        prop_assert_eq!(is, windows(all));
    }

    /// And nothing that opened before the events that are still kept is touched.
    #[test]
    fn what_is_counted_for_good_stays(
        known in events(),
        since in 0..600i64,
        kept in 0..600i64,
    ) {
        let (since, kept) = [since, kept].map(|hour| Micros::from_seconds(hour * HOUR)).into();
        let was = windows(known.clone());
        let rest = known.into_iter().filter(|event| event.time >= kept).collect();
        let (gone, new) = again(was, rest, since, kept);
        prop_assert_eq!(&gone, &new);
        prop_assert!(gone.keys().all(|(opened, _)| *opened >= kept));
    }

    /// What allows to look only at what a new event can change.
    #[test]
    fn from_any_windows_opening_on_the_rest_is_the_same(events in events()) {
        let all = windows(events.clone());
        for (opened, _) in all.keys() {
            let rest = events.iter().filter(|e| e.time >= *opened).cloned().collect();
            let later = all.range((*opened, Stage::Impression)..);
            let later: Windows = later.map(|(k, v)| (*k, v.clone())).collect();
            prop_assert_eq!(windows(rest), later);
        }
    }
}
