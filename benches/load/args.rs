//! What is asked for on the command line; `main.rs` says what each word means.

use std::{env, time::Duration};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

const SCENARIOS: [&str; 11] = [
    "menu", "capsules", "tap", "door", "card", "node", "overload", "start", "million", "memory",
    "layers",
];

#[derive(Clone, Debug)]
pub struct Args {
    pub scenarios: Vec<String>,
    pub seconds: f64,
    pub rounds: usize,
    pub merchants: u64,
    pub many: u64,
    pub viewers: u64,
    pub at_once: usize,
    pub connections: usize,
    pub stores: Vec<Engine>,
    /// Settings for our server, on top.
    pub settings: Vec<(String, String)>,
    /// A profile of our server instead of rounds, in this file.
    pub perf: Option<String>,
    /// The server of this database's URL, if any.
    pub postgres: Option<String>,
}

impl Args {
    pub fn read() -> Self {
        let mut args = Self {
            scenarios: Vec::new(),
            seconds: 3.0,
            rounds: 5,
            merchants: 1_000,
            many: 1_000_000,
            viewers: 1_000,
            at_once: 64,
            connections: 4,
            stores: vec![Engine::Sqlite, Engine::Postgres],
            settings: Vec::new(),
            perf: None,
            postgres: env::var("TEST_DATABASE_URL").ok(),
        };
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            args.take(&word, &mut words);
        }
        args
    }

    fn take(&mut self, word: &str, words: &mut impl Iterator<Item = String>) {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} what?"));
        match word {
            "--seconds" => self.seconds = number(&value()),
            "--rounds" => self.rounds = number(&value()),
            "--merchants" => self.merchants = number(&value()),
            "--many" => self.many = number(&value()),
            "--viewers" => self.viewers = number(&value()),
            "--at-once" => self.at_once = number(&value()),
            "--connections" => self.connections = number(&value()),
            "--store" => self.stores = vec![engine(&value())],
            "--set" => self.settings.push(setting(&value())),
            "--perf" => self.perf = Some(value()),
            // Cargo says so.
            "--bench" => {}
            scenario if SCENARIOS.contains(&scenario) => self.scenarios.push(scenario.to_owned()),
            _ => panic!("{word}: main.rs says what there is"),
        }
    }

    /// Whether a scenario is to be run; without names, all are.
    pub fn wants(&self, scenario: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|name| name == scenario)
    }

    /// The engines to run on, as far as they are there.
    pub fn engines(&self) -> impl Iterator<Item = Engine> + '_ {
        let there = |engine: &Engine| *engine == Engine::Sqlite || self.postgres.is_some();
        self.stores.iter().copied().filter(there)
    }

    pub fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Before each measurement.
    pub fn warm(&self) -> Duration {
        Duration::from_secs_f64((self.seconds / 4.0).min(1.0))
    }
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    let parsed = text.parse();
    parsed.unwrap_or_else(|_| panic!("{text}: not such a number"))
}

fn engine(name: &str) -> Engine {
    match name {
        "sqlite" => Engine::Sqlite,
        "postgres" => Engine::Postgres,
        _ => panic!("{name}: sqlite or postgres"),
    }
}

fn setting(text: &str) -> (String, String) {
    let (key, value) = text
        .split_once('=')
        .unwrap_or_else(|| panic!("{text}: KEY=VALUE"));
    (key.to_owned(), value.to_owned())
}
