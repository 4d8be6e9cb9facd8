//! What the lift report promises, tried on simulated experiments that are read every day, and
//! how long it takes to show KLOOK's lifts; docs/MEASUREMENTS.md says what came out.
//!
//!     cargo bench --bench lift -- --seed 1 --tests 2000 --days 30 --daily 10000
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::env;

use mingpian::domain::lift::{
    Arm, Arms, Experiment, Inference, Plan, Reading, Verdict, fixed_horizon, read,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rand_distr::{Binomial, Distribution};

#[derive(Clone, Copy)]
struct Options {
    seed: u64,
    tests: usize,
    days: usize,
    /// Viewers of both arms who mature in a day.
    daily: u64,
}

fn main() {
    let mut options = Options {
        seed: 1,
        tests: 2000,
        days: 30,
        daily: 10_000,
    };
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seed" => options.seed = words.next().unwrap().parse().unwrap(),
            "--tests" => options.tests = words.next().unwrap().parse().unwrap(),
            "--days" => options.days = words.next().unwrap().parse().unwrap(),
            "--daily" => options.daily = words.next().unwrap().parse().unwrap(),
            _ => {}
        }
    }
    println!(
        "seed {}: {} tests a row, each read on {} days",
        options.seed, options.tests, options.days
    );
    same_rates(options);
    true_lifts(options);
    many_merchants(options);
    wrong_splits(options);
    let daily = options.daily / 5;
    klook(Options { daily, ..options });
}

/// A merchant whose viewers come day by day.
#[derive(Clone, Copy)]
struct Merchant {
    daily: u64,
    base: f64,
    lift: f64,
    hold_out: f64,
    so_far: Experiment,
}

impl Merchant {
    fn new(daily: u64, base: f64, lift: f64, hold_out_permille: u16) -> Self {
        Self {
            daily,
            base,
            lift,
            hold_out: f64::from(hold_out_permille) / 1000.0,
            so_far: Experiment {
                hold_out_permille,
                exposed: Arms::default(),
                matured: Arms::default(),
            },
        }
    }

    fn live_a_day(&mut self, rng: &mut StdRng) {
        let mut draw = |n: u64, p: f64| Binomial::new(n, p).unwrap().sample(rng);
        let held_out = draw(self.daily, self.hold_out);
        let served = self.daily - held_out;
        let mut add = |arm: &mut Arm, viewers: u64, rate: f64| {
            arm.viewers += viewers;
            arm.conversions += draw(viewers, rate);
        };
        let Experiment {
            exposed, matured, ..
        } = &mut self.so_far;
        add(&mut matured.served, served, self.base * (1.0 + self.lift));
        add(&mut matured.held_out, held_out, self.base);
        exposed.served += served;
        exposed.held_out += held_out;
    }
}

fn read_after_a_day(plan: &Plan, merchants: &mut [Merchant], rng: &mut StdRng) -> Reading {
    for merchant in merchants.iter_mut() {
        merchant.live_a_day(rng);
    }
    let daily: u64 = merchants.iter().map(|merchant| merchant.daily).sum();
    let so_far: Vec<_> = merchants.iter().map(|merchant| merchant.so_far).collect();
    read(plan, &so_far, daily as f64)
}

/// What happened in one test, at any of its readings if nothing else is said.
#[derive(Default)]
struct Seen {
    called: bool,
    missed: bool,
    missed_on_the_last_day: bool,
    fixed_called: bool,
    fixed_missed: bool,
    alarmed: bool,
}

/// One row: tests with merchants of the same true lift.
fn tests(options: Options, mut start: impl FnMut(&mut StdRng) -> Vec<Merchant>) -> Vec<Seen> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let plan = Plan::default();
    let mut test = |_| {
        let mut merchants = start(&mut rng);
        let lift = merchants[0].lift;
        let misses = |it: Inference| lift < it.lower || it.upper < lift;
        let mut seen = Seen::default();
        for _ in 0..options.days {
            let reading = read_after_a_day(&plan, &mut merchants, &mut rng);
            seen.alarmed |= reading.split.alarm();
            seen.called |= matches!(reading.verdict, Verdict::Better | Verdict::Worse);
            let Some(it) = reading.estimate else {
                continue;
            };
            seen.missed |= misses(it.always_valid);
            seen.missed_on_the_last_day = misses(it.always_valid);
            seen.fixed_called |= it.fixed.p < plan.level;
            seen.fixed_missed |= misses(it.fixed);
        }
        seen
    };
    (0..options.tests).map(&mut test).collect()
}

fn share(tests: &[Seen], what: fn(&Seen) -> bool) -> String {
    let count = tests.iter().filter(|seen| what(seen)).count();
    format!("{:.2} %", 100.0 * count as f64 / tests.len() as f64)
}

fn row<const N: usize>(cells: [String; N]) {
    println!("| {} |", cells.join(" | "));
}

fn heading<const N: usize>(title: &str, names: [&str; N]) {
    println!("\n{title}\n");
    row(names.map(str::to_owned));
    println!("|{}", "---|".repeat(N));
}

