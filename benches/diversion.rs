//! How well the rules of screening judge labeled texts:
//! `cargo bench --bench diversion -- DIR [-v]`, where DIR holds `positive.tsv` and `negative.tsv`
//! (id, category, difficulty, text). `-v` prints what is judged wrong.
//!
//! The last lines are the figures of a random third of the texts for each of eight seeds: who
//! writes rules looks at the other two thirds only.
#![allow(clippy::print_stdout)]

use std::{
    collections::BTreeMap,
    env,
    error::Error,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
};

use mingpian::screening::{Finding, Rulebook};

const SEEDS: u64 = 8;

/// One text and what was made of it.
struct Judged {
    positive: bool,
    kind: String,
    level: String,
    text: String,
    findings: Vec<Finding>,
}

impl Judged {
    fn read(book: &Rulebook, positive: bool, line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, '\t').skip(1).map(str::to_owned);
        let (kind, level, text) = (fields.next()?, fields.next()?, fields.next()?);
        let findings = book.text(&text);
        Some(Self {
            positive,
            kind,
            level,
            text,
            findings,
        })
    }

    fn flagged(&self) -> bool {
        !self.findings.is_empty()
    }

    fn right(&self) -> bool {
        self.flagged() == self.positive
    }

    fn side(&self) -> &'static str {
        if self.positive {
            "positive"
        } else {
            "negative"
        }
    }

    /// The category that was meant and the one that was found, if none found is the one meant.
    fn confused(&self) -> Option<String> {
        let name = |f: &Finding| format!("{:?}", f.category).to_uppercase();
        let meant = self.kind.replace('_', "");
        let best = self.findings.iter().max_by_key(|f| f.verdict)?;
        let same = self.findings.iter().any(|f| name(f) == meant);
        (self.positive && !same).then(|| format!("{meant} as {}", name(best)))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1).filter(|word| word != "--bench");
    let folder = args
        .next()
        .ok_or("usage: cargo bench --bench diversion -- DIR [-v]")?;
    let verbose = args.next().is_some_and(|flag| flag == "-v");
    let book = Rulebook::built_in(&["xiaohongshu.com", "xhslink.com"].map(str::to_owned))?;
    let mut all = Vec::new();
    for positive in [true, false] {
        let name = if positive { "positive" } else { "negative" };
        let lines = fs::read_to_string(format!("{folder}/{name}.tsv"))?;
        all.extend(
            lines
                .lines()
                .filter_map(|line| Judged::read(&book, positive, line)),
        );
    }
    for judged in all.iter().filter(|judged| verbose && !judged.right()) {
        let Judged {
            kind,
            level,
            text,
            findings,
            ..
        } = judged;
        let why = findings
            .iter()
            .map(|f| format!("{}[{}]", f.rule, f.excerpt));
        println!(
            "{}\t{kind}\t{level}\t{text}\t{}",
            judged.side(),
            why.collect::<Vec<_>>().join(" ")
        );
    }
    table(&all, |judged| format!("{} {}", judged.side(), judged.kind));
    table(&all, |judged| {
        format!("{} difficulty {}", judged.side(), judged.level)
    });
    let mut confused: BTreeMap<String, usize> = BTreeMap::new();
    for pair in all.iter().filter_map(Judged::confused) {
        *confused.entry(pair).or_default() += 1;
    }
    println!("confused: {confused:?}");
    figures("all", all.iter());
    for seed in 0..SEEDS {
        figures(
            &format!("third {seed}"),
            all.iter().filter(|judged| drawn(judged, seed)),
        );
    }
    Ok(())
}

/// Whether a text is in the third of a seed.
fn drawn(judged: &Judged, seed: u64) -> bool {
    let mut hasher = DefaultHasher::new();
    (&judged.text, seed).hash(&mut hasher);
    hasher.finish().is_multiple_of(3)
}

fn table(all: &[Judged], key: impl Fn(&Judged) -> String) {
    let mut rows: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for judged in all {
        let row = rows.entry(key(judged)).or_default();
        row.0 += usize::from(judged.right());
        row.1 += 1;
    }
    for (name, (right, all)) in rows {
        println!("{name:28} {right:4} of {all:4}");
    }
}

fn figures<'a>(name: &str, texts: impl Iterator<Item = &'a Judged>) {
    let (mut caught, mut positives, mut alarms, mut negatives) = (0, 0, 0, 0);
    for judged in texts {
        let count = if judged.positive {
            (&mut positives, &mut caught)
        } else {
            (&mut negatives, &mut alarms)
        };
        *count.0 += 1;
        *count.1 += usize::from(judged.flagged());
    }
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let (recall, precision) = (share(caught, positives), share(caught, caught + alarms));
    println!(
        "{name:8} recall {recall:.3} ({caught} of {positives})  precision {precision:.3} ({alarms} false alarms of {negatives})"
    );
}
