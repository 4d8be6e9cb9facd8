//! What of an answer is the same from call to call, compiled: bytes as the wire has them, to
//! which a call adds a token, a label in the viewer's language and the time.

use sha2::{Digest, Sha256};

use super::held::Weigh;
use crate::domain::{
    Candidate, Chance, Contact, ContactKind, Detail, Merchant, PlacementName, Reason, Split,
    serving::{Answer, Showing},
};

/// One button, as every viewer sees it.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    pub placement: &'a PlacementName,
    pub kind: ContactKind,
    /// Empty for the usual one.
    pub label: &'a str,
    pub preview: &'a str,
    pub display_name: &'a str,
    pub headline: &'a str,
    pub avatar_uri: &'a str,
}

/// An item's bytes.
pub type Compile = fn(&Item<'_>) -> Box<[u8]>;

/// An item, compiled.
#[derive(Clone, Debug)]
pub struct Entry {
    pub placement_no: i64,
    pub kind: ContactKind,
    /// Whether it has a label of its own.
    pub labeled: bool,
    pub bytes: Box<[u8]>,
}

/// An answer, compiled.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub entries: Box<[Entry]>,
    /// Why there are none.
    pub absence: Option<Reason>,
    /// Of the experiment that the merchant runs.
    pub split: Option<Box<Split>>,
    /// What makes this answer another than one before.
    pub content: [u8; 8],
}

impl Snapshot {
    pub fn new(answer: &Answer<'_>, split: Option<Split>, compile: Compile) -> Self {
        Self {
            entries: answer
                .items
                .iter()
                .map(|item| entry(item, compile))
                .collect(),
            absence: answer.absence,
            split: split.filter(|_| !answer.items.is_empty()).map(Box::new),
            content: content(answer),
        }
    }
}

fn entry(showing: &Showing<'_>, compile: Compile) -> Entry {
    let Showing {
        placement,
        card,
        kind,
    } = showing;
    let contact = card.contact(*kind);
    let label = contact.map_or("", |contact| &contact.label);
    Entry {
        placement_no: placement.no,
        kind: *kind,
        labeled: !label.is_empty(),
        bytes: compile(&Item {
            placement: &placement.name,
            kind: *kind,
            label,
            preview: preview(contact, &card.display_name),
            display_name: &card.display_name,
            headline: &card.headline,
            avatar_uri: &card.avatar_uri,
        }),
    }
}

fn preview<'a>(contact: Option<&'a Contact>, display_name: &'a str) -> &'a str {
    match contact.map(|contact| &contact.detail) {
        Some(Detail::Phone(sealed) | Detail::WechatId(sealed)) => &sealed.mask,
        _ => display_name,
    }
}

fn content(answer: &Answer<'_>) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(answer.absence.map_or("", Reason::as_str));
    for Showing {
        placement,
        card,
        kind,
    } in &answer.items
    {
        hash.update(format!(
            "{}/{}/{}/",
            placement.etag(),
            card.etag(),
            kind.as_str()
        ));
    }
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
    [a, b, c, d, e, f, g, h]
}

impl Weigh for Snapshot {
    fn bytes(&self) -> usize {
        let entries: usize = self.entries.iter().map(|entry| entry.bytes.len()).sum();
        let split = |split: &Split| size_of::<Split>() + split.salt.len();
        size_of::<Self>()
            + size_of_val(&*self.entries)
            + entries
            + self.split.as_deref().map_or(0, split)
    }
}

impl<T: Weigh> Weigh for Option<T> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(size_of::<Self>(), Weigh::bytes)
    }
}

impl Weigh for Candidate {
    /// A card's texts and sealed contacts, and a program's, are about a kilobyte each.
    fn bytes(&self) -> usize {
        let days = |chance: &Chance| size_of_val(&*chance.decision.window);
        let chances = self
            .standing
            .chances
            .iter()
            .map(|chance| 1024 + days(chance));
        2048 + chances.sum::<usize>()
    }
}

impl Weigh for Merchant {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.id().len()
    }
}

impl Weigh for PlacementName {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.merchant().id().len() + self.id().len()
    }
}

impl Weigh for Box<str> {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

impl Weigh for i64 {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}
