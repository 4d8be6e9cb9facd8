//! The funnel: which stages a viewer reached at a merchant, each once a window.
//!
//! A window opens with an exposure. Exposures of the next 24 hours belong to it, the first after
//! that opens the next one, so every event belongs to the latest window opened before it, or to
//! none. A window's stages depend on the viewer's events alone, not on the order in which they
//! came in.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::{
    Micros,
    event::{Stage, Touch},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// For how long an exposure opens no other window.
pub const EXPOSURES: Duration = DAY;

/// The longest that anything counts after a window's opening.
pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

impl Stage {
    /// Within which of the window's opening it counts.
    pub const fn window(self) -> Duration {
        match self {
            Self::Inbound | Self::Opening => DAY,
            _ => LONGEST,
        }
    }

    /// Whether it opens a window: who taps has seen what there was to tap.
    const fn is_exposure(self) -> bool {
        matches!(self, Self::Impression | Self::Inbound | Self::Tap)
    }
}

/// An event of one viewer at one merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub time: Micros,
    pub stage: Stage,
    /// Puts events of one moment and stage into an order that is always the same.
    pub id: Uuid,
    pub touch: Touch,
}

impl Seen {
    /// By time; of one moment, exposures first, so that what opens a window comes before what
    /// belongs to it.
    fn order(&self) -> (Micros, bool, Stage, Uuid, &Touch) {
        let exposed = !self.stage.is_exposure();
        (self.time, exposed, self.stage, self.id, &self.touch)
    }
}

/// A stage that a viewer reached in a window, first at this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    pub time: Micros,
    /// What is credited: what the event names, or what was last named before it in the window.
    pub touch: Touch,
}

/// The stages reached, by the window's opening.
pub type Windows = BTreeMap<(Micros, Stage), Reached>;

/// The windows of one viewer at one merchant; what comes twice counts once. `seen` holds all
/// events since before any window, or since the opening of one; or all that come after the window
/// that `opened` then, which is left out.
pub fn windows_after(opened: Option<Micros>, mut seen: Vec<Seen>) -> Windows {
    seen.sort_unstable_by(|a, b| a.order().cmp(&b.order()));
    let mut reached = Windows::new();
    let mut open = opened.map(|opened| (opened, Touch::default()));
    for event in seen {
        let Seen {
            time, stage, touch, ..
        } = event;
        if stage.is_exposure()
            && open
                .as_ref()
                .is_none_or(|(opened, _)| time >= *opened + EXPOSURES)
        {
            open = Some((time, Touch::default()));
        }
        let Some((opened, last)) = &mut open else {
            continue;
        };
        if time >= *opened + stage.window() {
            continue;
        }
        last.follow(touch);
        reached.entry((*opened, stage)).or_insert_with(|| Reached {
            time,
            touch: last.clone(),
        });
    }
    reached.retain(|(window, _), _| Some(*window) != opened);
    reached
}

/// What is counted of a viewer from the first window that something new since then can change,
/// and what is to be. All events are known from `kept` on.
pub fn again(was: Windows, seen: Vec<Seen>, since: Micros, kept: Micros) -> (Windows, Windows) {
    let since = since.max(kept);
    let opened = was.range(..=(since, Stage::Removed)).next_back();
    let opened = opened.map(|((opened, _), _)| *opened);
    let (before, from) = match opened {
        Some(opened) if opened >= kept => (None, opened),
        Some(opened) => (Some(opened), kept),
        None => (None, since),
    };
    let was = was.into_iter().filter(|((opened, _), _)| *opened >= from);
    let seen = seen.into_iter().filter(|seen| seen.time >= from);
    (was.collect(), windows_after(before, seen.collect()))
}

impl Touch {
    /// What is named now, or else what was named before.
    fn follow(&mut self, now: Self) {
        if now != Self::default() {
            *self = now;
        }
    }
}

#[cfg(test)]
mod tests;
