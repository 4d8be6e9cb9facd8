//! What may break a rule, from its report to what becomes of its points.

use serde::{Deserialize, Serialize};

use super::{Merchant, Micros, SanctionName, ViolationName, card::etag, time::after};

/// Where a violation stands. The numbers are those of the proto and of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ViolationState {
    Reported = 1,
    Confirmed = 2,
    Dismissed = 3,
    /// Confirmed, then undone by an appeal.
    Overturned = 4,
}

impl ViolationState {
    pub const ALL: [Self; 4] = [
        Self::Reported,
        Self::Confirmed,
        Self::Dismissed,
        Self::Overturned,
    ];

    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == n)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "REPORTED",
            Self::Confirmed => "CONFIRMED",
            Self::Dismissed => "DISMISSED",
            Self::Overturned => "OVERTURNED",
        }
    }
}

/// A violation as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: ViolationName,
    /// The conduct table's id.
    pub rule: String,
    /// What the rule cost when it was reported, 1 to 12.
    pub points: u8,
    /// The description and the addresses of the proof, sealed (`app/papers.rs`).
    pub papers: String,
    pub item_ids: Vec<String>,
    pub event_time: Micros,
    pub reporter: String,
    pub state: ViolationState,
    pub decision: Option<Decision>,
    /// Of a confirmed one.
    pub charge: Option<Charge>,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
}

/// Who confirmed or dismissed it, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub time: Micros,
    pub author: String,
    /// For the merchant to read.
    pub reason: String,
}

/// What followed from a confirmed violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Of the conduct table by which it was confirmed.
    pub conduct_version: String,
    /// The balance right after it.
    pub balance: u8,
    /// That the ladder set.
    pub sanctions: Vec<SanctionName>,
    /// No appeal from then on.
    pub appeal_end_time: Micros,
    /// When the points come back by themselves; `None` for never.
    pub return_time: Option<Micros>,
    /// When an appeal undid it, and who upheld that.
    pub overturned: Option<(Micros, String)>,
}

impl Violation {
    pub fn merchant(&self) -> &Merchant {
        self.name.merchant()
    }

    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }

    /// As its merchant may read it: not who reported it and who decided, nor the proof, which may
    /// lead to a person. One that is only reported it does not read at all.
    pub fn for_merchant(self) -> Option<Self> {
        let decision = self.decision.map(|decision| Decision {
            author: String::new(),
            ..decision
        });
        let charge = self.charge.map(|charge| Charge {
            overturned: charge.overturned.map(|(time, _)| (time, String::new())),
            ..charge
        });
        (self.state != ViolationState::Reported).then_some(Self {
            reporter: String::new(),
            papers: String::new(),
            decision,
            charge,
            ..self
        })
    }

    /// The next version, decided so.
    pub fn decided(
        self,
        state: ViolationState,
        decision: Decision,
        charge: Option<Charge>,
    ) -> Self {
        let update_time = after(self.update_time, decision.time);
        Self {
            state,
            decision: Some(Decision {
                time: update_time,
                ..decision
            }),
            charge,
            version: self.version + 1,
            update_time,
            ..self
        }
    }

    /// The next version, undone by an appeal that `author` upheld.
    pub fn overturned(self, author: &str, now: Micros) -> Self {
        let update_time = after(self.update_time, now);
        let undone = Some((update_time, author.to_owned()));
        Self {
            state: ViolationState::Overturned,
            charge: self.charge.map(|charge| Charge {
                overturned: undone,
                ..charge
            }),
            version: self.version + 1,
            update_time,
            ..self
        }
    }
}
