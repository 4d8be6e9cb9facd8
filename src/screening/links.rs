//! Links and addresses of mail, also where people wrote `work点weixin点qq点com`, and what a link
//! leads to, however often it is wrapped.

use std::{collections::HashMap, ops::Range};

use percent_encoding::percent_decode_str;
use serde::Deserialize;
use url::Url;

use super::{
    finding::{Category, Verdict},
    scan::Work,
};

/// How deep links are unwrapped.
const MAX_DEPTH: usize = 3;
/// Signs around a shopping passphrase.
const SIGNS: &str = "₤¥€$£¢₴₳₭₱";

/// How links are spelled.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkData {
    /// Last labels of a host that make it one.
    pub tlds: Vec<String>,
    /// Last labels that are words too: a host only with a path behind it.
    pub shy_tlds: Vec<String>,
    /// What people write for the signs of a link.
    pub words: HashMap<String, String>,
    /// Hosts and schemes that anybody may name.
    pub harmless: Vec<String>,
}

/// Where a link may lead: one of a host, a scheme or a mail host; `*` is any.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    pub id: String,
    pub why: String,
    pub category: Category,
    pub verdict: Verdict,
    #[serde(default)]
    pub host: String,
    #[serde(default)]
    pub scheme: String,
    #[serde(default)]
    pub mail: String,
    /// What the path begins with.
    #[serde(default)]
    pub path: String,
}

/// What was found in a line.
#[derive(Debug)]
pub struct Link {
    /// In characters of the line.
    pub line: Range<usize>,
    pub text: String,
    pub mail: bool,
}

#[derive(Debug)]
pub struct Links {
    data: LinkData,
    places: Vec<Place>,
    own: Vec<String>,
}

impl Links {
    pub fn new(data: LinkData, places: Vec<Place>, own: &[String]) -> Self {
        let own = own.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { data, places, own }
    }

    /// The links and addresses of a folded line.
    pub fn search(&self, line: &[char], work: &mut Work) -> Vec<Link> {
        let flat = self.flat(line, work);
        let mut found = Vec::new();
        for run in flat.split(|(c, _)| !is_link_char(*c)) {
            work.step(run.len() + 1);
            found.extend(self.link(run));
        }
        found
    }

    /// The line with the words for signs replaced and blanks between single letters gone; with
    /// each character its place in the line.
    fn flat(&self, line: &[char], work: &mut Work) -> Vec<(char, usize)> {
        let mut flat: Vec<(char, usize)> = Vec::with_capacity(line.len());
        let mut at = 0;
        while at < line.len() {
            work.step(1);
            if let Some((length, sign)) = self.word(line, at) {
                while flat.last().is_some_and(|(c, _)| is_wrap(*c)) {
                    flat.pop();
                }
                flat.extend(sign.chars().map(|c| (c, at)));
                at += length;
                while at < line.len() && is_wrap(line[at]) {
                    at += 1;
                }
            } else {
                if !between_singles(line, at) {
                    flat.push((line[at], at));
                }
                at += 1;
            }
        }
        flat
    }

    /// The word for a sign that stands here. A Latin one must stand alone.
    fn word(&self, line: &[char], at: usize) -> Option<(usize, &str)> {
        let is_letter = |i: usize| line.get(i).is_some_and(char::is_ascii_alphanumeric);
        let latin = is_letter(at);
        if latin && at > 0 && is_letter(at - 1) {
            return None;
        }
        self.data.words.iter().find_map(|(word, sign)| {
            let length = word.chars().count();
            let here = line.get(at..at + length)?;
            let fits = here.iter().copied().eq(word.chars()) && !(latin && is_letter(at + length));
            fits.then_some((length, sign.as_str()))
        })
    }

    fn link(&self, run: &[(char, usize)]) -> Option<Link> {
        let text: String = run.iter().map(|(c, _)| *c).collect();
        let trimmed = text.trim_end_matches(['.', ',', '!', '?', ';', ':', '\'', '*']);
        let (start, mail) = self.start(trimmed)?;
        // A run is ASCII, so bytes are characters.
        let last = run[..trimmed.len()].last()?.1;
        Some(Link {
            line: run[start].1..last + 1,
            text: trimmed[start..].to_owned(),
            mail,
        })
    }

    /// Where in a run a link begins, and whether it is an address of mail.
    fn start(&self, run: &str) -> Option<(usize, bool)> {
        if let Some(colon) = run.find("://") {
            let scheme = run[..colon]
                .bytes()
                .rev()
                .take_while(u8::is_ascii_alphanumeric)
                .count();
            return (scheme > 1 && run.len() > colon + 3).then_some((colon - scheme, false));
        }
        let mut start = 0;
        for part in run.split_inclusive(|c: char| !is_host_char(c)) {
            let host = part.trim_end_matches(|c: char| !is_host_char(c));
            let after = &run[start + host.len()..];
            if self.is_host(host, after) {
                let before = run[..start].strip_suffix('@').unwrap_or_default();
                let local = before.bytes().rev().take_while(|&b| is_local(b)).count();
                return Some(match local {
                    0 => (start, false),
                    _ => (start - 1 - local, true),
                });
            }
            start += part.len();
        }
        None
    }

