//! Experiments drawn at random, read every day; `cargo bench --bench lift` tries many more.

use rand::{SeedableRng, rngs::StdRng};
use rand_distr::{Binomial, Distribution};

use super::*;

const TESTS: usize = 500;

struct Drawn(StdRng);

impl Drawn {
    fn new() -> Self {
        Self(StdRng::seed_from_u64(1))
    }

    fn add(&mut self, arm: &mut Arm, viewers: u64, rate: f64) {
        arm.viewers += viewers;
        let binomial = Binomial::new(viewers, rate).expect("a rate");
        arm.conversions += binomial.sample(&mut self.0);
    }

    /// The readings of 30 days on which a tenth of 2,000 viewers is held out.
    fn month(&mut self, lift: f64) -> Vec<Estimate> {
        let mut so_far = experiment(100, (0, 0), (0, 0));
        let mut day = || {
            self.add(&mut so_far.matured.served, 1_800, 0.3 * (1.0 + lift));
            self.add(&mut so_far.matured.held_out, 200, 0.3);
            estimated(&[so_far])
        };
        (0..30).map(|_| day()).collect()
    }
}

/// How many of the tests have a reading like that.
fn ever(lift: f64, like: impl Fn(&Estimate) -> bool) -> usize {
    let mut drawn = Drawn::new();
    let months = (0..TESTS).map(|_| drawn.month(lift));
    months.filter(|month| month.iter().any(&like)).count()
}

#[test]
fn equal_rates_read_daily_rarely_make_a_winner() {
    let called = ever(0.0, |it| it.verdict() != Verdict::NotShown);
    assert!(called <= TESTS * 6 / 100, "{called}");
    let naive = ever(0.0, |it| it.fixed.p < 0.05);
    assert!(naive > TESTS / 5, "the days are too much alike: {naive}");
}

#[test]
fn a_true_lift_is_in_the_interval_on_all_days() {
    for lift in [0.1, -0.2] {
        let misses = |it: Inference| lift < it.lower || it.upper < lift;
        let missed = ever(lift, |it| misses(it.always_valid));
        assert!(missed <= TESTS * 5 / 100, "{missed}");
        assert!(ever(lift, |it| misses(it.fixed)) > TESTS / 5);
    }
}

#[test]
fn the_needed_sample_shows_the_minimal_lift_four_times_in_five() {
    let half = experiment(500, (10_000, 1_050), (10_000, 1_000));
    let need = reading(&[half]).need.expect("room").always_valid;
    let mut drawn = Drawn::new();
    let shown = (0..TESTS).filter(|_| {
        let mut it = experiment(500, (0, 0), (0, 0));
        drawn.add(&mut it.matured.served, need.served, 0.105);
        drawn.add(&mut it.matured.held_out, need.held_out, 0.1);
        reading(&[it]).verdict == Verdict::Better
    });
    let share = shown.count() as f64 / TESTS as f64;
    assert!((share - POWER).abs() < 0.06, "{share}");
}
