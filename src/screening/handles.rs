//! Runs that could be an account's name: `mian_bb7`, `b-a-o-g-e`, `@shop_88`, or pieces to be put
//! together, `mimi加上0314再加cc`.

use std::ops::Range;

use super::{fold::Folded, hits::Hit, numbers::Digits, scan::Work};

/// Lengths of an account's name, in characters.
const LENGTH: std::ops::RangeInclusive<usize> = 6..=24;
/// Most solid characters between two pieces.
const MAX_BETWEEN: usize = 8;
/// Most pieces of one name.
const MAX_PIECES: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Letters with digits, hyphens or underscores among them.
    Id,
    /// Letters only.
    Word,
    /// Anything Latin after an at sign.
    Mention,
    /// With an underscore and a digit, which hardly anything else has.
    Handle,
    Pieces,
}

/// A run of the line.
#[derive(Debug)]
struct Token {
    line: Range<usize>,
    name: String,
    /// Spelled letter by letter, as only a name would be.
    spelled: bool,
}

/// The handles of a text. `glue` are words that people put between the pieces of a name.
pub fn search(text: &Folded, digits: &Digits, glue: &[Hit], work: &mut Work) -> Vec<(Shape, Hit)> {
    let tokens = merged(text.line(), raw(text.line(), digits, work));
    let mut found = Vec::new();
    for token in &tokens {
        let hit = hit(text, token);
        found.extend(shape(token).map(|shape| (shape, hit)));
        let at = token.line.start.checked_sub(1).map(|i| text.line()[i]);
        if at == Some('@') && token.name.len() >= 4 {
            found.push((Shape::Mention, hit));
        } else if is_handle(&token.name) {
            found.push((Shape::Handle, hit));
        }
    }
    found.extend(pieces(text, &tokens, glue, work).map(|hit| (Shape::Pieces, hit)));
    found
}

fn hit(text: &Folded, token: &Token) -> Hit {
    Hit::new(text.ranks(token.line.clone()))
}

/// Maximal runs of letters, digits, `_`, `-` and `.`, trimmed; a run takes
/// the Chinese digits that follow it, and two of those or more are a run of their own.
fn raw(line: &[char], digits: &Digits, work: &mut Work) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < line.len() {
        work.step(1);
        let start = at;
        while at < line.len() && is_part(line[at]) {
            at += 1;
        }
        if at == start {
            at = numeral_end(line, at, digits).max(at + 1);
            if at - start >= 2 {
                tokens.extend(trimmed(line, start..at));
            }
            continue;
        }
        let numerals = numeral_end(line, at, digits);
        let many = matches!(line[at - 1], '_' | '-') || numerals >= at + 2;
        if many && line[start].is_ascii_alphabetic() {
            at = numerals;
        }
        tokens.extend(trimmed(line, start..at));
    }
    tokens
}

/// The end of the digits of any kind that begin here.
fn numeral_end(line: &[char], start: usize, digits: &Digits) -> usize {
    start
        + line[start..]
            .iter()
            .take_while(|&&c| digits.is_digit(c))
            .count()
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn trimmed(line: &[char], run: Range<usize>) -> Option<Token> {
    let sound = |c: &char| c.is_alphanumeric() || *c == '〇';
    let start = run.start + line[run.clone()].iter().position(sound)?;
    let end = run.start + line[run].iter().rposition(sound)? + 1;
    let name = line[start..end].iter().collect();
    Some(Token {
        line: start..end,
        name,
        spelled: false,
    })
}

/// Puts `c a t _ z z` and `b-a-o-g-e` together.
fn merged(line: &[char], tokens: Vec<Token>) -> Vec<Token> {
    let mut all: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut singles = 0;
    for mut token in tokens {
        token.unspace();
        let between = all
            .last()
            .map(|last| &line[last.line.end..token.line.start]);
        let near = between.is_some_and(is_filling);
        let single = token.name.chars().count() == 1;
        match all.last_mut() {
            Some(last) if near && single && singles > 0 => {
                last.line.end = token.line.end;
                let gap = between_marks(line, last.line.clone(), token.line.start);
                last.name.push_str(gap);
                last.name.push_str(&token.name);
                singles += 1;
                last.spelled = singles > 3;
            }
            _ => {
                singles = usize::from(single);
                all.push(token);
            }
        }
    }
    all
}

/// The underscore that stood between two single letters, if one did.
fn between_marks(line: &[char], before: Range<usize>, next: usize) -> &'static str {
    let gap = &line[before.start..next];
    let marked = gap
        .iter()
        .rev()
        .take_while(|c| is_filler(**c))
        .any(|&c| c == '_');
    if marked { "_" } else { "" }
}

