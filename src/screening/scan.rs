//! One text through all of it.

use std::ops::Range;

use super::{
    finding::Finding,
    fold::Folded,
    handles,
    hits::{Hit, Hits},
    links::{Place, passphrases},
    numbers,
    rulebook::{Rulebook, Shape},
    rules::LONGEST,
    unwrap::Unwrapped,
};

/// Most findings of one text.
const MAX_FINDINGS: usize = 16;
/// Most hits of one rule that are findings.
const MAX_PER_RULE: usize = 16;

/// Steps counted while screening, for the proof that they grow with the text and no faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work(u64);

impl Work {
    pub(super) fn step(&mut self, steps: usize) {
        self.0 += steps as u64;
    }

    pub fn steps(self) -> u64 {
        self.0
    }
}

impl Rulebook {
    /// What in a text leads off the platform, in the order of the text; at most 16 findings,
    /// the gravest. The caller drops those inside a span it knows to be official.
    pub fn text(&self, text: &str) -> Vec<Finding> {
        self.text_counted(text).0
    }

    /// [`Self::text`] with the work it took.
    pub fn text_counted(&self, text: &str) -> (Vec<Finding>, Work) {
        let mut work = Work::default();
        if text.is_empty() {
            return (Vec::new(), work);
        }
        work.step(text.len());
        let Some(plain) = Unwrapped::new(text) else {
            let folded = Folded::new(&self.folding, text);
            let findings = self.folded(&folded, &mut work);
            return (gravest(findings), work);
        };
        let inside = self.folded(&Folded::new(&self.folding, &plain.text), &mut work);
        let whole = Folded::new(&self.folding, text);
        let outside = inside.into_iter().map(|finding| {
            let span = plain.span(finding.span.clone());
            let excerpt = whole.excerpt(&span);
            Finding {
                span,
                excerpt,
                ..finding
            }
        });
        (gravest(outside.collect()), work)
    }

    /// What a link or the content of a QR code is: at least `EXTERNAL_LINK` if it is a link off
    /// the platform; nothing if the platform's own. Other content is judged as text.
    pub fn link(&self, content: &str) -> Vec<Finding> {
        let content = content.trim();
        if !content.contains("://") || content.contains(char::is_whitespace) {
            return self.text(content);
        }
        let whole = Folded::new(&self.folding, content);
        let span = 0..content.chars().count();
        let place = self.links.judge(content);
        place
            .map(|place| placed(place, &whole, span))
            .into_iter()
            .collect()
    }

    /// Whether the content of a QR code is a link to the platform itself.
    pub fn is_own(&self, content: &str) -> bool {
        self.links.is_own(content.trim())
    }

    fn folded(&self, text: &Folded, work: &mut Work) -> Vec<Finding> {
        work.step(text.line().len());
        let mut hits = Hits::new(self.sources);
        self.terms.search(text, &mut hits, work);
        self.shapes(text, &mut hits, work);
        let mut findings = self.linked(text, &mut hits, work);
        hits.settle();
        for rule in &self.rules {
            for hit in rule.search(&hits, MAX_PER_RULE, work) {
                let span = text.span(hit.range());
                findings.push(Finding {
                    category: rule.data.category,
                    rule: rule.data.id.clone(),
                    excerpt: text.excerpt(&span),
                    span,
                    verdict: rule.data.verdict,
                    carries: rule.carries,
                });
            }
        }
        findings
    }

    /// Links are findings by themselves, and a shape for the rules.
    fn linked(&self, text: &Folded, hits: &mut Hits, work: &mut Work) -> Vec<Finding> {
        let mut inside = vec![false; text.len()];
        let mut foreign = Vec::new();
        for link in self.links.search(text.line(), work) {
            let literal = text.is_literal(&link.line);
            let hit = Hit::new(text.ranks(link.line));
            inside[hit.range()].fill(true);
            if hit.len() == 0 {
                continue;
            }
            work.step(link.text.len());
            let place = match link.mail {
                true => self.links.judge_mail(&link.text),
                false => self.links.judge(&link.text),
            };
            // It reads like a host of the platform, and is another's.
            let place = place.or_else(|| self.links.anywhere().filter(|_| !literal));
            foreign.extend(place.map(|place| (place, hit)));
        }
        hits.drop_inside(&inside);
        let found = foreign.into_iter().map(|(place, hit)| {
            self.add(hits, Shape::Link, hit);
            placed(place, text, text.span(hit.range()))
        });
        found.collect()
    }

    fn shapes(&self, text: &Folded, hits: &mut Hits, work: &mut Work) {
        let glue = hits.of(self.glue).to_vec();
        for (shape, hit) in self.digits.search(text, &glue, work) {
            self.add(hits, Shape::of_number(shape), hit);
        }
        for (shape, hit) in handles::search(text, &self.digits, &glue, work) {
            self.add(hits, Shape::of_handle(shape), hit);
        }
        for line in passphrases(text.line(), work) {
            self.add(hits, Shape::Passphrase, Hit::new(text.ranks(line)));
        }
    }

    fn add(&self, hits: &mut Hits, shape: Shape, hit: Hit) {
        let hit = hit.clipped(LONGEST);
        for &source in self.shapes.get(&shape).into_iter().flatten() {
            hits.add(source, hit);
        }
    }
}

impl Shape {
    fn of_number(shape: numbers::Shape) -> Self {
        match shape {
            numbers::Shape::Phone => Self::Phone,
            numbers::Shape::Landline => Self::Landline,
            numbers::Shape::Number => Self::Number,
            numbers::Shape::Told => Self::Told,
        }
    }

    fn of_handle(shape: handles::Shape) -> Self {
        match shape {
            handles::Shape::Id => Self::Id,
            handles::Shape::Word => Self::Word,
            handles::Shape::Mention => Self::Mention,
            handles::Shape::Pieces => Self::Pieces,
            handles::Shape::Handle => Self::Handle,
        }
    }
}

fn placed(place: &Place, text: &Folded, span: Range<usize>) -> Finding {
    Finding {
        category: place.category,
        rule: place.id.clone(),
        excerpt: text.excerpt(&span),
        span,
        verdict: place.verdict,
        carries: true,
    }
}

/// The gravest finding of each place, in the order of the text; of equals the one that carries a
/// contact, for on a card that alone counts.
fn gravest(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|f| std::cmp::Reverse((f.verdict, f.carries, f.span.len())));
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        let covered = kept
            .iter()
            .any(|k| k.span.start < finding.span.end && finding.span.start < k.span.end);
        if !covered && kept.len() < MAX_FINDINGS {
            kept.push(finding);
        }
    }
    kept.sort_by_key(|f| f.span.start);
    kept
}
