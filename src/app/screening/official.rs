//! The official card in a text: a token of ours, as the card shows it, is judged by whose it is.

use std::ops::Range;

use super::{App, Content, Item, Principal, Result};
use crate::{
    domain::{Card, ContactKind, LinkHealth, Merchant, Surface, TapToken},
    screening::{Category, Finding, Rulebook, Verdict, tokens},
    store::Shown,
};

/// Tokens that are looked up for one item; the rest is just text.
const MOST_TOKENS: usize = 16;

/// The rules that are not in the rulebook: whose card it is, only the keys and the store know.
const ANOTHERS: &str = "card-of-another-merchant";
const NOBODYS: &str = "card-without-a-merchant";
/// A code that no other rule forbids.
const CODE: &str = "code-to-elsewhere";

/// Whose item it is, as far as the caller says.
pub(super) struct Owner {
    merchant: Option<Merchant>,
    conversation: Option<String>,
}

impl Owner {
    pub fn of(item: &Item) -> Self {
        Self {
            merchant: item.merchant.clone(),
            conversation: item.conversation.clone(),
        }
    }

    /// What is said of the card behind this placement; nothing of the owner's own.
    fn verdict(&self, (placement, _): &Shown) -> Option<(Verdict, &'static str)> {
        match &self.merchant {
            Some(merchant) if merchant == placement.name.merchant() => None,
            Some(_) => Some((Verdict::Block, ANOTHERS)),
            None => match (&placement.surface, &self.conversation) {
                // A card that was sent in this very conversation.
                (Surface::CardMessage { conversation }, Some(here)) if conversation == here => None,
                _ => Some((Verdict::Review, NOBODYS)),
            },
        }
    }
}

/// What the rules found in one item, and the tokens in it.
pub(super) struct Seen {
    findings: Vec<Finding>,
    tokens: Vec<Token>,
}

/// What has the form of a token and is one of ours, or stands in an address of ours.
struct Token {
    /// What it says; `None` for a forged one.
    said: Option<TapToken>,
    text: String,
    /// The address it stands in, or itself.
    carrier: String,
    /// The carrier's place, in code points; in a picture none.
    span: Range<usize>,
    /// From a QR code.
    code: bool,
}

impl App {
    pub(super) fn seen_in_text(&self, rulebook: &Rulebook, text: &str) -> Seen {
        Seen {
            findings: rulebook.text(text),
            tokens: self.tokens(text),
        }
    }

    /// Each code is a finding, unless it leads to the platform or, as its owner will tell, to an
    /// official card.
    pub(super) fn seen_in_codes(&self, rulebook: &Rulebook, codes: Vec<String>) -> Seen {
        let mut seen = Seen {
            findings: Vec::new(),
            tokens: Vec::new(),
        };
        for content in codes {
            let token = self.tokens(&content).into_iter().next();
            let whole = |token: &Token| token.carrier == content.trim();
            if let Some(token) = token.filter(whole) {
                seen.tokens.push(Token {
                    span: 0..0,
                    code: true,
                    ..token
                });
            } else if let Some((verdict, rule)) = elsewhere(rulebook, &content) {
                let finding = code_finding(verdict, rule, &content);
                seen.findings.push(finding);
            }
        }
        seen
    }

    fn tokens(&self, text: &str) -> Vec<Token> {
        let token = |(place, run): (Range<usize>, &str)| {
            let (span, carrier) = carrier(text, &place);
            let said = self.keys.open_token(run).ok();
            let ours = said.is_some() || carrier == self.open_uri(run);
            ours.then(|| Token {
                said,
                text: run.to_owned(),
                carrier: carrier.to_owned(),
                span,
                code: false,
            })
        };
        let found = tokens(text).into_iter().filter_map(token);
        found.take(MOST_TOKENS).collect()
    }

    /// The findings, once it is known whose cards the tokens are.
    pub(super) async fn owned(
        &self,
        caller: &Principal,
        owner: &Owner,
        seen: Seen,
    ) -> Result<Vec<Finding>> {
        let Seen {
            mut findings,
            tokens,
        } = seen;
        for token in tokens {
            let Some(said) = self.said_of(caller, owner, &token).await? else {
                continue;
            };
            findings.retain(|found| token.code || !within(&found.span, &token.span));
            findings.extend(said);
        }
        Ok(findings)
    }

