//! Ours and its ceiling by turns, so that what the machine does besides meets both, and the
//! medians of what came out.

use std::ops::RangeInclusive;

use crate::{
    args::Args,
    load::{Load, Tally},
    process::Cpu,
};

/// A server, and what it is asked.
pub struct Side<'a> {
    pub name: &'a str,
    pub load: Load,
    pub cpu: &'a Cpu,
}

/// What is asked of a ratio; `None`: it is only said.
#[derive(Clone, Copy)]
pub struct Goal {
    /// Of processor time, at most.
    pub cpu: Option<f64>,
    /// Of calls a second, at least.
    pub calls: Option<f64>,
}

/// Where the next round begins among the requests.
const STRIDE: usize = 50_021;

/// Runs both, and prints what came out.
pub async fn compare(args: &Args, ours: &Side<'_>, ceiling: &Side<'_>, goal: Goal) {
    let mut rounds = Vec::new();
    for round in 0..args.rounds {
        let mut both = Vec::new();
        for side in [ours, ceiling] {
            both.push(measure(args, side, round).await);
        }
        rounds.push(<[Tally; 2]>::try_from(both).unwrap());
    }
    print(&[ours.name, ceiling.name], &rounds, goal);
}

/// One round of one side.
pub async fn measure(args: &Args, side: &Side<'_>, round: usize) -> Tally {
    let tally = side
        .load
        .run(side.cpu, round * STRIDE, args.warm(), args.measured())
        .await;
    let tally = tally.unwrap_or_else(|e| panic!("{}: {e}", side.name));
    checked(side.name, &tally);
    tally
}

/// A figure of calls that failed is none.
pub fn checked(name: &str, tally: &Tally) {
    assert!(tally.calls > 0, "{name}: nothing was answered");
    assert_eq!(tally.refused, 0, "{name}: calls were refused");
    let odd = tally.odd as f64 / tally.calls as f64;
    assert!(
        odd < 0.05,
        "{name}: {odd:.2} of the answers have another length"
    );
}

/// Lines on each, and their ratios round by round.
pub fn print(names: &[&str; 2], rounds: &[[Tally; 2]], goal: Goal) {
    for (side, name) in names.iter().enumerate() {
        let of = |figure: &dyn Fn(&Tally) -> f64| {
            median(rounds.iter().map(|round| figure(&round[side])).collect())
        };
        let (client, server) = (of(&Tally::client_share), of(&Tally::server_share));
        println!(
            "  {name:<24} {:>9.0} calls/s {:>9.1} µs of processor a call {:>7.0} bytes   busy: \
             server {:.0} %, client {:.0} %{}",
            of(&Tally::per_second),
            of(&Tally::cpu_a_call),
            of(&|t| t.bytes as f64 / t.calls as f64),
            100.0 * server,
            100.0 * client,
            saturated(client, server),
        );
    }
    let cpu = |round: &[Tally; 2]| round[0].cpu_a_call() / round[1].cpu_a_call();
    let calls = |round: &[Tally; 2]| round[0].per_second() / round[1].per_second();
    ratio(
        "processor",
        rounds.iter().map(cpu).collect(),
        goal.cpu.map(|most| 0.0..=most),
    );
    let least = goal.calls.map(|least| least..=f64::INFINITY);
    ratio("calls/s", rounds.iter().map(calls).collect(), least);
}

/// What to think of calls a second where the server's core was not full.
fn saturated(client: f64, server: f64) -> &'static str {
    match (server < 0.9, client > 0.9) {
        (true, true) => " (the client is the bottleneck)",
        (true, false) => " (both wait: for the disk, or for others on these cores)",
        (false, _) => "",
    }
}

/// The median of the rounds, between what they were.
pub fn ratio(what: &str, mut ratios: Vec<f64>, goal: Option<RangeInclusive<f64>>) {
    ratios.sort_by(f64::total_cmp);
    let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
    let middle = median(ratios);
    let word = goal.map(|goal| {
        let limit = if goal.end().is_finite() {
            format!("at most {:.2}", goal.end())
        } else {
            format!("at least {:.2}", goal.start())
        };
        let met = if goal.contains(&middle) {
            "met"
        } else {
            "MISSED"
        };
        format!("   goal {limit}: {met}")
    });
    let word = word.unwrap_or_default();
    println!("  {what:<10} x{middle:.2} ({least:.2} to {most:.2}){word}");
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// In milliseconds: half of them and 99 of 100 are not longer.
pub fn quantiles(waits: &[u32]) -> [f64; 2] {
    let mut waits = waits.to_vec();
    waits.sort_unstable();
    [50, 99].map(|percent| {
        let at = waits.len().saturating_sub(1) * percent / 100;
        waits.get(at).map_or(0.0, |wait| f64::from(*wait) / 1_000.0)
    })
}
