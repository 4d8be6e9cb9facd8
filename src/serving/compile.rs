//! What of an answer is the same from call to call, compiled: bytes as the wire has them, to
//! which a call adds a token, a label in the viewer's language and the time.

use std::mem;

use sha2::{Digest, Sha256};
use smallvec::SmallVec;

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

/// Appends an item's bytes.
pub type Compile = fn(&Item<'_>, &mut Vec<u8>);

/// An item, compiled, but for its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub placement_no: i64,
    pub kind: ContactKind,
    /// Whether it has a label of its own.
    pub labeled: bool,
    /// Where its bytes end.
    pub end: u32,
}

/// An answer, compiled. It lies in few places: of a million of them hardly one is in a
/// processor's cache, and each place is waited for.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub entries: SmallVec<[Entry; 3]>,
    /// Of all items, one behind the other.
    pub bytes: Box<[u8]>,
    /// Why there are none.
    pub absence: Option<Reason>,
    /// Of the experiment that the merchant runs.
    pub split: Option<Split>,
    /// What makes this answer another than one before.
    pub content: [u8; 8],
}

impl Snapshot {
    pub fn new(answer: &Answer<'_>, split: Option<Split>, compile: Compile) -> Self {
        let mut bytes = Vec::new();
        let entries = answer.items.iter();
        Self {
            entries: entries
                .map(|item| entry(item, compile, &mut bytes))
                .collect(),
            bytes: bytes.into(),
            absence: answer.absence,
            split: split.filter(|_| !answer.items.is_empty()),
            content: content(answer),
        }
    }

    /// The items with their bytes.
    pub fn items(&self) -> impl Iterator<Item = (&Entry, &[u8])> {
        let mut begin = 0;
        self.entries.iter().map(move |entry| {
            let end = entry.end as usize;
            (entry, &self.bytes[mem::replace(&mut begin, end)..end])
        })
    }
}

fn entry(showing: &Showing<'_>, compile: Compile, bytes: &mut Vec<u8>) -> Entry {
    let Showing {
        placement,
        card,
        kind,
    } = showing;
    let contact = card.contact(*kind);
    let label = contact.map_or("", |contact| &contact.label);
    let item = Item {
        placement: &placement.name,
        kind: *kind,
        label,
        preview: preview(contact, &card.display_name),
        display_name: &card.display_name,
        headline: &card.headline,
        avatar_uri: &card.avatar_uri,
    };
    compile(&item, bytes);
    Entry {
        placement_no: placement.no,
        kind: *kind,
        labeled: !label.is_empty(),
        // Texts are limited, and a menu's placements.
        end: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
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
        let beside = match self.entries.spilled() {
            true => size_of_val(&*self.entries),
            false => 0,
        };
        let salt = self.split.as_ref().map_or(0, |split| split.salt.len());
        size_of::<Self>() + beside + self.bytes.len() + salt
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
