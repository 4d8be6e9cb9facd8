//! Texts inside a text: base64, Morse and characters told by their numbers, put in plain where
//! they stood.

mod bytes;

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
        let signs = text
            .split(|c| !is_code(c))
            .filter(|word| morse(word).is_some());
        let telegraphs = signs.take(MORSE_WORDS).count() == MORSE_WORDS;
        let chars: Vec<char> = text.chars().collect();
        let mut start = 0;
        while start < chars.len() {
            if let Some((length, inner)) = bytes::read(&chars, start) {
                opened |= inner.is_some();
                plain.put(&chars, start..start + length, inner);
                start += length;
                continue;
            }
            let rest = &chars[start..];
            let length = rest.iter().take_while(|&&c| is_code(c)).count();
            let code: String = rest[..length].iter().collect();
            let inner = base64(&code).or_else(|| morse(&code).filter(|_| telegraphs));
            opened |= inner.is_some();
            let parted = inner.map(|inner| match length >= SHORTEST {
                true => inner + " ",
                false => inner,
            });
            let end = (start + length + 1).min(chars.len());
            let end = if parted.is_some() || length == 0 {
                end
            } else {
                start + length
            };
            plain.put(&chars, start..end, parted);
            start = end;
        }
        opened.then_some(plain)
    }

    /// What was in a range, or the range as it is.
    fn put(&mut self, chars: &[char], from: Range<usize>, inner: Option<String>) {
        match inner {
            Some(inner) => {
                self.from.extend(inner.chars().map(|_| from.clone()));
                self.text.push_str(&inner);
            }
            None => {
                self.text.extend(&chars[from.clone()]);
                self.from.extend(from.map(|at| at..at + 1));
            }
        }
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
