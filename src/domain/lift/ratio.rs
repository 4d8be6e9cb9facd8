//! The ratio of the two arms' rates, over strata.
//!
//! Mantel and Haenszel's estimate for risk ratios with the variance of Greenland and Robins
//! (Biometrics 41, 1985): each merchant is compared with itself, so that neither base rates nor
//! shares that differ between merchants turn the result around. For one experiment it is the
//! plain ratio with the variance of Katz and others (Biometrics 34, 1978).

use super::{Arm, Arms, Experiment, MIN_CONVERSIONS, MIN_VIEWERS, Withheld};

pub struct Ratio {
    pub rates: Arms<f64>,
    /// Of the ratio's logarithm; above 0.
    pub variance: f64,
    pub viewers: Arms<f64>,
    /// The share of viewers that was to be held out.
    pub hold_out: f64,
}

/// An experiment's viewers and its conversions among them.
struct Stratum {
    n: Arms<f64>,
    x: Arms<f64>,
    hold_out: f64,
}

impl Ratio {
    pub fn of(experiments: &[Experiment]) -> Result<Self, Withheld> {
        let strata: Vec<_> = experiments.iter().filter_map(Stratum::of).collect();
        let sum = |figure: fn(&Stratum) -> f64| strata.iter().map(figure).sum::<f64>();
        let both = |served: fn(&Stratum) -> f64, held_out: fn(&Stratum) -> f64| Arms {
            served: sum(served),
            held_out: sum(held_out),
        };
        let n = both(|s| s.n.served, |s| s.n.held_out);
        if n.served.min(n.held_out) < MIN_VIEWERS as f64 {
            return Err(Withheld::TooFewViewers);
        }
        let x = both(|s| s.x.served, |s| s.x.held_out);
        if x.served.min(x.held_out) < MIN_CONVERSIONS as f64 {
            return Err(Withheld::TooFewConversions);
        }
        let weighted = both(
            |s| s.x.served * s.n.held_out / s.size(),
            |s| s.x.held_out * s.n.served / s.size(),
        );
        let weight = sum(|s| s.n.served * s.n.held_out / s.size());
        let spread = sum(Stratum::spread) / (weighted.served * weighted.held_out);
        // As if two viewers more in each arm had not converted (Agresti and Coull 1998), lest an
        // arm in which all did seem to leave no doubt.
        let margin = 2.0 * (n.served.powi(-2) + n.held_out.powi(-2));
        let variance = spread.max(0.0) + margin;
        // Conversions with hardly a counterpart say less than so many in one experiment.
        if variance > 2.0 / MIN_CONVERSIONS as f64 {
            return Err(Withheld::TooFewConversions);
        }
        Ok(Self {
            rates: Arms {
                served: weighted.served / weight,
                held_out: weighted.held_out / weight,
            },
            variance,
            viewers: n,
            hold_out: sum(|s| s.hold_out * s.size()) / (n.served + n.held_out),
        })
    }

    pub fn log(&self) -> f64 {
        (self.rates.served / self.rates.held_out).ln()
    }
}

impl Stratum {
    /// None where an arm is empty: that says nothing about the ratio.
    fn of(experiment: &Experiment) -> Option<Self> {
        let Arms { served, held_out } = experiment.matured;
        let converted = |arm: Arm| arm.conversions.min(arm.viewers) as f64;
        (served.viewers > 0 && held_out.viewers > 0).then(|| Self {
            n: Arms {
                served: served.viewers as f64,
                held_out: held_out.viewers as f64,
            },
            x: Arms {
                served: converted(served),
                held_out: converted(held_out),
            },
            hold_out: f64::from(experiment.hold_out_permille) / 1000.0,
        })
    }

    fn size(&self) -> f64 {
        self.n.served + self.n.held_out
    }

    fn spread(&self) -> f64 {
        let Self { n, x, .. } = self;
        let converted = n.served * n.held_out * (x.served + x.held_out);
        (converted - x.served * x.held_out * self.size()) / self.size().powi(2)
    }
}
