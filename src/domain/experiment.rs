//! Experiments: a share of a merchant's viewers is shown no cards, so that what cards bring can
//! be told from what would have come anyway.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{ExperimentName, Merchant, Micros, card::etag, lift::Plan};

/// Shares are of so many.
pub const EVERYBODY: u16 = 1000;

/// The most that is held out: the rest must be worth comparing with.
pub const MOST_HELD_OUT: u16 = 900;

/// An experiment as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Experiment {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: ExperimentName,
    pub display_name: String,
    /// Of 1,000 viewers.
    pub hold_out: u16,
    /// Makes one split another.
    pub salt: String,
    /// How it is judged: settled as it starts, for later no promise would hold.
    pub minimal_lift_percent: u8,
    pub version: i64,
    pub start_time: Micros,
    /// Viewers are held out until just before.
    pub stop_time: Option<Micros>,
    pub update_time: Micros,
}

/// On which side of the split a viewer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// Is shown cards. Also the number in a token.
    Treated = 1,
    /// Is not.
    HeldOut = 2,
}

impl Experiment {
    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }

    pub fn merchant(&self) -> &Merchant {
        self.name.merchant()
    }

    pub fn plan(&self) -> Plan {
        Plan::of_percent(self.minimal_lift_percent)
    }

    /// How it splits viewers.
    pub fn split(&self) -> Split {
        Split {
            experiment_no: self.no,
            hold_out: self.hold_out,
            salt: self.salt.as_str().into(),
        }
    }

    /// The viewer's arm.
    pub fn arm(&self, viewer: u64) -> Arm {
        self.split().arm(viewer)
    }
}

/// How an experiment splits viewers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub experiment_no: i64,
    /// Of 1,000 viewers.
    pub hold_out: u16,
    pub salt: Box<str>,
}

impl Split {
    /// The viewer's arm, always the same: by MurmurHash3 (x86, 32 bits, seed 0) of the salt, a
    /// slash and the viewer's keyed hash, scaled. A larger share of the same salt only adds to
    /// those who are held out.
    pub fn arm(&self, viewer: u64) -> Arm {
        let digit = |at: usize| b"0123456789abcdef"[(viewer >> (60 - 4 * at)) as usize & 0xf];
        let mut key: SmallVec<[u8; 96]> = SmallVec::from_slice(self.salt.as_bytes());
        key.push(b'/');
        key.extend((0..16).map(digit));
        let hash = mur3::murmurhash3_x86_32(&key, 0);
        let bucket = (u64::from(hash) * u64::from(EVERYBODY)) >> 32;
        if bucket < u64::from(self.hold_out) {
            Arm::HeldOut
        } else {
            Arm::Treated
        }
    }
}

impl Arm {
    /// `None` for a number that this version does not know.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Treated, Self::HeldOut]
            .into_iter()
            .find(|arm| *arm as i16 == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(hold_out: u16, salt: &str) -> Experiment {
        Experiment {
            no: 1,
            name: ExperimentName::parse("merchants/klook/experiments/e").unwrap(),
            display_name: String::new(),
            hold_out,
            salt: salt.to_owned(),
            minimal_lift_percent: 5,
            version: 1,
            start_time: Micros(0),
            stop_time: None,
            update_time: Micros(0),
        }
    }

    fn held_out(experiment: &Experiment) -> Vec<u64> {
        let viewers = (0..100_000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        viewers
            .filter(|v| experiment.arm(*v) == Arm::HeldOut)
            .collect()
    }

    #[test]
    fn the_share_is_held_out_and_a_larger_one_only_adds() {
        let mut last = Vec::new();
        for share in [1, 100, 500, 900] {
            let held = held_out(&experiment(share, "s"));
            let expected = f64::from(share) * 100.0;
            let sigma = (expected * (1.0 - expected / 100_000.0)).sqrt();
            let off = (f64::from(u32::try_from(held.len()).unwrap()) - expected).abs();
            assert!(off < 4.5 * sigma, "{share}: {}", held.len());
            assert!(last.iter().all(|viewer| held.contains(viewer)), "{share}");
            last = held.into_iter().take(1000).collect();
        }
    }

    /// By another implementation of MurmurHash3: a split that moves spoils experiments under way.
    #[test]
    fn the_split_stays_as_it_is() {
        for (salt, viewer, place) in [
            ("autumn", 7, 142),
            ("s", 0x0123_4567_89ab_cdef, 728),
            ("spring-2026", u64::MAX, 752),
            ("", 0, 413),
        ] {
            assert_eq!(experiment(place, salt).arm(viewer), Arm::Treated, "{salt}");
            assert_eq!(
                experiment(place + 1, salt).arm(viewer),
                Arm::HeldOut,
                "{salt}"
            );
        }
    }

    #[test]
    fn another_salt_is_another_split() {
        let (one, other) = (experiment(500, "s"), experiment(500, "t"));
        let held = held_out(&one);
        let both = held.iter().filter(|v| other.arm(**v) == Arm::HeldOut);
        let both = both.count();
        assert!((24_000..26_000).contains(&both), "{both}");
    }
}
