//! Lift: whether viewers who are served convert at another rate than those who are held out.
//!
//! [`read`] judges one experiment, or a program's together, from its counts alone, as often as
//! anybody likes. What is compared is the ratio of the two rates (`ratio.rs`), judged by a
//! confidence sequence (`sequence.rs`), with what a test with one reading would say beside it.

mod need;
mod ratio;
mod sequence;
mod split;
mod words;

pub use need::{Need, fixed_horizon};
use ratio::Ratio;
use sequence::Sequence;
pub use split::Split;
use statrs::distribution::{ContinuousCDF, Normal};
pub use words::words;

/// Under so many analyzed viewers in an arm nothing is said.
pub const MIN_VIEWERS: u64 = 100;
/// Under so many conversions in an arm nothing is said.
pub const MIN_CONVERSIONS: u64 = 5;
/// How surely a lift shows in the sample that is called enough for it.
pub const POWER: f64 = 0.8;

/// What holds for each of the two arms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arms<T> {
    pub served: T,
    pub held_out: T,
}

impl Arms<u64> {
    pub fn both(self) -> u64 {
        self.served.saturating_add(self.held_out)
    }
}

/// The viewers of an arm whose window has closed, and those of them who converted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arm {
    pub viewers: u64,
    pub conversions: u64,
}

/// One merchant's experiment with one metric. Viewers seen in both arms are in neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experiment {
    /// The share of viewers that was to be held out, 0 to 1000.
    pub hold_out_permille: u16,
    /// Everybody exposed so far: the split is checked on them.
    pub exposed: Arms<u64>,
    pub matured: Arms<Arm>,
}

/// How an experiment is judged; settled before its first reading, or no promise holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// How often an interval may miss the true lift at any of its readings.
    pub level: f64,
    /// The smallest relative lift that matters: the sequence is made for it and for larger ones.
    pub minimal_lift: f64,
}

impl Plan {
    /// The minimal lift in percent, from 1 to 100.
    pub fn of_percent(minimal_lift: u8) -> Self {
        Self {
            minimal_lift: f64::from(minimal_lift) / 100.0,
            ..Self::default()
        }
    }

    /// Within these bounds every figure of a reading is finite.
    pub fn is_sound(&self) -> bool {
        (0.001..=0.2).contains(&self.level) && (0.01..=1.0).contains(&self.minimal_lift)
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            level: 0.05,
            minimal_lift: 0.05,
        }
    }
}

/// What a reading finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    pub split: Split,
    /// None below the least counts.
    pub estimate: Option<Estimate>,
    /// None below the least counts, or where the base rate has no room for the minimal lift.
    pub need: Option<Need>,
    pub verdict: Verdict,
}

/// Relative lift: 0.1 is 10 % more than the hold-out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Of several experiments, averages with the same weights in both arms.
    pub rates: Arms<f64>,
    pub lift: f64,
    /// Holds at all readings together.
    pub always_valid: Inference,
    /// Would hold if this were the only reading.
    pub fixed: Inference,
    /// The smallest lift that a sample of this size would show.
    pub shows: f64,
}

/// An interval for the lift, and the p-value of there being none. They agree: p is under the
/// plan's level where the interval leaves out 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inference {
    pub lower: f64,
    pub upper: f64,
    pub p: f64,
}

/// Whether the lift is shown, one way or the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Withheld(Withheld),
    Better,
    Worse,
    NotShown,
}

/// Why nothing is concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// The arms' sizes are not as declared: who is counted depends on the arm.
    SplitAlarm,
    TooFewViewers,
    TooFewConversions,
    /// Adds, where the merchant does not report all of them: the hold-out cannot have any
    /// through the card. Not found here, but by who chooses the metric.
    AddsNotReported,
}

/// Reads an experiment, or several as strata of one; `daily` is how many viewers of both arms
/// mature in a day now.
pub fn read(plan: &Plan, experiments: &[Experiment], daily: f64) -> Reading {
    let split = Split::check(experiments);
    let (estimate, need, found) = match Ratio::of(experiments) {
        Ok(ratio) => {
            let estimate = Estimate::of(plan, &ratio);
            let need = Need::of(plan, &ratio, daily);
            (Some(estimate), need, estimate.verdict())
        }
        Err(few) => (None, None, Verdict::Withheld(few)),
    };
    let alarm = Verdict::Withheld(Withheld::SplitAlarm);
    Reading {
        split,
        estimate,
        need,
        verdict: if split.alarm() { alarm } else { found },
    }
}

impl Estimate {
    fn of(plan: &Plan, ratio: &Ratio) -> Self {
        let sequence = Sequence::of(plan);
        let (log, error) = (ratio.log(), ratio.variance.sqrt());
        let information = 1.0 / ratio.variance;
        let normal = Normal::standard();
        let bound = sequence.bound(information);
        let within = |errors: f64, p| Inference {
            lower: (log - errors * error).exp_m1(),
            upper: (log + errors * error).exp_m1(),
            p,
        };
        let distance = log.abs() / error;
        Self {
            rates: ratio.rates,
            lift: log.exp_m1(),
            always_valid: within(bound, sequence.p(distance, information)),
            fixed: within(
                normal.inverse_cdf(1.0 - plan.level / 2.0),
                2.0 * normal.sf(distance),
            ),
            shows: ((bound + normal.inverse_cdf(POWER)) * error).exp_m1(),
        }
    }

    fn verdict(&self) -> Verdict {
        if self.always_valid.lower > 0.0 {
            Verdict::Better
        } else if self.always_valid.upper < 0.0 {
            Verdict::Worse
        } else {
            Verdict::NotShown
        }
    }
}

#[cfg(test)]
mod tests;
