//! Texts inside a text: base64 and Morse, put in plain where they stood.

use std::ops::Range;

use base64::{Engine, alphabet, engine};

/// Shortest base64 that is tried, in characters.
const SHORTEST: usize = 16;
/// Fewest signs of Morse that are a message.
const MORSE_WORDS: usize = 4;
/// Fewest strokes of a sign of Morse: a lone hyphen or full stop is one of those.
const STROKES: usize = 2;
/// Padding may be missing.
const LENIENT: engine::GeneralPurpose = engine::GeneralPurpose::new(
    &alphabet::STANDARD,
    engine::GeneralPurposeConfig::new()
        .with_decode_padding_mode(engine::DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);
const MORSE: [(&str, char); 36] = [
    (".-", 'a'),
    ("-...", 'b'),
    ("-.-.", 'c'),
    ("-..", 'd'),
    (".", 'e'),
    ("..-.", 'f'),
    ("--.", 'g'),
    ("....", 'h'),
    ("..", 'i'),
    (".---", 'j'),
    ("-.-", 'k'),
    (".-..", 'l'),
    ("--", 'm'),
    ("-.", 'n'),
    ("---", 'o'),
    (".--.", 'p'),
    ("--.-", 'q'),
    (".-.", 'r'),
    ("...", 's'),
    ("-", 't'),
    ("..-", 'u'),
    ("...-", 'v'),
    (".--", 'w'),
    ("-..-", 'x'),
    ("-.--", 'y'),
    ("--..", 'z'),
    ("-----", '0'),
    (".----", '1'),
    ("..---", '2'),
    ("...--", '3'),
    ("....-", '4'),
    (".....", '5'),
    ("-....", '6'),
    ("--...", '7'),
    ("---..", '8'),
    ("----.", '9'),
];

/// A text with what was encoded put in plain.
#[derive(Debug, Default)]
pub struct Unwrapped {
    pub text: String,
    /// For each character, where it came from, in code points.
    from: Vec<Range<usize>>,
}

impl Unwrapped {
    /// `None` if nothing was encoded.
    pub fn new(text: &str) -> Option<Self> {
        let mut plain = Self::default();
        let mut opened = false;
        let mut start = 0;
        let signs = text
            .split(|c| !is_code(c))
            .filter(|word| morse(word).is_some());
        let telegraphs = signs.take(MORSE_WORDS).count() == MORSE_WORDS;
        for word in text.split_inclusive(|c: char| !is_code(c)) {
            let end = start + word.chars().count();
            let code = word.trim_end_matches(|c| !is_code(c));
            if let Some(inner) = base64(code).or_else(|| morse(code).filter(|_| telegraphs)) {
                opened = true;
                inner.chars().for_each(|c| plain.push(c, start..end));
                if code.len() >= SHORTEST {
                    plain.push(' ', start..end);
                }
            } else {
                (start..)
                    .zip(word.chars())
                    .for_each(|(at, c)| plain.push(c, at..at + 1));
            }
            start = end;
        }
        opened.then_some(plain)
    }

    fn push(&mut self, c: char, from: Range<usize>) {
        self.text.push(c);
        self.from.push(from);
    }

    /// A span of the plain text, not empty, as one of the original.
    pub fn span(&self, plain: Range<usize>) -> Range<usize> {
        self.from[plain.start].start..self.from[plain.end - 1].end
    }
}

fn is_code(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=' | '.')
}

fn base64(run: &str) -> Option<String> {
    if run.len() < SHORTEST {
        return None;
    }
    let standard = run.replace('-', "+").replace('_', "/");
    let inner = String::from_utf8(LENIENT.decode(standard).ok()?).ok()?;
    let plain = inner.chars().all(|c| !c.is_control() || c == '\n');
    plain.then_some(inner)
}

/// One sign of Morse; dots of omission are none.
fn morse(run: &str) -> Option<String> {
    let found = MORSE.iter().find(|(sign, _)| *sign == run);
    found
        .filter(|(sign, _)| sign.len() >= STROKES && *sign != "...")
        .map(|(_, c)| c.to_string())
}
