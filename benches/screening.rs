//! What screening a text costs, against bare normalization (NFKC and lower case) and a bare
//! Aho-Corasick scan for the rules' own terms in the same texts and the same run;
//! docs/MEASUREMENTS.md says what came out.
//!
//!     cargo bench --bench screening
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods)]

use std::{
    fs,
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

use aho_corasick::{AhoCorasick, MatchKind};
use mingpian::screening::Rulebook;
use unicode_normalization::UnicodeNormalization;

/// Code points of the texts.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// Each is measured so often; the median counts.
const ROUNDS: usize = 15;

fn main() {
    let rulebook = Rulebook::built_in(&[]).unwrap();
    let terms = terms();
    let automaton = AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(&terms)
        .unwrap();
    println!(
        "{} terms; microseconds a text, medians of {ROUNDS}",
        terms.len()
    );
    let mut whole = Vec::new();
    for size in SIZES {
        let texts = texts(size);
        let normalize = median(&texts, |text| normalized(text).len());
        let scan = median(&texts, |text| {
            let text = normalized(text);
            automaton.find_iter(&text).count()
        }) - normalize;
        let screen = median(&texts, |text| rulebook.text(text).len());
        let floor = normalize + scan;
        println!(
            "{size:>6} code points: normalization {:.1}, scan {:.1}, screening {:.1}; \
             {:.1} times normalization, {:.1} times the scan, {:.1} times both",
            micros(normalize),
            micros(scan),
            micros(screen),
            ratio(screen, normalize),
            ratio(screen, scan),
            ratio(screen, floor),
        );
        whole.push(screen);
    }
    println!(
        "10,000 code points cost {:.1} times 1,000",
        ratio(whole[2], whole[1])
    );
}

fn normalized(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// Every term of the product's rules.
fn terms() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/screening/rules");
    let mut terms = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let file: toml::Table = text.parse().unwrap();
        let Some(lists) = file.get("lists") else {
            continue;
        };
        for list in lists.as_table().unwrap().values() {
            let list = list["terms"].as_array().unwrap();
            terms.extend(list.iter().map(|term| term.as_str().unwrap().to_owned()));
        }
    }
    terms
}

/// Texts of this size, of what people write one after the other: half of it diversion.
fn texts(size: usize) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/screening/tests/own.tsv");
    let lines = fs::read_to_string(file).unwrap();
    let said: Vec<_> = lines
        .lines()
        .filter_map(|line| line.rsplit('\t').next())
        .collect();
    (0..20)
        .map(|n| {
            let said = said.iter().cycle().skip(n * 37);
            let said = said.flat_map(|text| text.chars().chain([' ']));
            said.take(size).collect()
        })
        .collect()
}

/// The median time of a text.
fn median(texts: &[String], mut work: impl FnMut(&str) -> usize) -> Duration {
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            for text in texts {
                black_box(work(black_box(text)));
            }
            started.elapsed() / u32::try_from(texts.len()).unwrap()
        })
        .collect();
    rounds.sort_unstable();
    rounds[ROUNDS / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
