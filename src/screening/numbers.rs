//! Digits in a channel of their own: ASCII, Chinese, spelled in pinyin or words, told as "four
//! noughts", looked like (`l38OOOO2468`), and pulled apart by anything. What makes a telephone
//! number is here; what a number means beside which word is for the rules.

use std::collections::HashMap;

use serde::Deserialize;

use super::{fold::Folded, hits::Hit, scan::Work};

/// Longest gap between two digits of a number, in characters.
const MAX_GAP: usize = 4;
/// Digits of a mainland mobile number.
const MOBILE: usize = 11;
/// Ways people group the digits of a mobile number.
const GROUPS: [&[usize]; 8] = [
    &[3, 4, 4],
    &[3, 8],
    &[7, 4],
    &[3, 3, 5],
    &[4, 3, 4],
    &[4, 4, 3],
    &[5, 6],
    &[3, 2, 2, 4],
];

/// What stands for one digit.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigitData {
    value: u8,
    /// Characters that are the digit.
    chars: String,
    /// Characters that are it between other digits only.
    #[serde(default)]
    hints: String,
    /// Latin words that are it.
    #[serde(default)]
    words: Vec<String>,
}

/// Compiled [`DigitData`].
#[derive(Debug, Default)]
pub struct Digits {
    chars: HashMap<char, (u8, bool)>,
    words: HashMap<String, u8>,
}

/// A telephone number, or any number of 5 to 12 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A mainland mobile number, or one with its country code.
    Phone,
    /// An area code and a number.
    Landline,
    Number,
}

/// One digit, and the solid characters it came from.
#[derive(Clone, Copy, Debug)]
struct Cell {
    value: u8,
    hit: Hit,
    /// Follows the digit before it without a gap.
    joined: bool,
    ascii: bool,
    hint: bool,
}

impl Digits {
    pub fn new(data: Vec<DigitData>) -> Result<Self, String> {
        let mut digits = Self::default();
        for entry in data {
            if entry.value > 9 {
                return Err(format!("digit {} is none", entry.value));
            }
            let hard = entry.chars.chars().map(|c| (c, (entry.value, false)));
            let hints = entry.hints.chars().map(|c| (c, (entry.value, true)));
            digits.chars.extend(hard.chain(hints));
            digits
                .words
                .extend(entry.words.into_iter().map(|word| (word, entry.value)));
        }
        Ok(digits)
    }

    /// Whether a character is a digit of any kind, whatever stands beside it.
    pub fn is_digit(&self, c: char) -> bool {
        c.is_ascii_digit() || self.chars.get(&c).is_some_and(|&(_, hint)| !hint)
    }

    /// The numbers of a text. `glue` are words that may stand between the digits of one.
    pub fn search(&self, text: &Folded, glue: &[Hit], work: &mut Work) -> Vec<(Shape, Hit)> {
        let mut bridged = vec![false; text.len()];
        for hit in glue {
            bridged[hit.range()].fill(true);
        }
        let cells = self.cells(text, &bridged, work);
        let mut found = Vec::new();
        let mut start = 0;
        for end in 1..=cells.len() {
            work.step(1);
            if end == cells.len() || !continues(text, &bridged, cells[end - 1], cells[end]) {
                Run::new(text, &cells[start..end]).shapes(&mut found, work);
                start = end;
            }
        }
        found
    }

    fn cells(&self, text: &Folded, bridged: &[bool], work: &mut Work) -> Vec<Cell> {
        let mut cells: Vec<Cell> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            work.step(1);
            let end = token_end(text, at);
            if bridged[at] && end == at {
                at += 1;
            } else if end > at {
                self.latin(text, at..end, &mut cells);
                at = end;
            } else {
                at = self.other(text, at, &mut cells);
            }
        }
        for i in 1..cells.len() {
            let (before, cell) = (cells[i - 1].hit, cells[i].hit);
            cells[i].joined = before == cell
                || (before.end == cell.start && text.gap(cell.start as usize).is_empty());
        }
        cells
    }

    /// A Latin run: digits as they are, a word that means one, or letters that look like some.
    fn latin(&self, text: &Folded, run: std::ops::Range<usize>, cells: &mut Vec<Cell>) {
        let chars: String = run.clone().filter_map(|i| text.solid(i)).collect();
        if let Some(&value) = self.words.get(&chars) {
            cells.push(Cell::new(value, Hit::new(run), false, false));
            return;
        }
        if let Some(value) = self.lone_letters(&chars) {
            cells.extend(run.map(|i| Cell::new(value, Hit::new(i..i + 1), false, true)));
            return;
        }
        let lookalike = mostly_digits(&chars);
        for (i, c) in run.zip(chars.chars()) {
            let hint = || {
                looks_like(c)
                    .filter(|_| lookalike)
                    .map(|value| (value, true))
            };
            let digit = c.to_digit(10).map(|value| (value, false)).or_else(hint);
            if let Some((value, hint)) = digit {
                cells.push(Cell::new(value as u8, Hit::new(i..i + 1), true, hint));
            }
        }
    }

    /// One letter that hints at a digit, alone or a few times: `OOO`.
    fn lone_letters(&self, chars: &str) -> Option<u8> {
        let first = chars.chars().next()?;
        let &(value, _) = self.chars.get(&first)?;
        (chars.len() <= 4 && chars.chars().all(|c| c == first)).then_some(value)
    }

    /// A character that is no ASCII: a digit, or the first of 四个零. Returns where to go on.
    fn other(&self, text: &Folded, at: usize, cells: &mut Vec<Cell>) -> usize {
        let digit = |i: usize| {
            let c = text.solid(i)?;
            let ascii = c.to_digit(10).map(|value| (value as u8, false));
            ascii.or_else(|| self.chars.get(&c).copied())
        };
        if matches!(text.solid(at), Some('个')) {
            let count = cells.last().filter(|cell| cell.hit.end as usize == at);
            let named = (at + 1..at + 3).find_map(|i| Some((i, digit(i)?.0)));
            if let (Some(count), Some((last, value))) = (count.copied(), named) {
                cells.pop();
                let hit = Hit::new(count.hit.start as usize..last + 1);
                let cell = Cell::new(value, hit, false, false);
                cells.extend(std::iter::repeat_n(cell, count.value.into()));
                return last + 1;
            }
        }
        if let Some((value, hint)) = digit(at) {
            cells.push(Cell::new(value, Hit::new(at..at + 1), false, hint));
        }
        at + 1
    }
}

