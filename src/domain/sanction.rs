//! What a merchant may not do for a time, or pays. What follows from its times is derived when
//! asked: nothing is written when one begins or ends.

use serde::{Deserialize, Serialize};

use super::{
    AppealName, Merchant, Micros, Money, Reason, Refusal, SanctionName, ViolationName, card::etag,
    time::after,
};

/// The effects. The numbers are those of the proto and of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SanctionKind {
    Warning = 1,
    CardsSuspended = 2,
    StoreFrozen = 3,
    ReleaseRestricted = 4,
    ItemsBlocked = 5,
    TrafficRestricted = 6,
    DamagesDeducted = 7,
}

impl SanctionKind {
    /// Over as soon as they begin: they go on saying that they were, and do nothing more.
    pub const MOMENTARY: [Self; 2] = [Self::Warning, Self::DamagesDeducted];

    pub const ALL: [Self; 7] = [
        Self::Warning,
        Self::CardsSuspended,
        Self::StoreFrozen,
        Self::ReleaseRestricted,
        Self::ItemsBlocked,
        Self::TrafficRestricted,
        Self::DamagesDeducted,
    ];

    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == n)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "WARNING",
            Self::CardsSuspended => "CARDS_SUSPENDED",
            Self::StoreFrozen => "STORE_FROZEN",
            Self::ReleaseRestricted => "RELEASE_RESTRICTED",
            Self::ItemsBlocked => "ITEMS_BLOCKED",
            Self::TrafficRestricted => "TRAFFIC_RESTRICTED",
            Self::DamagesDeducted => "DAMAGES_DEDUCTED",
        }
    }

    pub fn is_momentary(self) -> bool {
        Self::MOMENTARY.contains(&self)
    }

    /// Why the gate says no while one is in force; none where it is not the gate's to enforce.
    pub const fn stops_cards(self) -> Option<Reason> {
        match self {
            Self::CardsSuspended => Some(Reason::CardSuspended),
            Self::StoreFrozen => Some(Reason::StoreFrozen),
            _ => None,
        }
    }
}

/// Where products are left out. The numbers are those of the proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Channel {
    Search = 1,
    Navigation = 2,
    Marketing = 3,
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Search, Self::Navigation, Self::Marketing];

    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| *channel as u8 == n)
    }
}

/// Where a sanction stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanctionState {
    Scheduled,
    Active,
    Ended,
    Lifted,
}

impl SanctionState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Active => "ACTIVE",
            Self::Ended => "ENDED",
            Self::Lifted => "LIFTED",
        }
    }
}

/// A sanction as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sanction {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: SanctionName,
    pub kind: SanctionKind,
    /// Of ITEMS_BLOCKED: 1 to 100.
    pub item_ids: Vec<String>,
    /// Of ITEMS_BLOCKED: each once, by number.
    pub channels: Vec<Channel>,
    /// Of DAMAGES_DEDUCTED.
    pub amount: Option<Money>,
    /// In force from then on.
    pub start_time: Micros,
    /// In force until just before; `None` for ever.
    pub end_time: Option<Micros>,
    /// For the merchant to read, 1 to 500 code points.
    pub reason: String,
    /// The conduct table's id.
    pub rule: String,
    /// What it follows from.
    pub violation: Option<ViolationName>,
    /// Addresses of the proof, sealed (`app/papers.rs`).
    pub papers: String,
    /// Who set it.
    pub author: String,
    pub lift: Option<Lift>,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
}

/// How a sanction ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lift {
    pub time: Micros,
    /// Who lifted it.
    pub author: String,
    /// For the merchant to read.
    pub reason: String,
    /// The appeal that was upheld, if one was.
    pub appeal: Option<AppealName>,
}

impl Sanction {
    pub fn merchant(&self) -> &Merchant {
        self.name.merchant()
    }

    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }

    /// As its merchant may read it: not who set and who lifted it, nor the proof, which may lead to
    /// a person.
    pub fn for_merchant(self) -> Self {
        let lift = self.lift.map(|lift| Lift {
            author: String::new(),
            ..lift
        });
        Self {
            author: String::new(),
            papers: String::new(),
            lift,
            ..self
        }
    }

    /// Whether it has no effect any more, whatever the clock by which it was lifted.
    pub fn is_over(&self, at: Micros) -> bool {
        self.lift.is_some() || self.state(at) == SanctionState::Ended
    }

    /// Of what is known now; what was known then is an earlier version.
    pub fn state(&self, at: Micros) -> SanctionState {
        let over = self.end_time.is_some_and(|end| end <= at) || self.kind.is_momentary();
        match &self.lift {
            Some(lift) if lift.time <= at => SanctionState::Lifted,
            _ if at < self.start_time => SanctionState::Scheduled,
            _ if over => SanctionState::Ended,
            _ => SanctionState::Active,
        }
    }

    /// Whether it was in force then: set by then, begun, not ended and not lifted.
    pub fn in_force(&self, at: Micros) -> bool {
        self.create_time <= at && self.state(at) == SanctionState::Active
    }

    /// As it is seen at a moment at which it is known: one that began as it was set has begun,
    /// whatever the clock by which it was.
    pub fn seen(self, at: Micros) -> Self {
        let start_time = match self.start_time <= self.create_time {
            true => self.start_time.min(at),
            false => self.start_time,
        };
        Self {
            start_time,
            create_time: self.create_time.min(at),
            ..self
        }
    }

    /// As it was known then, when it had been set: a later lift is left out.
    pub fn known(self, at: Micros) -> Self {
        match &self.lift {
            Some(lift) if at < lift.time => Self {
                lift: None,
                version: self.version - 1,
                update_time: self.create_time,
                ..self
            },
            _ => self,
        }
    }

    /// The next moment at which it begins or ends by itself.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        match self.state(now) {
            SanctionState::Scheduled => Some(self.start_time),
            SanctionState::Active => self.end_time,
            SanctionState::Ended | SanctionState::Lifted => None,
        }
    }

    /// Lifted now; what it did until then stays on record.
    pub fn lifted(self, lift: Lift) -> Self {
        let update_time = after(self.update_time, lift.time);
        Self {
            version: self.version + 1,
            update_time,
            lift: Some(Lift {
                time: update_time,
                ..lift
            }),
            ..self
        }
    }

    /// What the gate says while it is in force.
    pub fn refusal(&self) -> Option<Refusal> {
        let reason = self.kind.stops_cards()?;
        let message = match self.kind {
            SanctionKind::StoreFrozen => "a sanction has frozen the store",
            _ => "a sanction suspends the merchant's cards",
        };
        let end = self.end_time.map(|t| t.to_string()).unwrap_or_default();
        let refusal = Refusal::new(reason, message).about(&self.name);
        Some(
            refusal
                .with("sanction", self.name.to_string())
                .with("endTime", end),
        )
    }
}

/// Of the sanctions in force at this moment, the one that stops cards the longest; the first of
/// equals.
pub fn stopping(sanctions: &[Sanction], at: Micros) -> Option<&Sanction> {
    let stops =
        |sanction: &&Sanction| sanction.kind.stops_cards().is_some() && sanction.in_force(at);
    let lasts = |sanction: &&Sanction| sanction.end_time.unwrap_or(Micros::MAX);
    sanctions.iter().rev().filter(stops).max_by_key(lasts)
}
