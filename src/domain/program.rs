//! Programs: on what terms merchants may use cards, and which merchants are in.

mod draft;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::{
    ContactKind, EnrollmentName, Merchant, Micros, Money, ProgramName, Reason, Refusal, Surface,
    card::etag, eligibility::Terms, time::after,
};

pub use draft::ProgramDraft;

/// What `share_permille` is a part of.
pub const EVERYBODY: u16 = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProgramState {
    Running,
    Paused,
    Ended,
}

impl ProgramState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Ended => "ENDED",
        }
    }
}

/// Where cards are shown. The numbers are those of the proto and of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SurfaceKind {
    ChatMenu = 1,
    NoteCapsule = 2,
    CardMessage = 3,
}

impl SurfaceKind {
    pub const ALL: [Self; 3] = [Self::ChatMenu, Self::NoteCapsule, Self::CardMessage];

    pub fn from_number(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|s| *s as u8 == n)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatMenu => "CHAT_MENU",
            Self::NoteCapsule => "NOTE_CAPSULE",
            Self::CardMessage => "CARD_MESSAGE",
        }
    }
}

impl Surface {
    pub fn kind(&self) -> SurfaceKind {
        match self {
            Self::ChatMenu { .. } => SurfaceKind::ChatMenu,
            Self::NoteCapsule { .. } => SurfaceKind::NoteCapsule,
            Self::CardMessage { .. } => SurfaceKind::CardMessage,
        }
    }
}

/// A program as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: ProgramName,
    pub display_name: String,
    pub state: ProgramState,
    /// In the order of their numbers, each once.
    pub surfaces: Vec<SurfaceKind>,
    /// In the menu's order, each once.
    pub kinds: Vec<ContactKind>,
    pub threshold: Money,
    /// 1 to 90.
    pub window_days: i32,
    /// 0 to 90.
    pub serving_grace_days: i32,
    /// 0 to 90.
    pub configuration_grace_days: i32,
    /// Admits from then on.
    pub start_time: Option<Micros>,
    /// Admits until just before.
    pub end_time: Option<Micros>,
    /// 0 to [`EVERYBODY`].
    pub share_permille: u16,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
}

impl Program {
    /// `programs/default`, which the first start makes: the brief's terms.
    pub fn default_at(now: Micros) -> Self {
        Self {
            no: 0,
            #[expect(clippy::expect_used, reason = "a constant")]
            name: ProgramName::new("default").expect("well-formed"),
            display_name: "Official contact cards 官方名片".to_owned(),
            state: ProgramState::Running,
            surfaces: SurfaceKind::ALL.to_vec(),
            kinds: vec![ContactKind::Wecom, ContactKind::Phone],
            threshold: DEFAULT_THRESHOLD,
            window_days: DEFAULT_WINDOW_DAYS,
            serving_grace_days: DEFAULT_SERVING_GRACE_DAYS,
            configuration_grace_days: 0,
            start_time: None,
            end_time: None,
            share_permille: EVERYBODY,
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    pub fn terms(&self) -> Terms {
        Terms {
            threshold: self.threshold,
            window_days: self.window_days,
            configuration_grace_days: self.configuration_grace_days,
            serving_grace_days: self.serving_grace_days,
        }
    }

    /// Whether it runs: by its state and by its dates.
    pub fn runs(&self, now: Micros) -> bool {
        self.state == ProgramState::Running
            && self.start_time.is_none_or(|start| start <= now)
            && self.end_time.is_none_or(|end| end > now)
    }

    /// The next moment at which its dates change whom it admits.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        [self.start_time, self.end_time]
            .into_iter()
            .flatten()
            .filter(|t| *t > now)
            .min()
    }

    /// Since when it is over for good: by a call, or by its date.
    pub fn ended_at(&self, now: Micros) -> Option<Micros> {
        let by_date = self.end_time.filter(|end| *end <= now);
        let by_call = (self.state == ProgramState::Ended).then_some(self.update_time);
        [by_date, by_call].into_iter().flatten().min()
    }

    /// `PROGRAM_ENDED` once it was ended by a call; one whose date has passed may yet be given
    /// another.
    pub fn not_ended(&self, now: Micros) -> Result<(), Refusal> {
        if self.state != ProgramState::Ended {
            return Ok(());
        }
        Err(self.over(self.ended_at(now)).about(&self.name))
    }

    pub(super) fn over(&self, since: Option<Micros>) -> Refusal {
        Refusal::new(Reason::ProgramEnded, "the program has ended")
            .with("program", self.name.to_string())
            .with("endTime", since.map(|t| t.to_string()).unwrap_or_default())
    }

    /// Whether the share or the list lets the merchant in, and which of them it was.
    pub fn membership(&self, merchant: &Merchant, list: Option<List>) -> Membership {
        match list {
            Some(List::Deny) => Membership::Denied,
            Some(List::Allow) => Membership::Allowed,
            None => {
                let bucket = bucket(&self.name, merchant);
                if bucket < self.share_permille {
                    Membership::InShare(bucket)
                } else {
                    Membership::BeyondShare(bucket)
                }
            }
        }
    }

    /// The next version, which others fill in.
    pub fn next(&self, now: Micros) -> Self {
        Self {
            version: self.version + 1,
            update_time: after(self.update_time, now),
            ..self.clone()
        }
    }

    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }
}

