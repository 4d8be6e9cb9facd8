//! The official card in a text: a token of ours, as the card shows it, is judged by whose it is.

use std::{collections::HashMap, ops::Range};

use super::{App, Category, Finding, Principal, Result, Verdict, excerpt};
use crate::{
    domain::{ContactKind, LinkHealth, Merchant, Surface, TapToken, launch, token},
    store::Shown,
};

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
    /// Of what has the form of a token and, if it is one, what it shows. Who is limited to some
    /// merchants learns no more of what is not theirs than that.
    fn judge(&self, stands: &Stands, shown: Option<&Shown>) -> Judged {
        let whose = shown.map(|(placement, _)| placement.name.merchant());
        if self.merchant.is_some() && self.merchant.as_ref() == whose {
            return None;
        }
        if self.caller.limited() {
            return Some(match stands {
                Stands::Bare | Stands::Elsewhere => (Verdict::Review, NOBODYS),
                Stands::Address(_) => (Verdict::Block, ANOTHERS),
            });
        }
        let (placement, _) = shown?;
        if self.merchant.is_some() {
            return Some((Verdict::Block, ANOTHERS));
        }
        match (&placement.surface, &self.conversation) {
            // A card that was sent in this very conversation.
            (Surface::CardMessage { conversation }, Some(here)) if conversation == here => None,
            _ => Some((Verdict::Review, NOBODYS)),
        }
    }
}

/// What has the form of a token.
struct Token {
    /// What it says; `None` for a forged one.
    said: Option<TapToken>,
    text: String,
    /// Its place, in code points.
    place: Range<usize>,
    stands: Stands,
}

/// How a token stands in a text.
enum Stands {
    /// Alone.
    Bare,
    /// In an address as the service gives it out, of which so many characters stand before the
    /// token: what leads to the card, and nowhere else.
    Address(usize),
    /// In some other address, which it must not hide.
    Elsewhere,
}

impl App {
    /// The text with blanks where official cards stand, for the rules to judge the rest; and
    /// what is to be said of the cards.
    pub(super) async fn without_official(
        &self,
        owner: &Owner<'_>,
        text: String,
    ) -> Result<(String, Vec<Finding>)> {
        let mut tokens = self.tokens(&text);
        if tokens.is_empty() {
            return Ok((text, Vec::new()));
        }
        let shown = self.shown(&tokens).await?;
        self.find_launched(&text, &mut tokens, &shown).await?;
        let (mut blanks, mut findings) = (Vec::new(), Vec::new());
        for token in tokens {
            let shown = token.said.as_ref().and_then(|t| shown.get(&t.placement_no));
            let judged = owner.judge(&token.stands, shown);
            if shown.is_some() || judged.is_some() {
                blanks.extend(token.official());
            }
            let kind = token.said.as_ref().map(|said| said.kind);
            let kind = kind.filter(|_| !owner.caller.limited());
            findings.extend(judged.map(|judged| token.finding(judged, kind)));
        }
        Ok((blanked(&text, &blanks), findings))
    }

    fn tokens(&self, text: &str) -> Vec<Token> {
        let read = |(place, run): (Range<usize>, &str)| Token {
            said: self.keys.open_token(run).ok(),
            text: run.to_owned(),
            stands: self.stands(&before(text, place.start)),
            place,
        };
        token::runs(text).into_iter().map(read).collect()
    }

    /// How a token stands behind these characters of an address.
    fn stands(&self, before: &str) -> Stands {
        if before.is_empty() {
            return Stands::Bare;
        }
        let before = before.to_ascii_lowercase();
        let door = self.open_uri("").to_ascii_lowercase();
        let bare = door
            .split_once("://")
            .map_or(door.as_str(), |(_, rest)| rest);
        for door in [door.as_str(), bare] {
            let Some(rest) = before.strip_suffix(door) else {
                continue;
            };
            // Not the end of another host's name.
            if !rest.ends_with(|c: char| c.is_ascii_alphanumeric() || "-.@".contains(c)) {
                return Stands::Address(door.len());
            }
        }
        Stands::Elsewhere
    }

    /// What the tokens that are ours show, by the placement's number.
    async fn shown(&self, tokens: &[Token]) -> Result<HashMap<i64, Shown>> {
        let said = tokens.iter().filter_map(|token| token.said.as_ref());
        let nos: Vec<_> = said.map(|said| said.placement_no).collect();
        if nos.is_empty() {
            return Ok(HashMap::new());
        }
        let shown = self.store.reads().shown_by_nos(&nos).await?;
        Ok(shown.into_iter().map(|shown| (shown.0.no, shown)).collect())
    }

    /// The WeCom link that a tap leads to is an address of the card, too, and so is its scheme.
    async fn find_launched(
        &self,
        text: &str,
        tokens: &mut [Token],
        shown: &HashMap<i64, Shown>,
    ) -> Result<()> {
        if !text.contains("customer_channel") {
            return Ok(());
        }
        let cards = shown.values().filter_map(|(_, card)| card.as_ref());
        let health = self.store.reads().link_health(cards).await?;
        for token in tokens.iter_mut() {
            let said = token.said.as_ref();
            let shown = said.and_then(|said| shown.get(&said.placement_no));
            let card = shown.and_then(|(_, card)| card.as_ref());
            if let Some(LinkHealth::Works(uri)) = card.and_then(|card| health.get(&card.no)) {
                let link = uri.with_channel(&token.text);
                let before = before(text, token.place.start);
                let leads = |launched: &str| launched.strip_suffix(&token.text) == Some(&before);
                if leads(link.as_str()) || leads(&launch::profile(link.as_str())) {
                    token.stands = Stands::Address(before.len());
                }
            }
        }
        Ok(())
    }
}

impl Token {
    /// The place of what leads to the card alone.
    fn official(&self) -> Option<Range<usize>> {
        match self.stands {
            Stands::Bare => Some(self.place.clone()),
            Stands::Address(before) => Some(self.place.start - before..self.place.end),
            Stands::Elsewhere => None,
        }
    }

    fn finding(&self, (verdict, rule): (Verdict, &str), kind: Option<ContactKind>) -> Finding {
        Finding {
            category: category(kind),
            rule: rule.to_owned(),
            span: self.official().unwrap_or_else(|| self.place.clone()),
            excerpt: excerpt(&self.text),
            verdict,
            carries: true,
        }
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
fn blanked(text: &str, blanks: &[Range<usize>]) -> String {
    let blank = |(at, c)| match blanks.iter().any(|span| span.contains(&at)) {
        true => ' ',
        false => c,
    };
    text.chars().enumerate().map(blank).collect()
}

/// The characters of an address that stand right before a place, which is in code points.
fn before(text: &str, place: usize) -> String {
    let end = text
        .char_indices()
        .nth(place)
        .map_or(text.len(), |(byte, _)| byte);
    let length = text[..end].bytes().rev().take_while(in_address).count();
    text[end - length..end].to_owned()
}

/// Of an address as people paste it.
fn in_address(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'*+=%,;".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_a_token_ends_where_no_address_could() {
        for (text, found) in [
            ("加我：", ""),
            ("看 https://m.example/t/", "https://m.example/t/"),
            ("看https://m.example/t/", "https://m.example/t/"),
            ("(m.example/t/", "m.example/t/"),
            ("a b=", "b="),
        ] {
            assert_eq!(before(text, text.chars().count()), found, "{text}");
        }
    }

    #[test]
    fn blanks_leave_the_rest_where_it_stands() {
        assert_eq!(blanked("加我abc吧def", &[2..5, 6..8]), "加我   吧  f");
    }
}
