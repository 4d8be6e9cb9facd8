//! The official card in a text: a token of ours, as the card shows it, is judged by whose it is.

use std::ops::Range;

use super::{App, Category, Finding, Principal, Result, Verdict, excerpt};
use crate::{
    domain::{Card, ContactKind, LinkHealth, Merchant, Surface, TapToken},
    screening::tokens,
    store::Shown,
};

/// Tokens that are looked up for one item; the rest is just text.
const MOST_TOKENS: usize = 16;

/// The rules that are in no rulebook: whose card it is, only the keys and the store know.
const ANOTHERS: &str = "card-of-another-merchant";
const NOBODYS: &str = "card-without-a-merchant";

/// Whose item it is, as far as the caller says.
pub(super) struct Owner<'a> {
    pub caller: &'a Principal,
    pub merchant: Option<Merchant>,
    /// The conversation's id.
    pub conversation: Option<String>,
}

/// What is to be said of an official card; nothing of the owner's own.
type Judged = Option<(Verdict, &'static str)>;

impl Owner<'_> {
    fn judge(&self, (placement, _): &Shown) -> Judged {
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

/// What has the form of a token and is one of ours, or stands in an address of ours.
struct Token {
    /// What it says; `None` for a forged one.
    said: Option<TapToken>,
    text: String,
    /// The address it stands in, or itself.
    carrier: String,
    /// The carrier's place, in code points.
    span: Range<usize>,
}

impl App {
    /// The text with blanks where official cards stand, and what is to be said of those.
    pub(super) async fn without_official(
        &self,
        owner: &Owner<'_>,
        mut text: String,
    ) -> Result<(String, Vec<Finding>)> {
        let mut findings = Vec::new();
        for token in self.tokens(&text) {
            let Some(judged) = self.judged(owner, &token).await? else {
                continue;
            };
            text = blanked(&text, &token.span);
            findings.extend(token.finding(judged, category(token.kind())));
        }
        Ok((text, findings))
    }

    /// What is to be said of a QR code that is an official card; `None` where it is none.
    pub(super) async fn official_code(
        &self,
        owner: &Owner<'_>,
        content: &str,
    ) -> Result<Option<Option<Finding>>> {
        let whole = |token: &Token| token.carrier == content.trim();
        let Some(token) = self.tokens(content).into_iter().find(whole) else {
            return Ok(None);
        };
        let judged = self.judged(owner, &token).await?;
        Ok(judged.map(|judged| {
            let finding = token.finding(judged, Category::QrCode)?;
            Some(Finding {
                span: 0..0,
                ..finding
            })
        }))
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
            })
        };
        let found = tokens(text).into_iter().filter_map(token);
        found.take(MOST_TOKENS).collect()
    }

    /// `None` where it is no official card, and the rules alone count.
    async fn judged(&self, owner: &Owner<'_>, token: &Token) -> Result<Option<Judged>> {
        let Some(said) = &token.said else {
            // Who may see nothing of others cannot tell their tokens from forged ones.
            let limited = owner.caller.limited();
            return Ok(limited.then_some(Some((Verdict::Block, ANOTHERS))));
        };
        let shown = self.store.reads().shown_by_no(said.placement_no).await?;
        match shown {
            Some(shown) if self.shows(token, shown.1.as_ref()).await? => {
                Ok(Some(owner.judge(&shown)))
            }
            _ => Ok(None),
        }
    }

    /// Whether the token stands as the service gives it out: alone, in an address of ours, or in
    /// the WeCom link that a tap leads to. In any other address it hides what leads elsewhere.
    async fn shows(&self, token: &Token, card: Option<&Card>) -> Result<bool> {
        if token.carrier == token.text || token.carrier == self.open_uri(&token.text) {
            return Ok(true);
        }
        let Some(card) = card else { return Ok(false) };
        let health = self.store.reads().link_health([card]).await?;
        Ok(match health.get(&card.no) {
            Some(LinkHealth::Works(uri)) => uri.with_channel(&token.text).as_str() == token.carrier,
            _ => false,
        })
    }
}

impl Token {
    fn kind(&self) -> Option<ContactKind> {
        self.said.as_ref().map(|said| said.kind)
    }

    fn finding(&self, judged: Judged, category: Category) -> Option<Finding> {
        let (verdict, rule) = judged?;
        Some(Finding {
            category,
            rule: rule.to_owned(),
            span: self.span.clone(),
            excerpt: excerpt(&self.carrier),
            verdict,
            carries: true,
        })
    }
}

/// Of what is behind a token; of a forged one as if it were the usual.
fn category(kind: Option<ContactKind>) -> Category {
    match kind {
        Some(ContactKind::Phone) => Category::Phone,
        Some(ContactKind::WechatId) => Category::WechatId,
        Some(ContactKind::Wecom) | None => Category::Wecom,
    }
}

/// As long as before.
fn blanked(text: &str, span: &Range<usize>) -> String {
    let points = text.chars().enumerate();
    let blank = |(at, c)| if span.contains(&at) { ' ' } else { c };
    points.map(blank).collect()
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
    let after = text[end..end + after].trim_end_matches(['.', ',', '!', '?', ':', ';', '\'']);
    // What is in an address is ASCII: a byte is a code point.
    let span = place.start - before..place.end + after.len();
    (span, &text[start - before..end + after.len()])
}

/// Of an address as people paste it.
fn in_address(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'*+=%,;".contains(byte)
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
            ("", "https://m.example/t/", "!"),
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