/// A gap of a spelled name: marks, or one heart or star.
fn is_filling(gap: &[char]) -> bool {
    matches!(gap, ['心' | '星']) || (gap.len() <= 3 && gap.iter().all(|&c| is_filler(c)))
}

fn is_filler(c: char) -> bool {
    matches!(c, ' ' | '-' | '·' | '.' | '|' | '_' | '*' | '~')
}

impl Token {
    /// `b-a-o-g-e` as `baoge`.
    fn unspace(&mut self) {
        let mut parts = self.name.split(['-', '.', '_']);
        if self.name.len() > 4 && parts.all(|part| part.chars().count() == 1) {
            self.name = self.name.replace(['-', '.'], "");
            self.spelled = true;
        }
    }
}

fn shape(token: &Token) -> Option<Shape> {
    let name = &token.name;
    let letters = name.chars().filter(char::is_ascii_alphabetic).count();
    let length = name.chars().count();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic()) || is_handle(name);
    if !begins || letters < 2 {
        return None;
    }
    if token.spelled && length >= 4 {
        return Some(Shape::Id);
    }
    if letters == length && length >= 5 {
        return Some(Shape::Word);
    }
    (LENGTH.contains(&length) && letters < length).then_some(Shape::Id)
}

fn is_handle(name: &str) -> bool {
    let letters = name.bytes().filter(u8::is_ascii_alphabetic).count();
    let plain = name.contains('_') && !name.contains(['.', '-']);
    plain
        && letters >= 2
        && name.contains(char::is_numeric)
        && LENGTH.contains(&name.chars().count())
}

/// Two to five Latin runs with glue or a slash between each two, six characters in all.
fn pieces(
    text: &Folded,
    tokens: &[Token],
    glue: &[Hit],
    work: &mut Work,
) -> impl Iterator<Item = Hit> {
    let mut glued = vec![0u32; text.len() + 1];
    for hit in glue {
        glued[hit.start as usize + 1] = 1;
    }
    for i in 1..glued.len() {
        glued[i] += glued[i - 1];
    }
    let mut found = Vec::new();
    let mut start = 0;
    for end in 1..=tokens.len() {
        work.step(1);
        let goes_on = end < tokens.len()
            && end - start < MAX_PIECES
            && linked(text, &glued, &tokens[end - 1], &tokens[end]);
        if !goes_on {
            let short = tokens[start].name.len() <= 2;
            found.extend(whole(text, &tokens[start..end]));
            // The first may be a name of the app: `vx / mi / mi / 88`.
            found.extend(whole(text, &tokens[start + usize::from(short)..end]));
            start = end;
        }
    }
    found.into_iter()
}

fn linked(text: &Folded, glued: &[u32], before: &Token, next: &Token) -> bool {
    let between = hit(text, before).end as usize..hit(text, next).start as usize;
    let gap = &text.line()[before.line.end..next.line.start];
    let glue = glued[between.end] > glued[between.start];
    let slash = between.is_empty()
        && gap.len() <= 4
        && gap.iter().any(|c| matches!(c, '/' | '|' | '\\' | '*'));
    between.len() <= MAX_BETWEEN && (glue || slash)
}

fn whole(text: &Folded, tokens: &[Token]) -> Option<Hit> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let length: usize = tokens.iter().map(|token| token.name.len()).sum();
    let letters = tokens
        .iter()
        .any(|t| t.name.bytes().any(|b| b.is_ascii_alphabetic()));
    (tokens.len() > 1 && letters && length >= 5).then(|| hit(text, first).join(hit(text, last)))
}