pub const DEFAULT_THRESHOLD: Money = Money(100_000);
pub const DEFAULT_WINDOW_DAYS: i32 = 30;
pub const DEFAULT_SERVING_GRACE_DAYS: i32 = 7;

/// Which list a merchant is on. The numbers are those of the proto and of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum List {
    Allow = 1,
    Deny = 2,
}

/// A merchant on a program's list, as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrollment {
    pub program: ProgramName,
    pub program_no: i64,
    pub merchant: Merchant,
    pub list: List,
    /// Taken off the list in this version.
    pub deleted: bool,
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
}

impl Enrollment {
    /// A merchant put onto a list; `old` is what stood before it was taken off, whose versions
    /// go on.
    pub fn new(
        program: &Program,
        merchant: Merchant,
        list: List,
        old: Option<&Self>,
        now: Micros,
    ) -> Self {
        let time = old.map_or(now, |old| after(old.update_time, now));
        Self {
            program: program.name.clone(),
            program_no: program.no,
            merchant,
            list,
            deleted: false,
            version: old.map_or(1, |old| old.version + 1),
            create_time: time,
            update_time: time,
        }
    }

    /// The next version: off the list.
    pub fn deleted(self, now: Micros) -> Self {
        Self {
            deleted: true,
            version: self.version + 1,
            update_time: after(self.update_time, now),
            ..self
        }
    }

    pub fn name(&self) -> EnrollmentName {
        EnrollmentName {
            program: self.program.clone(),
            merchant: self.merchant.clone(),
        }
    }

    pub fn etag(&self) -> String {
        etag(self.program_no, self.version)
    }
}

/// Why a merchant is in a program or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    Denied,
    Allowed,
    /// Its bucket, below the share.
    InShare(u16),
    /// Its bucket, at or beyond the share.
    BeyondShare(u16),
}

impl Membership {
    pub fn is_in(self) -> bool {
        matches!(self, Self::Allowed | Self::InShare(_))
    }
}

/// 0 to 999, the same on every replica and in every language: MurmurHash3 (x86, 32 bits, seed
/// 0) of `program/merchant`, scaled as flagd scales it.
pub fn bucket(program: &ProgramName, merchant: &Merchant) -> u16 {
    let key = format!("{}/{}", program.id(), merchant.id());
    let hash = mur3::murmurhash3_x86_32(key.as_bytes(), 0);
    let scaled = (u64::from(hash) * u64::from(EVERYBODY)) >> 32;
    u16::try_from(scaled).unwrap_or(EVERYBODY - 1)
}
