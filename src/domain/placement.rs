//! Where a card is shown, and when.

use serde::{Deserialize, Serialize};

use super::{Card, CardName, ContactKind, Micros, PlacementName, card::etag, time::after};

/// Places in the chat menu.
pub const MENU_POSITIONS: std::ops::RangeInclusive<i32> = 1..=3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PlacementState {
    Live,
    Paused,
    Deleted,
}

impl PlacementState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Paused => "PAUSED",
            Self::Deleted => "DELETED",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Surface {
    /// 1 to 3, from the left.
    ChatMenu { position: i32 },
    /// The id in `notes/{note}`.
    NoteCapsule { note: String },
    /// The id in `conversations/{conversation}`.
    CardMessage { conversation: String },
}

/// A placement as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The store's number, which tokens carry; 0 before it has one.
    pub no: i64,
    pub name: PlacementName,
    pub card: CardName,
    /// The store's number of the card: a purged card's name may be taken again.
    pub card_no: i64,
    /// Empty for all that the card has.
    pub kinds: Vec<ContactKind>,
    pub surface: Surface,
    /// Shown from then on.
    pub start_time: Option<Micros>,
    /// Shown until just before.
    pub end_time: Option<Micros>,
    pub state: PlacementState,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
    pub delete_time: Option<Micros>,
}

impl Placement {
    /// What a LIVE placement holds, whatever its schedule: a menu position of its merchant,
    /// a note. A message holds nothing.
    pub fn slot(&self) -> Option<String> {
        if self.state != PlacementState::Live {
            return None;
        }
        match &self.surface {
            Surface::ChatMenu { position } => {
                Some(format!("menu/{}/{position}", self.name.merchant().id()))
            }
            Surface::NoteCapsule { note } => Some(format!("note/{note}")),
            Surface::CardMessage { .. } => None,
        }
    }

    /// Its time is over, so it gives way to the next that asks for its slot.
    pub fn over(&self, now: Micros) -> bool {
        self.end_time.is_some_and(|end| end <= now)
    }

    /// The kinds that it may show of this card, in the menu's order.
    pub fn offered(&self, card: &Card) -> Vec<ContactKind> {
        card.contacts
            .iter()
            .map(|c| c.kind())
            .filter(|k| self.kinds.is_empty() || self.kinds.contains(k))
            .collect()
    }

    /// How many of them it shows at once.
    pub fn most_shown(&self) -> usize {
        match self.surface {
            Surface::ChatMenu { .. } => ContactKind::ALL.len(),
            Surface::NoteCapsule { .. } | Surface::CardMessage { .. } => 1,
        }
    }

    /// `end_time` comes after `start_time`.
    pub fn schedule_holds(&self) -> bool {
        let times = self.start_time.zip(self.end_time);
        times.is_none_or(|(start, end)| start < end)
    }

    /// The next moment at which its schedule changes what is shown.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        [self.start_time, self.end_time]
            .into_iter()
            .flatten()
            .filter(|t| *t > now)
            .min()
    }

    /// The next version, which others fill in.
    pub fn next(&self, now: Micros) -> Self {
        Self {
            version: self.version + 1,
            update_time: after(self.update_time, now),
            ..self.clone()
        }
    }

    /// The next version, in this state.
    pub fn to(&self, state: PlacementState, now: Micros) -> Self {
        let next = self.next(now);
        Self {
            state,
            delete_time: (state == PlacementState::Deleted).then_some(next.update_time),
            ..next
        }
    }

    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }
}
