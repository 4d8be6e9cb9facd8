//! Digits that belong together, and whether they are a telephone number.

use super::super::{fold::Folded, hits::Hit, scan::Work};
use super::{Cell, MOBILE, Shape};

/// Ways people group the digits of a mobile number.
const GROUPS: [&[usize]; 14] = [
    &[3, 4, 4],
    &[3, 8],
    &[7, 4],
    &[3, 3, 5],
    &[4, 3, 4],
    &[4, 4, 3],
    &[5, 6],
    &[3, 2, 2, 4],
    &[2, 2, 3, 4],
    &[2, 3, 3, 4],
    &[2, 3, 4, 4],
    &[3, 3, 4],
    &[2, 4, 4],
    &[1, 3, 3, 4],
];

/// Digits that belong together.
pub struct Run<'a> {
    text: &'a Folded,
    cells: &'a [Cell],
}

impl<'a> Run<'a> {
    pub fn new(text: &'a Folded, cells: &'a [Cell]) -> Self {
        Self { text, cells }
    }

    /// The telephone numbers of the run, or the number that it is.
    pub fn shapes(&self, found: &mut Vec<(Shape, Hit)>, work: &mut Work) {
        let before = found.len();
        let mut at = 0;
        while at < self.cells.len() {
            work.step(MOBILE);
            if let Some((shape, length)) = self.phone(at) {
                found.push((shape, self.hit(at, at + length)));
                at += length;
            } else {
                at += 1;
            }
        }
        if found.len() == before {
            found.extend(self.number().map(|hit| (Shape::Number, hit)));
            found.extend(self.told().map(|hit| (Shape::Told, hit)));
        }
    }

    fn hit(&self, start: usize, end: usize) -> Hit {
        self.cells[start].hit.join(self.cells[end - 1].hit)
    }

    /// A telephone number that begins at a digit, and how many digits it has.
    fn phone(&self, at: usize) -> Option<(Shape, usize)> {
        if !self.is_edge(at) {
            return None;
        }
        if self.is_abroad(at) {
            return Some((Shape::Phone, self.cells.len() - at));
        }
        let code = usize::from(self.starts(at, &[8, 6])) * 2;
        if self.is_mobile(at + code) && (code == 0 || self.cells.len() >= at + code + MOBILE) {
            return Some((Shape::Phone, code + MOBILE));
        }
        let length = self.landline(at)?;
        let mobile_abroad = length == MOBILE && self.groups(&self.cells[at..]) == [3, 4, 4];
        let shape = if mobile_abroad {
            Shape::Phone
        } else {
            Shape::Landline
        };
        Some((shape, length))
    }

    fn starts(&self, at: usize, digits: &[u8]) -> bool {
        self.cells[at..].len() >= digits.len()
            && self.cells[at..]
                .iter()
                .zip(digits)
                .all(|(cell, &digit)| cell.value == digit)
    }

    /// Whether no digit touches from the left (`at` may be the end), and no long word.
    fn is_edge(&self, at: usize) -> bool {
        let apart = self.cells.get(at).is_none_or(|cell| !cell.joined) || at == 0;
        apart && (at > 0 || letters_before(self.text, self.cells[0].hit.start as usize) <= 2)
    }

    fn is_mobile(&self, at: usize) -> bool {
        let Some(cells) = self.cells.get(at..at + MOBILE) else {
            return false;
        };
        let hints = cells.iter().filter(|cell| cell.hint).count();
        cells[0].value == 1
            && (3..=9).contains(&cells[1].value)
            && hints <= MOBILE - 3
            && self.is_edge(at + MOBILE)
            && self.is_even(cells)
    }

    /// A plus sign or two noughts, and 8 to 15 digits.
    fn is_abroad(&self, at: usize) -> bool {
        let first = self.cells[at].hit.start as usize;
        let rest = &self.cells[at..];
        let plus =
            first > 0 && self.text.solid(first - 1) == Some('+') && self.text.gap(first).is_empty();
        let noughts = self.starts(at, &[0, 0])
            && self.groups(rest).len() > 1
            && rest.len() > MOBILE
            && rest[2].value != 0;
        (plus || noughts)
            && (8..=15).contains(&rest.len())
            && (rest.len() >= 10 || rest[1..].iter().any(|cell| !cell.joined))
    }

    /// A nought, then 10 to 12 digits in all, in at most three groups.
    fn landline(&self, at: usize) -> Option<usize> {
        let rest = &self.cells[at..];
        let plain = rest[0].value == 0
            && !rest[0].hint
            && (10..=12).contains(&rest.len())
            && self.groups(rest).len() <= 3;
        (plain && self.is_even(rest)).then_some(rest.len())
    }

    /// Whether the digits are parted as one number would be: not at all, in usual groups, or
    /// always by the same; numerals that are no ASCII are never parted by chance.
    fn is_even(&self, cells: &[Cell]) -> bool {
        if cells.iter().any(|cell| !cell.ascii) {
            return true;
        }
        let mut gaps = cells[1..].iter().filter(|cell| !cell.joined);
        let gap = |cell: &Cell| self.text.gap(cell.hit.start as usize);
        let first = gaps.next().map(gap);
        let groups = self.groups(cells);
        gaps.all(|cell| Some(gap(cell)) == first)
            || groups.len() == cells.len()
            || GROUPS.contains(&groups.as_slice())
    }

    /// The lengths of the groups that digits come in.
    fn groups(&self, cells: &[Cell]) -> Vec<usize> {
        let mut groups: Vec<usize> = Vec::new();
        for (i, cell) in cells.iter().enumerate() {
            match groups.last_mut() {
                Some(last) if cell.joined && i > 0 => *last += 1,
                _ => groups.push(1),
            }
        }
        groups
    }

    /// A number of seven digits or more, most of them told; counting is no number.
    fn told(&self) -> Option<Hit> {
        let told = self.cells.iter().filter(|cell| !cell.ascii && !cell.hint);
        let counts = |five: &[Cell]| {
            five.windows(2)
                .all(|two| two[0].value + 1 == two[1].value || two[1].value + 1 == two[0].value)
        };
        let counted = self.cells.windows(5).any(counts);
        (told.count() >= 5 && !counted && self.cells.len() >= 7)
            .then(|| self.number())
            .flatten()
    }

    fn number(&self) -> Option<Hit> {
        let first = self.cells.iter().position(|cell| !cell.hint)?;
        let last = self.cells.iter().rposition(|cell| !cell.hint)?;
        let cells = &self.cells[first..=last];
        ((5..=12).contains(&cells.len()) && self.is_even(cells)).then(|| self.hit(first, last + 1))
    }
}

/// Letters that touch a solid character from the left, three at most.
fn letters_before(text: &Folded, at: usize) -> usize {
    (1..=3usize.min(at))
        .take_while(|back| {
            matches!(text.gap(at - back + 1), [] | ['-' | '_'])
                && text
                    .solid(at - back)
                    .is_some_and(|c| c.is_ascii_alphabetic())
        })
        .count()
}
