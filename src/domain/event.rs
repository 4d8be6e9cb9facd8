//! What viewers did, or were shown: the raw events of the funnel.

use std::time::Duration;

use uuid::Uuid;

use super::{Merchant, Micros};

/// How late an event may come.
pub const LATE: Duration = Duration::from_secs(30 * 24 * 3600);

/// What a sender's clock and ours may differ by.
pub const SKEW: Duration = Duration::from_secs(5 * 60);

macro_rules! stages {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $word:literal),* $(,)?) => {
        /// A stage of the funnel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Stage { $($(#[$doc])* $variant = $number),* }

        impl Stage {
            /// Every stage, in the funnel's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word of the contract.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }
    };
}

// The numbers are those of the proto and of the store.
stages! {
    Impression = 1 "IMPRESSION",
    Tap = 2 "TAP",
    Copy = 3 "COPY",
    Dial = 4 "DIAL",
    /// 进线
    Inbound = 5 "INBOUND",
    /// 开口
    Opening = 6 "OPENING",
    /// 留资
    Lead = 7 "LEAD",
    AddRequested = 8 "ADD_REQUESTED",
    /// 加微
    Added = 9 "ADDED",
    /// 企微开口
    WecomOpening = 10 "WECOM_OPENING",
    Removed = 11 "REMOVED",
}

impl Stage {
    /// `None` for a number that this version does not know.
    pub fn from_number(number: i16) -> Option<Self> {
        Self::ALL.iter().copied().find(|v| *v as i16 == number)
    }

    /// Whether the platform's services tell of it: taps the service records itself, and WeCom
    /// tells the rest.
    pub const fn is_reported(self) -> bool {
        matches!(
            self,
            Self::Impression | Self::Copy | Self::Dial | Self::Inbound | Self::Opening | Self::Lead
        )
    }
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Touch {
    /// A placement's id; empty where none is named, as the other two.
    pub placement: String,
    /// A note's id.
    pub note: String,
    /// A link's channel.
    pub channel: String,
}

/// One event as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of the merchant and the sender's id: the same for the same event.
    pub id: Uuid,
    pub stage: Stage,
    pub merchant: Merchant,
    /// The viewer's keyed hash. `None`: nobody knows who tapped a published link.
    pub viewer: Option<u64>,
    pub time: Micros,
    pub touch: Touch,
    /// A conversation's id; empty where none is named.
    pub conversation: String,
    /// By a machine: kept apart, in no figure of people.
    pub bot: bool,
    /// As JSON; empty where there are none.
    pub attributes: String,
}

/// Why an event cannot have happened when it says; `Ok` where it can.
pub fn timely(time: Micros, now: Micros) -> Result<(), &'static str> {
    if time > now + SKEW {
        return Err("must not be over 5 minutes from now");
    }
    if time + LATE < now {
        return Err("must not be over 30 days ago");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_may_be_thirty_days_late_and_five_minutes_early() {
        let now = Micros::from_seconds(1_800_000_000);
        let at = |seconds: i64| Micros(now.0 + seconds * 1_000_000);
        for (seconds, ok) in [
            (300, true),
            (301, false),
            (-30 * 86_400, true),
            (-30 * 86_400 - 1, false),
        ] {
            assert_eq!(timely(at(seconds), now).is_ok(), ok, "{seconds}");
        }
    }
}