impl Cell {
    fn new(value: u8, hit: Hit, ascii: bool, hint: bool) -> Self {
        Self {
            value,
            hit,
            joined: false,
            ascii,
            hint,
        }
    }
}

/// Digits that belong together.
struct Run<'a> {
    text: &'a Folded,
    cells: &'a [Cell],
}

impl<'a> Run<'a> {
    fn new(text: &'a Folded, cells: &'a [Cell]) -> Self {
        Self { text, cells }
    }

    fn shapes(&self, found: &mut Vec<(Shape, Hit)>, work: &mut Work) {
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

    /// A plus sign and 8 to 15 digits.
    fn is_abroad(&self, at: usize) -> bool {
        let first = self.cells[at].hit.start as usize;
        let rest = &self.cells[at..];
        first > 0
            && self.text.solid(first - 1) == Some('+')
            && self.text.gap(first).is_empty()
            && (8..=15).contains(&rest.len())
            && (rest.len() >= 10 || rest[1..].iter().any(|cell| !cell.joined))
    }

    /// A nought, then 10 to 12 digits in all, in at most three groups.
    fn landline(&self, at: usize) -> Option<usize> {
        let rest = &self.cells[at..];
        let plain =
            rest[0].value == 0 && (10..=12).contains(&rest.len()) && self.groups(rest).len() <= 3;
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
        gaps.all(|cell| Some(gap(cell)) == first) || GROUPS.contains(&self.groups(cells).as_slice())
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

    fn number(&self) -> Option<Hit> {
        let first = self.cells.iter().position(|cell| !cell.hint)?;
        let last = self.cells.iter().rposition(|cell| !cell.hint)?;
        let cells = &self.cells[first..=last];
        ((5..=12).contains(&cells.len()) && self.is_even(cells)).then(|| self.hit(first, last + 1))
    }
}

/// Whether two digits are of one run: nothing between them but a short gap and glue.
fn continues(text: &Folded, bridged: &[bool], before: Cell, next: Cell) -> bool {
    let (from, to) = (before.hit.end as usize, next.hit.start as usize);
    if before.hit == next.hit {
        return true;
    }
    if from > to || to - from > MAX_GAP || !bridged[from..to].iter().all(|&b| b) {
        return false;
    }
    let range = before.ascii && next.ascii;
    (from..=to).map(|i| text.gap(i)).all(|gap| {
        gap.len() <= MAX_GAP
            && !gap
                .iter()
                .any(|&c| matches!(c, '\n' | ':' | '。') || (range && c == '~'))
    })
}

/// The end of the run of ASCII letters and digits that begins here.
fn token_end(text: &Folded, start: usize) -> usize {
    let mut at = start;
    while text.solid(at).is_some_and(|c| c.is_ascii_alphanumeric())
        && (at == start || text.gap(at).is_empty())
    {
        at += 1;
    }
    at
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

/// Digits and letters that look like some: `0OOO`, or eleven with five digits among them.
fn mostly_digits(chars: &str) -> bool {
    let digits = chars.bytes().filter(u8::is_ascii_digit).count();
    let plain = chars
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'o' | b'l' | b'i'));
    let alike = chars
        .chars()
        .all(|c| c.is_ascii_digit() || looks_like(c).is_some());
    (digits > 0 && plain) || (chars.len() == MOBILE && digits >= 5 && alike)
}

fn looks_like(c: char) -> Option<u32> {
    match c {
        'o' | 'q' | 'd' => Some(0),
        'l' | 'i' => Some(1),
        'z' => Some(2),
        's' => Some(5),
        'b' => Some(6),
        _ => None,
    }
}
