//! Whether viewers fell to the arms as declared: Pearson's chi-squared test for a sample ratio
//! mismatch (Fabijan and others, KDD 2019), one degree of freedom for each experiment.

use statrs::distribution::{ChiSquared, ContinuousCDF};

use super::Experiment;

/// Fewer viewers than that are no matter for this test.
const SPARSE: f64 = 5.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// How likely so crooked a split is by chance; none before there is anything to test.
    pub p: Option<f64>,
}

impl Split {
    pub(super) fn check(experiments: &[Experiment]) -> Self {
        let terms: Vec<_> = experiments.iter().filter_map(statistic).collect();
        // No freedom, no distribution.
        let chance = ChiSquared::new(terms.len() as f64).ok();
        let p = chance.map(|chance| chance.sf(terms.iter().sum()));
        Self { p }
    }

    /// Under 0.001.
    pub fn alarm(&self) -> bool {
        self.p.is_some_and(|p| p < 0.001)
    }
}

fn statistic(experiment: &Experiment) -> Option<f64> {
    let (served, held_out) = (
        experiment.exposed.served as f64,
        experiment.exposed.held_out as f64,
    );
    let share = f64::from(experiment.hold_out_permille) / 1000.0;
    let expected = (served + held_out) * share;
    let arms = [(served, served + held_out - expected), (held_out, expected)];
    let sparse = arms
        .iter()
        .any(|(seen, expected)| seen.max(*expected) < SPARSE);
    (!sparse).then(|| {
        let terms = arms.map(|(seen, expected)| (seen - expected).powi(2) / expected);
        terms.iter().sum()
    })
}
