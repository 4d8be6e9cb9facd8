//! The tables in `tests/data/eligibility`, whose format the first of them explains.

use std::{collections::BTreeMap, process::Command};

use chrono::DateTime;
use serde::Deserialize;

use super::super::{Change, Said};
use super::*;

const TABLES: [&str; 4] = [
    include_str!("../../../tests/data/eligibility/threshold.toml"),
    include_str!("../../../tests/data/eligibility/days.toml"),
    include_str!("../../../tests/data/eligibility/closing.toml"),
    include_str!("../../../tests/data/eligibility/graces.toml"),
];

#[derive(Deserialize)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    configuration_grace_days: i32,
    #[serde(default = "thirty")]
    window_days: i32,
    ledger: String,
    expect: String,
}

fn thirty() -> i32 {
    30
}

const CALENDAR: Calendar = Calendar {
    zone: Zone::SHANGHAI,
    closing_wait: Duration::from_secs(36 * 60 * 60),
    sources: SourceNames::ANY,
};

fn micros(text: &str) -> Micros {
    let time = DateTime::parse_from_rfc3339(&format!("{text}+08:00"));
    Micros(time.expect(text).timestamp_micros())
}

fn day(text: &str) -> Day {
    Day::parse(text).expect(text)
}

/// What was known at `now`.
fn known(ledger: &str, now: Micros) -> (Spend, Sources) {
    let (mut spend, mut sources) = (Spend::default(), Sources::default());
    for line in lines(ledger) {
        let [time, source, on, what] = line[..] else {
            panic!("{line:?}");
        };
        let (time, on) = (micros(time), day(on));
        if time > now {
            continue;
        }
        let days = &mut sources.0.entry(source.to_owned()).or_default().0;
        let said = days.entry(on).or_insert(Said {
            first: time,
            complete: None,
        });
        if what == "complete" {
            said.complete = said.complete.or(Some(time));
            continue;
        }
        let amount = Money::parse(what).unwrap();
        let figures = spend.days.entry(on).or_default();
        let before = figures
            .insert(source.to_owned(), amount)
            .unwrap_or_default();
        let delta = Money(amount.0 - before.0);
        spend.changes.push(Change {
            time,
            day: on,
            delta,
        });
    }
    (spend, sources)
}

fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().map(|line| line.split_whitespace().collect());
    lines.filter(|line: &Vec<_>| !line.is_empty())
}

fn time(t: Option<Micros>) -> String {
    t.map_or("-".to_owned(), |t| {
        let local = DateTime::from_timestamp_micros(t.0 + 8 * 3_600_000_000).unwrap();
        local.format("%Y-%m-%dT%H:%M:%S").to_string()
    })
}

fn said(decision: &Decision) -> BTreeMap<&'static str, String> {
    let plain = |money: Money| money.to_string().replace(" CNY", "");
    let list = |all: Vec<String>| match all.is_empty() {
        true => "-".to_owned(),
        false => all.join(","),
    };
    let missing = decision.missing_days.iter().map(ToString::to_string);
    let window = decision.window.iter();
    let window = window.map(|(day, money)| format!("{day}:{}", plain(*money)));
    BTreeMap::from([
        ("state", decision.state.as_str().to_owned()),
        ("total", plain(decision.total)),
        ("shortfall", plain(decision.shortfall)),
        ("opens", time(decision.opens_at)),
        ("closes", time(decision.closes_at)),
        ("hides", time(decision.hides_at)),
        ("configures", decision.configures().to_string()),
        ("serves", decision.serves().to_string()),
        ("missing", list(missing.collect())),
        ("window", list(window.collect())),
        ("edge", time(Some(decision.edge))),
    ])
}

#[test]
fn every_line_of_the_tables_holds() {
    let mut checked = 0;
    for text in TABLES {
        let table: Table = toml::from_str(text).unwrap();
        for case in table.case {
            let terms = Terms {
                threshold: Money(100_000),
                window_days: case.window_days,
                configuration_grace_days: case.configuration_grace_days,
                serving_grace_days: 7,
            };
            for line in lines(&case.expect) {
                let now = micros(line[0]);
                let (spend, sources) = known(&case.ledger, now);
                let said = said(&decide(&terms, &spend, &sources, &CALENDAR, now));
                for expected in &line[1..] {
                    let (key, value) = expected.split_once('=').unwrap_or(("state", expected));
                    let what = format!("{}: {} {key}", case.name, line[0]);
                    assert_eq!(said[key], value, "{what}, of {said:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 100, "{checked}");
}

/// The machine's own zone does not matter.
#[test]
fn the_tables_hold_in_every_zone_of_the_host() {
    for zone in ["UTC", "America/Los_Angeles", "Asia/Shanghai"] {
        let test = "domain::eligibility::tests::every_line_of_the_tables_holds";
        let done = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact"])
            .env("TZ", zone)
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{zone}: {output}");
        assert!(output.contains("1 passed"), "{zone}: {output}");
    }
}

/// Work grows with the corrections, not with their square.
#[test]
fn a_day_corrected_time_and_again_is_decided_at_once() {
    const CORRECTIONS: i64 = 50_000;
    let now = micros("2026-01-20T12:00:00");
    let yesterday = CALENDAR.zone.day(now) - 1;
    let mut spend = Spend::default();
    let figures = spend.days.entry(yesterday).or_default();
    figures.insert("juguang".to_owned(), Money(CORRECTIONS));
    let change = |i: i64| Change {
        time: Micros(now.0 - i),
        day: yesterday,
        delta: Money(1),
    };
    spend.changes.extend((0..CORRECTIONS).map(change));
    let terms = Terms {
        threshold: Money(100_000),
        window_days: 30,
        configuration_grace_days: 0,
        serving_grace_days: 7,
    };
    let began = std::time::Instant::now();
    let decision = decide(&terms, &spend, &Sources::default(), &CALENDAR, now);
    assert_eq!(decision.state, State::Locked);
    assert!(began.elapsed() < Duration::from_secs(2));
}
