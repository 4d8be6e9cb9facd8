//! How many viewers it takes until the minimal lift shows, with [`POWER`].

use statrs::distribution::{ContinuousCDF, Normal};

use super::{Arms, POWER, Plan, Ratio, Sequence};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// For a test with one reading at its end.
    pub fixed: Arms<u64>,
    /// For the sequence, which is read as often as anybody likes.
    pub always_valid: Arms<u64>,
    /// Until the latter, at the present rate; none where nobody comes any more.
    pub days_to_go: Option<u64>,
}

impl Need {
    pub fn of(plan: &Plan, ratio: &Ratio, daily: f64) -> Option<Self> {
        let Plan {
            level,
            minimal_lift,
        } = *plan;
        let base = ratio.rates.held_out;
        let fixed = fixed_horizon(level, base, minimal_lift, ratio.hold_out)?;
        let information = Sequence::of(plan).information(minimal_lift.ln_1p());
        let seen = ratio.viewers.served + ratio.viewers.held_out;
        // What is known grows in step with the viewers.
        let total = seen * ratio.variance * information;
        let days_to_go = if total <= seen {
            Some(0)
        } else {
            (daily > 0.0).then(|| ((total - seen) / daily).ceil() as u64)
        };
        Some(Self {
            fixed,
            always_valid: Arms {
                served: (total * (1.0 - ratio.hold_out)).ceil() as u64,
                held_out: (total * ratio.hold_out).ceil() as u64,
            },
            days_to_go,
        })
    }
}

/// Viewers for a two-sided comparison of two rates by their normal approximation, in arms of
/// any size (Fleiss, Levin and Paik, "Statistical Methods for Rates and Proportions", chapter 4,
/// without its correction for continuity). None where there is no such lift.
pub fn fixed_horizon(level: f64, base: f64, lift: f64, hold_out: f64) -> Option<Arms<u64>> {
    let lifted = base * (1.0 + lift);
    if !(lifted <= 1.0 && lifted != base && hold_out > 0.0 && hold_out < 1.0) {
        return None;
    }
    let normal = Normal::standard();
    let served = 1.0 - hold_out;
    let variance = |rate: f64| rate * (1.0 - rate);
    let pooled = variance(hold_out * base + served * lifted) / (served * hold_out);
    let own = variance(base) / hold_out + variance(lifted) / served;
    let distance = normal.inverse_cdf(1.0 - level / 2.0) * pooled.sqrt()
        + normal.inverse_cdf(POWER) * own.sqrt();
    let total = (distance / (lifted - base)).powi(2);
    Some(Arms {
        served: (total * served).ceil() as u64,
        held_out: (total * hold_out).ceil() as u64,
    })
}