    fn is_host(&self, host: &str, after: &str) -> bool {
        let Some((rest, tld)) = host.trim_end_matches('.').rsplit_once('.') else {
            return false;
        };
        let sound = rest
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'));
        let known = |tlds: &[String]| tlds.iter().any(|known| known == tld);
        let path = after.len() > 1 && after.starts_with('/');
        let named = rest.bytes().any(|b| b.is_ascii_alphabetic()) && (path || rest.len() > 1);
        sound && named && (known(&self.data.tlds) || (path && known(&self.data.shy_tlds)))
    }

    /// What a link leads to; nothing if to the platform itself. The worst place counts of all
    /// that are wrapped in it.
    pub fn judge(&self, link: &str) -> Option<&Place> {
        let mut text = link.to_owned();
        let mut worst: Option<&Place> = None;
        for _ in 0..=MAX_DEPTH {
            for place in embedded(&text).filter_map(|url| self.place(url)) {
                if worst.is_none_or(|w| w.verdict <= place.verdict) {
                    worst = Some(place);
                }
            }
            let decoded = percent_decode_str(&text).decode_utf8_lossy().into_owned();
            if decoded == text {
                break;
            }
            text = decoded;
        }
        worst
    }

    /// What any link leads to of which nothing better is known.
    pub fn anywhere(&self) -> Option<&Place> {
        self.find(|place| place.host == "*")
    }

    /// Whether a link leads to the platform itself.
    pub fn is_own(&self, link: &str) -> bool {
        let url = Url::parse(link).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.own.iter().any(|own| within(&host, own))
    }

    /// Whose an address of mail is.
    pub fn judge_mail(&self, mail: &str) -> Option<&Place> {
        let (_, host) = mail.rsplit_once('@')?;
        self.find(|place| within(host, &place.mail))
    }

    fn place(&self, link: &str) -> Option<&Place> {
        let url = Url::parse(link)
            .or_else(|_| Url::parse(&format!("https://{link}")))
            .ok()?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let host = host.trim_end_matches('.');
        let harmless = |names: &[String], name: &str| names.iter().any(|own| within(name, own));
        if !matches!(url.scheme(), "http" | "https") {
            return match harmless(&self.data.harmless, url.scheme()) {
                true => None,
                false => self.find(|place| within(url.scheme(), &place.scheme)),
            };
        }
        if harmless(&self.own, host) || harmless(&self.data.harmless, host) {
            return None;
        }
        self.find(|place| within(host, &place.host) && url.path().starts_with(&place.path))
    }

    fn find(&self, fits: impl Fn(&Place) -> bool) -> Option<&Place> {
        self.places.iter().find(|place| fits(place))
    }
}

/// Whether a host is another or under it; `*` holds every one.
fn within(host: &str, parent: &str) -> bool {
    match host.strip_suffix(parent) {
        Some(rest) if !parent.is_empty() => rest.is_empty() || rest.ends_with('.'),
        _ => parent == "*",
    }
}

/// A link cut before every one that is written out inside it.
fn embedded(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("://").filter_map(|(colon, _)| {
        let before = text.as_bytes()[..colon].iter().rev();
        let scheme = before.take_while(|b| b.is_ascii_alphanumeric()).count();
        (scheme > 1 && colon > scheme).then_some(colon - scheme)
    });
    let mut from = 0;
    starts.chain(std::iter::once(text.len())).map(move |start| {
        let piece = &text[from..start];
        from = start;
        piece
    })
}

fn is_link_char(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '`' | '{' | '}' | '|' | '\\' | '^')
}

fn is_host_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-')
}

fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+')
}

/// What may stand around a word for a sign.
fn is_wrap(c: char) -> bool {
    matches!(
        c,
        ' ' | '(' | ')' | '[' | ']' | '【' | '】' | '{' | '}' | '「' | '」'
    )
}

/// Whether this is the blank of `h t t p`.
fn between_singles(line: &[char], at: usize) -> bool {
    let part = |i: Option<usize>| {
        i.and_then(|i| line.get(i))
            .is_some_and(|&c| is_link_char(c))
    };
    let single = |i: Option<usize>| {
        part(i) && !part(i.and_then(|i| i.checked_sub(1))) && !part(i.map(|i| i + 1))
    };
    let (before, after) = (at.checked_sub(1), Some(at + 1));
    let sign = |i: Option<usize>| i.is_some_and(|i| matches!(line[i], '.' | '/' | ':'));
    line[at] == ' '
        && part(before)
        && part(after)
        && ((single(before) && (single(after) || sign(before))) || (single(after) && sign(after)))
}

/// Shopping passphrases: 6 to 20 letters and digits between two currency signs.
pub fn passphrases(line: &[char], work: &mut Work) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<usize> = None;
    for (at, &c) in line.iter().enumerate() {
        work.step(1);
        if SIGNS.contains(c) {
            found.extend(
                open.filter(|s| (8..=22).contains(&(at - s)))
                    .map(|s| s..at + 1),
            );
            open = Some(at);
        } else if !c.is_ascii_alphanumeric() {
            open = None;
        }
    }
    found
}
