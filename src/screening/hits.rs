//! Where lists and shapes were seen, in solid characters.

use std::ops::Range;

/// A list or a shape, or several of them together as a rule names them.
pub type Source = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub start: u32,
    pub end: u32,
}

impl Hit {
    pub fn new(range: Range<usize>) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    pub fn len(self) -> u32 {
        self.end - self.start
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The smallest hit that holds both.
    pub fn join(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// No longer than a window, so that a cursor need not look further.
    pub fn clipped(self, longest: u32) -> Self {
        let end = self.end.min(self.start + longest);
        Self { end, ..self }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The hits of each source, by their end.
#[derive(Debug)]
pub struct Hits(Vec<Vec<Hit>>);

impl Hits {
    pub fn new(sources: usize) -> Self {
        Self(vec![Vec::new(); sources])
    }

    pub fn add(&mut self, source: Source, hit: Hit) {
        self.0[source].push(hit);
    }

    pub fn of(&self, source: Source) -> &[Hit] {
        &self.0[source]
    }

    /// Drops what begins inside a link: the link is judged as a whole.
    pub fn drop_inside(&mut self, links: &[bool]) {
        for hits in &mut self.0 {
            hits.retain(|hit| !links[hit.start as usize]);
        }
    }

    /// Orders what was added from several searches; each was in order, so this is a merge.
    pub fn settle(&mut self) {
        for hits in &mut self.0 {
            hits.sort_by_key(|hit| (hit.end, hit.start));
            hits.dedup();
        }
    }
}

/// Walks a source beside rising positions, never back further than a window.
#[derive(Debug)]
pub struct Cursor<'a> {
    hits: &'a [Hit],
    next: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(hits: &'a [Hit]) -> Self {
        Self { hits, next: 0 }
    }

    /// The hits that end after `from` and start before `to`. `from` must not fall from call
    /// to call.
    pub fn between(&mut self, from: u32, to: u32) -> impl Iterator<Item = Hit> + use<'a> {
        while self.hits.get(self.next).is_some_and(|hit| hit.end <= from) {
            self.next += 1;
        }
        // A hit is never longer than a window, so a later one that starts early is near.
        let near = to.saturating_add(super::rules::LONGEST);
        self.hits[self.next..]
            .iter()
            .copied()
            .take_while(move |hit| hit.end <= near)
            .filter(move |hit| hit.start < to)
    }
}
