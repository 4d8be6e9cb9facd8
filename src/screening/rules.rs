//! Rules: which lists and shapes, how near to each other, and what must not stand beside them.

use serde::Deserialize;

use super::{
    finding::{Category, Verdict},
    hits::{Cursor, Hit, Hits, Source},
    scan::Work,
};

/// Longest term and widest window, in solid characters: what keeps the work linear.
pub const LONGEST: u32 = 48;

/// One rule of a rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleData {
    pub id: String,
    pub why: String,
    pub category: Category,
    pub verdict: Verdict,
    /// One to four parts, each a list or a shape, or several with `|` between.
    pub all: Vec<String>,
    /// Most solid characters between a part and those before it.
    #[serde(default)]
    pub within: u32,
    /// The parts stand in this order.
    #[serde(default)]
    pub ordered: bool,
    /// Nothing of these beside it.
    #[serde(default)]
    pub none: Vec<String>,
    /// How near "beside" is.
    #[serde(default = "beside")]
    pub beside: u32,
    /// Nothing of these right against it.
    #[serde(default)]
    pub against: Vec<String>,
}

fn beside() -> u32 {
    12
}

/// A rule with its parts as sources.
#[derive(Debug)]
pub struct Rule {
    pub data: RuleData,
    pub all: Vec<Source>,
    /// What excuses it, and from how far.
    pub none: Vec<(Source, u32)>,
    /// Whether a shape is among its parts: an ID, a number, a link.
    pub carries: bool,
}

impl Rule {
    /// The places where the rule holds, `most` at most.
    pub fn search(&self, hits: &Hits, most: usize, work: &mut Work) -> Vec<Hit> {
        if self.all.iter().any(|&part| hits.of(part).is_empty()) {
            return Vec::new();
        }
        let anchors = hits.of(self.all[0]);
        let mut parts: Vec<Cursor> = self.all[1..]
            .iter()
            .map(|&s| Cursor::new(hits.of(s)))
            .collect();
        let mut none: Vec<(Cursor, u32)> = self
            .none
            .iter()
            .map(|&(source, reach)| (Cursor::new(hits.of(source)), reach))
            .collect();
        let mut found = Vec::new();
        for &anchor in anchors {
            work.step(1);
            if found.len() == most {
                break;
            }
            let whole = self.complete(anchor, &mut parts, work);
            found.extend(whole.filter(|&whole| !self.excused(anchor, whole, &mut none, work)));
        }
        found
    }

    /// The anchor together with the nearest hit of every other part.
    fn complete(&self, anchor: Hit, parts: &mut [Cursor], work: &mut Work) -> Option<Hit> {
        let mut whole = anchor;
        let mut last = anchor;
        for part in parts {
            let reach = self.data.within;
            let from = self.floor(anchor);
            let near = part
                .between(from, whole.end + reach + 1)
                .inspect(|_| work.step(1))
                .filter(|hit| {
                    !hit.overlaps(whole) || (!hit.overlaps(anchor) && !hit.overlaps(last))
                })
                .filter(|hit| hit.end + reach >= whole.start)
                .filter(|hit| !self.data.ordered || hit.start >= last.end)
                .min_by_key(|hit| distance(*hit, last))?;
            whole = whole.join(near);
            last = near;
        }
        Some(whole)
    }

    /// Before which no part of a match can end; it never falls as anchors go on.
    fn floor(&self, anchor: Hit) -> u32 {
        anchor.end.saturating_sub(LONGEST * 4)
    }

    fn excused(
        &self,
        anchor: Hit,
        whole: Hit,
        none: &mut [(Cursor, u32)],
        work: &mut Work,
    ) -> bool {
        none.iter_mut().any(|(cursor, reach)| {
            cursor
                .between(self.floor(anchor), whole.end + *reach)
                .inspect(|_| work.step(1))
                .any(|hit| hit.end + *reach > whole.start)
        })
    }
}

fn distance(a: Hit, b: Hit) -> u32 {
    a.start
        .saturating_sub(b.end)
        .max(b.start.saturating_sub(a.end))
}