fn same_rates(options: Options) {
    heading(
        "A/A: tests that ever call a winner; goal: at most 6 %",
        [
            "base",
            "held out",
            "viewers a day",
            "winner",
            "fixed p under 5 %",
            "split alarm",
        ],
    );
    let (many, few) = (options.daily, options.daily / 20);
    let bases = [(many, 0.1), (many, 0.3), (many, 0.01)];
    let rare = [(few, 0.3), (few, 0.1), (few, 0.02), (few, 0.97)];
    for (daily, base) in bases.into_iter().chain(rare) {
        for hold_out in [500, 100] {
            let tests = tests(options, |_| vec![Merchant::new(daily, base, 0.0, hold_out)]);
            row([
                percent(base),
                percent(f64::from(hold_out) / 1000.0),
                daily.to_string(),
                share(&tests, |seen| seen.called),
                share(&tests, |seen| seen.fixed_called),
                share(&tests, |seen| seen.alarmed),
            ]);
        }
    }
}

fn true_lifts(options: Options) {
    heading(
        "True lift: tests whose intervals cover it; goal: at least 95 %",
        [
            "base",
            "lift",
            "held out",
            "every day",
            "last day",
            "fixed, every day",
            "winner",
        ],
    );
    for base in [0.1, 0.3] {
        for lift in [0.1, 0.08, 0.05, 0.03, -0.1, 0.5] {
            for hold_out in [500, 100] {
                let start = Merchant::new(options.daily, base, lift, hold_out);
                let tests = tests(options, |_| vec![start]);
                row([
                    percent(base),
                    percent(lift),
                    percent(start.hold_out),
                    share(&tests, |seen| !seen.missed),
                    share(&tests, |seen| !seen.missed_on_the_last_day),
                    share(&tests, |seen| !seen.fixed_missed),
                    share(&tests, |seen| seen.called),
                ]);
            }
        }
    }
}

/// A program's merchants, of many sizes and base rates, each with its own hold-out.
fn many_merchants(options: Options) {
    heading(
        "20 merchants together, base 2 to 40 %, held out 10 to 50 %",
        [
            "lift",
            "covered every day",
            "last day",
            "winner",
            "split alarm",
        ],
    );
    for lift in [0.0, 0.03, 0.1] {
        let tests = tests(options, |rng| {
            let daily = options.daily / 20;
            let merchant = |_| {
                let (daily, base) = (rng.random_range(1..2 * daily), rng.random_range(0.02..0.4));
                Merchant::new(daily, base, lift, rng.random_range(100..=500))
            };
            (0..20).map(merchant).collect()
        });
        row([
            percent(lift),
            share(&tests, |seen| !seen.missed),
            share(&tests, |seen| !seen.missed_on_the_last_day),
            share(&tests, |seen| seen.called),
            share(&tests, |seen| seen.alarmed),
        ]);
    }
}

fn wrong_splits(options: Options) {
    heading(
        "Declared 50/50: tests with a split alarm on the first day, and on any",
        ["true split", "viewers a day", "first day", "any day"],
    );
    let splits = [(0.1, 200), (0.45, 1000), (0.48, 1000), (0.5, 1000)];
    for (hold_out, daily) in splits {
        let mut start = Merchant::new(daily, 0.1, 0.1, 500);
        start.hold_out = hold_out;
        let tests = |days| tests(Options { days, ..options }, |_| vec![start]);
        row([
            format!("{:.0}/{:.0}", 100.0 - 100.0 * hold_out, 100.0 * hold_out),
            daily.to_string(),
            share(&tests(1), |seen| seen.alarmed),
            share(&tests(options.days), |seen| seen.alarmed),
        ]);
    }
}

/// The lifts that KLOOK published: until when a test with one reading shows them four times in
/// five, and until when the report has said so.
fn klook(options: Options) {
    let title = format!(
        "KLOOK's lifts: viewers (served + held out, days at {} a day) until they show",
        options.daily
    );
    heading(
        &title,
        [
            "base",
            "lift",
            "one reading, power 80 %",
            "report: half of the tests",
            "80 %",
            "ratio",
        ],
    );
    let plan = Plan::default();
    for hold_out in [500, 100] {
        for base in [0.1, 0.3] {
            for lift in [0.1, 0.08, 0.05, 0.03] {
                let start = Merchant::new(options.daily, base, lift, hold_out);
                let fixed = fixed_horizon(plan.level, base, lift, start.hold_out).unwrap();
                let cell = |arms: Arms<u64>| {
                    let days = arms.both().div_ceil(options.daily);
                    format!("{} + {}, {days}", arms.served, arms.held_out)
                };
                let mut shown = first_shown(&plan, options, start);
                shown.sort_unstable();
                let at = |share: f64| {
                    let viewers = shown[(share * shown.len() as f64) as usize] * options.daily;
                    let held_out = (viewers as f64 * start.hold_out) as u64;
                    Arms {
                        served: viewers - held_out,
                        held_out,
                    }
                };
                row([
                    percent(base),
                    percent(lift),
                    cell(fixed),
                    cell(at(0.5)),
                    cell(at(0.8)),
                    format!("{:.2}", at(0.8).both() as f64 / fixed.both() as f64),
                ]);
            }
        }
    }
}

/// On which day each test first says that it is better.
fn first_shown(plan: &Plan, options: Options, start: Merchant) -> Vec<u64> {
    let mut rng = StdRng::seed_from_u64(options.seed);
    let mut test = |_| {
        let mut merchants = [start];
        let mut reading = || read_after_a_day(plan, &mut merchants, &mut rng);
        (1..)
            .find(|_| reading().verdict == Verdict::Better)
            .unwrap()
    };
    (0..options.tests).map(&mut test).collect()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
