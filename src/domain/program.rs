//! Programs: on what terms merchants may use cards, and which merchants are in.

use serde::{Deserialize, Serialize};

use super::{
    ContactKind, Merchant, Micros, Money, ProgramName, Surface, card::etag, eligibility::Terms,
    time::after,
};

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

    /// The next moment at which its dates change whom it admits.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        [self.start_time, self.end_time]
            .into_iter()
            .flatten()
            .filter(|t| *t > now)
            .min()
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
    let hash = murmur3(key.as_bytes());
    let scaled = (u64::from(hash) * u64::from(EVERYBODY)) >> 32;
    u16::try_from(scaled).unwrap_or(EVERYBODY - 1)
}

fn murmur3(key: &[u8]) -> u32 {
    // Reading from memory does not fail.
    murmur3::murmur3_32(&mut std::io::Cursor::new(key), 0).unwrap_or_default()
}
