//! One pass over a text that undoes disguise character by character, keeping for each character
//! where it came from. What it yields is read twice: the `line` with everything in it, for
//! links and handles, and the `solid` characters alone, for terms.

use std::{collections::HashMap, ops::Range};

use serde::Deserialize;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_security::skeleton;

/// Longest excerpt of a finding, in characters.
const EXCERPT: usize = 64;

/// The data of the folding.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoldData {
    /// Emoji and signs that stand for a word or a letter.
    #[serde(default)]
    signs: HashMap<char, String>,
    /// Pairs of a traditional (or variant) character and its simplified one.
    #[serde(default)]
    simplified: Vec<String>,
}

/// Compiled [`FoldData`].
#[derive(Debug)]
pub struct Folding {
    signs: HashMap<char, String>,
    simplified: HashMap<char, char>,
}

impl Folding {
    /// Refuses a pair that is not two characters.
    pub fn new(data: FoldData) -> Result<Self, String> {
        let mut simplified = HashMap::new();
        for pair in data
            .simplified
            .iter()
            .flat_map(|line| line.split_whitespace())
        {
            let mut chars = pair.chars();
            match (chars.next(), chars.next(), chars.next()) {
                (Some(from), Some(to), None) => simplified.insert(from, to),
                _ => return Err(format!("simplified: {pair:?} is not a pair")),
            };
        }
        Ok(Self {
            signs: data.signs,
            simplified,
        })
    }

    /// The normalized form of one character; nothing for what prints nothing.
    fn each(&self, c: char, mut out: impl FnMut(char)) {
        if c.is_ascii() {
            return out(blank(c.to_ascii_lowercase()));
        }
        if let Some(word) = self.signs.get(&c) {
            return word.chars().for_each(out);
        }
        if is_silent(c) {
            return;
        }
        if let Some(letter) = boxed_letter(c)
            .or_else(|| boxed_digit(c))
            .or_else(|| foreign_digit(c))
        {
            return out(letter);
        }
        for c in c.nfkc().filter(|&c| !is_combining_mark(c)) {
            self.letter(c).to_lowercase().for_each(|c| out(blank(c)));
        }
    }

    fn letter(&self, c: char) -> char {
        match c {
            '\0'..='\x7f' => c,
            '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' => {
                self.simplified.get(&c).copied().unwrap_or(c)
            }
            _ if c.is_alphabetic() => latin(c).unwrap_or(c),
            _ => c,
        }
    }
}

/// The Latin letter that one of another script looks like, or that carries an accent.
fn latin(c: char) -> Option<char> {
    let mut base = [c; 1].into_iter().nfd();
    let first = base.next().filter(char::is_ascii_alphabetic);
    first.or_else(|| {
        let look = c.to_string();
        let mut letters = skeleton(&look);
        let first = letters.next()?;
        (first.is_ascii_alphanumeric() && letters.next().is_none()).then_some(first)
    })
}

/// White space of any kind as one blank; ends of lines stay.
fn blank(c: char) -> char {
    match c {
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => '\n',
        c if c.is_whitespace() => ' ',
        c => c,
    }
}

/// Prints nothing: format characters, variation selectors, tags, marks.
fn is_silent(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e0fff}')
        || is_combining_mark(c)
}

/// Letters in filled circles and boxes, and regional indicators, which NFKC leaves alone.
fn boxed_letter(c: char) -> Option<char> {
    let first = match c {
        '\u{1f150}'..='\u{1f169}' => 0x1f150,
        '\u{1f170}'..='\u{1f189}' => 0x1f170,
        '\u{1f1e6}'..='\u{1f1ff}' => 0x1f1e6,
        // In brackets, which NFKC would leave standing between letters.
        '\u{249c}'..='\u{24b5}' => 0x249c,
        '\u{1f110}'..='\u{1f129}' => 0x1f110,
        _ => return None,
    };
    char::from_u32(c as u32 - first + 'a' as u32)
}

/// Noughts of other scripts, each followed by the other nine digits.
const NOUGHTS: [u32; 18] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50,
    0xed0, 0xf20, 0x1040, 0x17e0, 0x1810,
];

fn foreign_digit(c: char) -> Option<char> {
    let nought = NOUGHTS.into_iter().rfind(|&nought| nought <= c as u32)?;
    char::from_digit(c as u32 - nought, 10)
}

/// Digits in filled or double circles, which NFKC leaves alone too, and those with brackets, a
/// stop or a comma, which it would leave standing between digits.
fn boxed_digit(c: char) -> Option<char> {
    let value = match c {
        '\u{24ff}' | '\u{1f10b}' | '\u{1f10c}' => 0,
        '\u{2474}'..='\u{247c}' => c as u32 - 0x2473,
        '\u{2488}'..='\u{2490}' => c as u32 - 0x2487,
        '\u{1f100}' => 0,
        '\u{1f101}'..='\u{1f10a}' => c as u32 - 0x1f101,
        '\u{2776}'..='\u{277e}' => c as u32 - 0x2775,
        '\u{2780}'..='\u{2788}' => c as u32 - 0x277f,
        '\u{278a}'..='\u{2792}' => c as u32 - 0x2789,
        '\u{24f5}'..='\u{24fd}' => c as u32 - 0x24f4,
        _ => return None,
    };
    char::from_digit(value, 10)
}

