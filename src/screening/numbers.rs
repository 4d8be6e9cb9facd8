//! Digits in a channel of their own: ASCII, Chinese, spelled in pinyin or words, told as "four
//! noughts", looked like (`l38OOOO2468`), and pulled apart by anything. What makes a telephone
//! number is here; what a number means beside which word is for the rules.

mod run;

use std::collections::HashMap;

use serde::Deserialize;

use self::run::Run;
use super::{fold::Folded, hits::Hit, scan::Work};

/// Longest gap between two digits of a number, in characters.
const MAX_GAP: usize = 4;
/// Digits of a mainland mobile number.
const MOBILE: usize = 11;

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
    /// A number told in words or in digits that are not ASCII.
    Told,
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
        if let Some(values) = self.syllables(&chars) {
            let hit = Hit::new(run);
            cells.extend(values.map(|value| Cell::new(value, hit, false, false)));
            return;
        }
        if let Some(value) = self.lone_letters(&chars) {
            cells.extend(run.map(|i| Cell::new(value, Hit::new(i..i + 1), false, true)));
            return;
        }
        let lookalike = mostly_digits(&chars);
        let laced = is_laced(&chars);
        for (i, c) in run.zip(chars.chars()) {
            if laced && c.is_ascii_alphabetic() {
                // The letter counts as part of the digit before it.
                cells
                    .last_mut()
                    .into_iter()
                    .for_each(|cell| cell.hit.end += 1);
                continue;
            }
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

    /// Words for digits and nothing else, written as one: `qiqiba`.
    fn syllables(&self, chars: &str) -> Option<impl Iterator<Item = u8> + use<>> {
        let mut values = Vec::new();
        let mut rest = chars;
        while !rest.is_empty() {
            let here = self
                .words
                .iter()
                .filter(|(word, _)| rest.starts_with(*word));
            let (word, &value) = here.max_by_key(|(word, _)| word.len())?;
            values.push(value);
            rest = &rest[word.len()..];
        }
        Some(values.into_iter())
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
            let spelled = |i: usize| text.gap(i).is_empty() && !is_ascii(text, i);
            let named = |i: usize| digit(i).map(|(value, hint)| (i, value, hint));
            let named = named(at + 1).or_else(|| named(at + 2).filter(|_| spelled(at + 2)));
            if let (Some(count), Some((last, value, hint))) = (count.copied(), named) {
                cells.pop();
                let hit = Hit::new(count.hit.start as usize..last + 1);
                let cell = Cell::new(value, hit, false, count.hint && hint);
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

fn is_ascii(text: &Folded, at: usize) -> bool {
    text.solid(at).is_some_and(|c| c.is_ascii())
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

/// A mobile number with a letter after every digit or so: `1a3b8c`.
fn is_laced(chars: &str) -> bool {
    let digits = chars.bytes().filter(u8::is_ascii_digit).count();
    let single = !chars
        .as_bytes()
        .windows(2)
        .any(|two| two.iter().all(u8::is_ascii_alphabetic));
    digits == MOBILE && chars.len() > MOBILE + 5 && single
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