    /// The finding of an official card, if any is to be made of it; `None` where it is none, and
    /// the rules alone count.
    async fn said_of(
        &self,
        caller: &Principal,
        owner: &Owner,
        token: &Token,
    ) -> Result<Option<Option<Finding>>> {
        let Some(said) = &token.said else {
            // Who may see nothing of others cannot tell their tokens from forged ones.
            let others = caller.limited().then(|| token.finding(Verdict::Block, ANOTHERS, None));
            return Ok(others.map(Some));
        };
        let Some(shown) = self.store.reads().shown_by_no(said.placement_no).await? else {
            return Ok(None);
        };
        if !self.shows(token, shown.1.as_ref()).await? {
            return Ok(None);
        }
        let verdict = owner.verdict(&shown);
        Ok(Some(verdict.map(|(verdict, rule)| {
            token.finding(verdict, rule, Some(said.kind))
        })))
    }

    /// Whether the token stands as the service gives it out: alone, in an address of ours, or in
    /// the WeCom link that a tap leads to. In any other address it hides what leads elsewhere.
    async fn shows(&self, token: &Token, card: Option<&Card>) -> Result<bool> {
        if token.carrier == token.text || token.carrier == self.open_uri(&token.text) {
            return Ok(true);
        }
        let Some(card) = card else { return Ok(false) };
        let health = self.store.reads().link_health([card]).await?.remove(&card.no);
        Ok(match health {
            Some(LinkHealth::Works(uri)) => {
                uri.with_channel(&token.text).as_str() == token.carrier
            }
            _ => false,
        })
    }
}

impl Token {
    fn finding(&self, verdict: Verdict, rule: &str, kind: Option<ContactKind>) -> Finding {
        let category = match kind {
            _ if self.code => Category::QrCode,
            Some(ContactKind::Phone) => Category::Phone,
            Some(ContactKind::WechatId) => Category::WechatId,
            Some(ContactKind::Wecom) | None => Category::Wecom,
        };
        Finding {
            category,
            rule: rule.to_owned(),
            span: self.span.clone(),
            excerpt: self.carrier.chars().take(super::MOST_EXCERPT).collect(),
            verdict,
        }
    }
}

/// What the rules say of a code's content: nothing of one that leads to the platform.
fn elsewhere(rulebook: &Rulebook, content: &str) -> Option<(Verdict, String)> {
    let found = rulebook.link(content);
    let worst = found.into_iter().max_by_key(|finding| finding.verdict);
    match worst {
        Some(worst) => Some((worst.verdict, worst.rule)),
        None if rulebook.is_own(content) => None,
        None => Some((Verdict::Review, CODE.to_owned())),
    }
}

fn code_finding(verdict: Verdict, rule: String, content: &str) -> Finding {
    Finding {
        category: Category::QrCode,
        rule,
        span: 0..0,
        excerpt: content.chars().take(super::MOST_EXCERPT).collect(),
        verdict,
    }
}

fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// The run of characters of an address around a place, which is in code points.
fn carrier<'a>(text: &'a str, place: &Range<usize>) -> (Range<usize>, &'a str) {
    let bytes = |points: usize| {
        let at = text.char_indices().nth(points);
        at.map_or(text.len(), |(byte, _)| byte)
    };
    let (start, end) = (bytes(place.start), bytes(place.end));
    let before = text[..start].bytes().rev().take_while(in_address).count();
    let after = text[end..].bytes().take_while(in_address).count();
    let after = text[end..end + after].trim_end_matches(['.', ',', '!', '?', ':', ';', '\'', ')']);
    // What is in an address is ASCII: a byte is a code point.
    let span = place.start - before..place.end + after.len();
    (span, &text[start - before..end + after.len()])
}

/// Of an address as people paste it.
fn in_address(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'*+=%,;)".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_is_the_address_around_a_token() {
        let token = "t".repeat(64);
        for (before, address, after) in [
            ("加我：", "", "，谢谢"),
            ("看 ", "https://m.example/t/", " 吧"),
            ("看", "https://m.example/t/", "。"),
            ("(", "https://m.example/t/", ")."),
            ("", "https://work.weixin.qq.com/ca/a?customer_channel=", ""),
        ] {
            let text = format!("{before}{address}{token}{after}");
            let start = before.chars().count() + address.len();
            let (span, found) = carrier(&text, &(start..start + 64));
            assert_eq!(found, format!("{address}{token}"), "{text}");
            let begins = before.chars().count();
            assert_eq!(span, begins..begins + found.len(), "{text}");
        }
    }
}
