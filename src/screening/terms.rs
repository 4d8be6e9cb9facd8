//! The words of the lists, all searched in one pass over the solid characters.

use std::collections::BTreeMap;

use aho_corasick::AhoCorasick;
use serde::Deserialize;

use super::{
    fold::{Folded, Folding, fold_term},
    hits::{Hit, Hits, Source},
    rules::LONGEST,
    scan::Work,
};

/// Most spellings that one pattern may stand for.
const MAX_SPELLINGS: usize = 16_384;
/// Longest gap inside a term, in characters.
const MAX_GAP: usize = 6;
/// Shortest handle that may follow a term without a gap.
const MIN_HANDLE: usize = 5;

/// One list of a rule file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListData {
    pub why: String,
    /// Patterns: `[微薇]信` and `(加|添加)信`; `?` makes what is before it optional.
    pub terms: Vec<String>,
    /// A hit hides hits of other lists.
    #[serde(default)]
    pub shields: Option<Shield>,
    /// A term may run into a handle: `vxmoon88`.
    #[serde(default)]
    pub opens: bool,
    /// The syllables may stand apart: `wei xin`.
    #[serde(default)]
    pub apart: bool,
    /// How much further than others it excuses.
    #[serde(default)]
    pub far: u32,
}

/// Which hits a hit hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shield {
    /// Shorter ones that it touches.
    Touched,
    /// Those that begin in its midst.
    Begun,
}

#[derive(Debug)]
struct Term {
    sources: Vec<Source>,
    shields: Option<Shield>,
    opens: bool,
    apart: bool,
    /// Solid characters before which the term itself has a gap.
    gaps: Vec<usize>,
    /// Latin letters or digits at its end.
    tail: usize,
}

/// All lists, compiled.
#[derive(Debug)]
pub struct Terms {
    automaton: AhoCorasick,
    /// By pattern; a word of several lists has several.
    terms: Vec<Vec<Term>>,
}

impl Terms {
    /// `lists` with the sources that their hits count for.
    pub fn new<'a>(
        folding: &Folding,
        lists: impl Iterator<Item = (&'a str, &'a ListData, Vec<Source>)>,
    ) -> Result<Self, (String, String)> {
        let mut words: BTreeMap<String, Vec<Term>> = BTreeMap::new();
        for (name, list, sources) in lists {
            let refuse = |problem| (name.to_owned(), problem);
            for spelling in spellings(list).map_err(refuse)? {
                let (word, gaps) = fold_term(folding, &spelling);
                if word.is_empty() || word.chars().count() > LONGEST as usize {
                    return Err(refuse(format!("{spelling:?} is empty or too long")));
                }
                words.entry(word.clone()).or_default().push(Term {
                    sources: sources.clone(),
                    shields: list.shields,
                    opens: list.opens,
                    apart: list.apart,
                    gaps,
                    tail: word
                        .bytes()
                        .rev()
                        .take_while(u8::is_ascii_alphanumeric)
                        .count(),
                });
            }
        }
        let automaton = AhoCorasick::new(words.keys())
            .map_err(|error| ("lists".to_owned(), error.to_string()))?;
        let terms = words.into_values().collect();
        Ok(Self { automaton, terms })
    }

    /// Adds every hit, save those that a longer one hides.
    pub fn search(&self, text: &Folded, hits: &mut Hits, work: &mut Work) {
        let found = self.find(text, work);
        let touched = touched(&found, text.len());
        let midst = midst(&found, text.len());
        for (hit, term) in found {
            work.step(hit.range().len());
            let hidden = touched[hit.range()]
                .iter()
                .any(|&length| length > hit.len())
                || midst[hit.start as usize];
            if !hidden {
                for &source in &term.sources {
                    hits.add(source, hit);
                }
            }
        }
    }

    fn find(&self, text: &Folded, work: &mut Work) -> Vec<(Hit, &Term)> {
        let tight: String = text.solids().collect();
        // The solid character that each byte belongs to.
        let owner: Vec<usize> = (0..)
            .zip(tight.chars())
            .flat_map(|(i, c)| std::iter::repeat_n(i, c.len_utf8()))
            .collect();
        work.step(tight.len());
        let mut found = Vec::new();
        for hit in self.automaton.find_overlapping_iter(&tight) {
            let range = owner[hit.start()]..owner[hit.end() - 1] + 1;
            for term in &self.terms[hit.pattern()] {
                work.step(range.len());
                if term.fits(text, range.start, range.end) {
                    found.push((Hit::new(range.clone()), term));
                }
            }
        }
        found
    }
}

/// For each character the length of the longest hit there that hides what it touches.
fn touched(found: &[(Hit, &Term)], length: usize) -> Vec<u32> {
    let mut longest = vec![0; length];
    for (hit, _) in shields(found, Shield::Touched) {
        for cell in &mut longest[hit.range()] {
            *cell = hit.len().max(*cell);
        }
    }
    longest
}

/// Where a hit may not begin.
fn midst(found: &[(Hit, &Term)], length: usize) -> Vec<bool> {
    let mut midst = vec![false; length];
    for (hit, _) in shields(found, Shield::Begun) {
        midst[hit.range()][1..].fill(true);
    }
    midst
}

