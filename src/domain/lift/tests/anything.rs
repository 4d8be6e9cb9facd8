//! Whatever is counted, the figures make sense.

use proptest::prelude::*;

use super::*;

fn any_experiment() -> impl Strategy<Value = Experiment> {
    let count = || prop_oneof![0..20_u64, 0..2_000_u64, 0..5_000_000_u64, Just(u64::MAX)];
    // Fractions of 1 and above say that everybody converted.
    let arm = || {
        (count(), 0.0..1.2_f64).prop_map(|(viewers, rate)| Arm {
            viewers,
            conversions: (viewers as f64 * rate) as u64,
        })
    };
    (0..=1000_u16, count(), count(), arm(), arm()).prop_map(
        |(permille, one, other, served, held_out)| Experiment {
            hold_out_permille: permille,
            exposed: Arms {
                served: one,
                held_out: other,
            },
            matured: Arms { served, held_out },
        },
    )
}

fn any_plan() -> impl Strategy<Value = Plan> {
    (0.001..=0.2_f64, 0.01..=1.0_f64).prop_map(|(level, minimal_lift)| Plan {
        level,
        minimal_lift,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_figure_is_a_number_and_they_agree(
        experiments in prop::collection::vec(any_experiment(), 0..4),
        plan in any_plan(),
        daily in prop::num::f64::ANY,
    ) {
        prop_assert!(plan.is_sound());
        let reading = read(&plan, &experiments, daily);
        let chance = |p: f64| (0.0..=1.0).contains(&p);
        prop_assert!(reading.split.p.is_none_or(chance));
        for lang in [Lang::Zh, Lang::En] {
            prop_assert!(!words(lang, &plan, &reading).is_empty());
        }
        let Some(it) = reading.estimate else {
            prop_assert!(matches!(reading.verdict, Verdict::Withheld(_)));
            return Ok(());
        };
        prop_assert!(chance(it.rates.served) && chance(it.rates.held_out));
        let Inference { lower, upper, .. } = it.always_valid;
        prop_assert!(-1.0 <= lower && lower <= it.fixed.lower && it.fixed.lower <= it.lift);
        prop_assert!(it.lift <= it.fixed.upper && it.fixed.upper <= upper && upper < f64::INFINITY);
        prop_assert!(it.shows > 0.0 && it.shows.is_finite());
        for found in [it.always_valid, it.fixed] {
            prop_assert!(chance(found.p));
            let apart = found.lower > 0.0 || found.upper < 0.0;
            let close = (found.p / plan.level - 1.0).abs() < 1e-6;
            prop_assert!(close || apart == (found.p < plan.level), "{found:?}");
        }
    }
}