/// Whether a character counts for terms: letters and digits of any script, and the plus sign,
/// which people write for 加.
fn is_solid(c: char) -> bool {
    c.is_alphanumeric() || c == '+' || c == '〇'
}

/// Whether a letter, of a script that has capitals or of none of ours, is another one than the
/// ASCII letter that it is folded to. What Unicode calls a form of it (NFKC) is not.
fn is_alike(c: char) -> bool {
    !c.is_ascii() && c.is_alphabetic() && c < '\u{2e80}' && !c.nfkc().all(|c| c.is_ascii())
}

/// A folded text.
#[derive(Debug)]
pub struct Folded {
    line: Vec<char>,
    /// For each character of `line`, its place in the original, in code points.
    from: Vec<u32>,
    /// Indexes into `line`.
    solid: Vec<u32>,
    /// For each character of `line`, how many solid ones stand before it.
    rank: Vec<u32>,
    /// Indexes into `line`: letters that only look like the one they were folded to.
    alike: Vec<u32>,
}

impl Folded {
    pub fn new(folding: &Folding, text: &str) -> Self {
        let mut folded = Self {
            line: Vec::with_capacity(text.len()),
            from: Vec::with_capacity(text.len()),
            solid: Vec::new(),
            rank: Vec::new(),
            alike: Vec::new(),
        };
        for (at, c) in (0u32..).zip(text.chars()) {
            let start = folded.line.len() as u32;
            folding.each(c, |c| folded.push(c, at));
            if is_combining_mark(c) {
                folded.alike.extend(start.checked_sub(1));
            } else if is_alike(c) {
                folded.alike.extend(start..folded.line.len() as u32);
            }
        }
        folded
    }

    fn push(&mut self, c: char, at: u32) {
        self.rank.push(self.solid.len() as u32);
        if is_solid(c) {
            self.solid.push(self.line.len() as u32);
        }
        self.line.push(c);
        self.from.push(at);
    }

    pub fn line(&self) -> &[char] {
        &self.line
    }

    /// How many solid characters there are.
    pub fn len(&self) -> usize {
        self.solid.len()
    }

    /// The solid characters.
    pub fn solids(&self) -> impl Iterator<Item = char> {
        self.solid.iter().map(|&i| self.line[i as usize])
    }

    /// The place of a solid character in the line.
    pub fn place(&self, solid: usize) -> usize {
        self.solid[solid] as usize
    }

    /// What stands between a solid character and the one before it.
    pub fn gap(&self, solid: usize) -> &[char] {
        let start = solid.checked_sub(1).map_or(0, |i| self.place(i) + 1);
        &self.line[start..self.place(solid)]
    }

    pub fn solid(&self, index: usize) -> Option<char> {
        self.solid.get(index).map(|&i| self.line[i as usize])
    }

    /// Whether a range of the line reads as it was written. A host with an accent or a letter of
    /// another script is another host.
    pub fn is_literal(&self, line: &Range<usize>) -> bool {
        let first = self.alike.partition_point(|&i| (i as usize) < line.start);
        self.alike
            .get(first)
            .is_none_or(|&i| (i as usize) >= line.end)
    }

    /// A range of the line as one of solid characters.
    pub fn ranks(&self, line: Range<usize>) -> Range<usize> {
        let at = |i: usize| self.rank.get(i).map_or(self.len(), |&r| r as usize);
        at(line.start)..at(line.end)
    }

    /// A range of solid characters, not empty, as code points of the original.
    pub fn span(&self, solids: Range<usize>) -> Range<usize> {
        let start = self.from[self.place(solids.start)] as usize;
        start..self.from[self.place(solids.end - 1)] as usize + 1
    }

    /// The normalized text of a span of the original.
    pub fn excerpt(&self, span: &Range<usize>) -> String {
        let first = self.from.partition_point(|&at| (at as usize) < span.start);
        let inside = self.from[first..]
            .iter()
            .take_while(|&&at| (at as usize) < span.end);
        let chars = self.line[first..].iter();
        chars.take(inside.take(EXCERPT).count()).collect()
    }
}

/// A term as the solid characters it is searched by, and where it has gaps of its own.
pub fn fold_term(folding: &Folding, term: &str) -> (String, Vec<usize>) {
    let folded = Folded::new(folding, term);
    let gaps = (1..folded.len()).filter(|&i| !folded.gap(i).is_empty());
    (folded.solids().collect(), gaps.collect())
}