fn shields<'a, 'b>(
    found: &'a [(Hit, &'b Term)],
    kind: Shield,
) -> impl Iterator<Item = &'a (Hit, &'b Term)> {
    found
        .iter()
        .filter(move |(_, term)| term.shields == Some(kind))
}

impl Term {
    fn fits(&self, text: &Folded, start: usize, end: usize) -> bool {
        (start + 1..end).all(|i| self.gap_fits(text, start, end, i))
            && self.start_fits(text, start)
            && self.end_fits(text, end)
    }

    /// Whether what stands before the inner character `i` may split the term. Two Latin words
    /// are not one: `we chat` is no `wechat`, though `w e c h a t` is.
    fn gap_fits(&self, text: &Folded, start: usize, end: usize, i: usize) -> bool {
        let gap = text.gap(i);
        if gap.is_empty() || self.gaps.contains(&(i - start)) {
            return true;
        }
        if gap.len() > MAX_GAP || gap.iter().any(|&c| ends_sentence(c)) {
            return false;
        }
        let latin = |at| {
            text.solid(at)
                .is_some_and(|c: char| c.is_ascii_alphabetic())
        };
        let words = gap.iter().all(|&c| c == ' ') && latin(i - 1) && latin(i);
        let alone_before = i - 1 == start || !text.gap(i - 1).is_empty();
        let alone_after = i + 1 == end || !text.gap(i + 1).is_empty();
        !words || self.apart || alone_before || alone_after
    }

    fn start_fits(&self, text: &Folded, start: usize) -> bool {
        !(is_alnum(text, start) && start > 0 && is_alnum(text, start - 1))
            || separated(text.gap(start), self.tail)
    }

    fn end_fits(&self, text: &Folded, end: usize) -> bool {
        if self.tail == 0 || !is_alnum(text, end) {
            return true;
        }
        let run = (end..end + MIN_HANDLE)
            .all(|i| is_alnum(text, i) && (i == end || matches!(text.gap(i), [] | ['-'])));
        if separated(text.gap(end), self.tail) {
            return run || self.tail > 2 || text.gap(end) != ['-'];
        }
        let digit = |at| text.solid(at).is_some_and(|c: char| c.is_ascii_digit());
        let parts = digit(end) && !digit(end - 1);
        // `v xmoon88` is a V and a name, not a VX and another one.
        let whole = (end + 1 - self.tail..end).all(|i| text.gap(i).is_empty());
        (self.tail > 1 && parts) || (self.opens && run && whole)
    }
}

/// Whether a gap parts a Latin term from the run beside it; an underscore does not, and a hyphen
/// does not part one letter.
fn separated(gap: &[char], tail: usize) -> bool {
    !matches!(gap, [] | ['_']) && (tail != 1 || !matches!(gap, ['-' | '_' | '.' | '\'' | '/']))
}

fn is_alnum(text: &Folded, at: usize) -> bool {
    text.solid(at).is_some_and(|c| c.is_ascii_alphanumeric())
}

fn ends_sentence(c: char) -> bool {
    matches!(c, '\n' | '。' | '!' | '?' | ';')
}

/// Every spelling that the patterns of a list stand for.
fn spellings(list: &ListData) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for pattern in &list.terms {
        let spelled = expand(pattern).ok_or_else(|| format!("bad pattern {pattern:?}"))?;
        all.extend(spelled);
    }
    all.sort();
    all.dedup();
    Ok(all)
}

/// The spellings of one pattern; `None` if a group is left open or they are too many.
fn expand(pattern: &str) -> Option<Vec<String>> {
    let (spelled, rest) = branches(pattern)?;
    rest.is_empty().then_some(spelled)
}

/// Branches parted by `|` up to the end or a closing bracket, and what is left of the pattern.
fn branches(mut rest: &str) -> Option<(Vec<String>, &str)> {
    let mut all = Vec::new();
    let mut branch = vec![String::new()];
    while let Some(c) = rest.chars().next().filter(|&c| c != ')') {
        let after = &rest[c.len_utf8()..];
        let (choices, after) = match c {
            '|' => {
                all.append(&mut std::mem::replace(&mut branch, vec![String::new()]));
                rest = after;
                continue;
            }
            '[' => {
                let (inside, after) = after.split_once(']')?;
                (inside.chars().map(String::from).collect(), after)
            }
            '(' => {
                let (inside, after) = branches(after)?;
                (inside, after.strip_prefix(')')?)
            }
            _ => (vec![c.to_string()], after),
        };
        let optional = after.starts_with('?');
        branch = combine(&branch, &choices, optional)?;
        rest = &after[usize::from(optional)..];
    }
    all.append(&mut branch);
    (all.len() <= MAX_SPELLINGS).then_some((all, rest))
}

fn combine(heads: &[String], tails: &[String], optional: bool) -> Option<Vec<String>> {
    let tails = || {
        tails
            .iter()
            .map(String::as_str)
            .chain(optional.then_some(""))
    };
    let both = heads
        .iter()
        .flat_map(|head| tails().map(move |tail| format!("{head}{tail}")));
    let both: Vec<String> = both.collect();
    (!both.is_empty() && both.len() <= MAX_SPELLINGS).then_some(both)
}
