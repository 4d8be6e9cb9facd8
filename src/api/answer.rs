//! The two answers that are asked for at a high rate, written as bytes: what is the same from
//! call to call was encoded before, and is copied.

use prost::{
    DecodeError, Message,
    bytes::{Buf, BufMut},
    encoding::{
        DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, key_len, skip_field,
    },
};

use super::{
    pb,
    wire::{absence, kind, timestamp},
};
use crate::{
    app::{Menu, Served, Shown},
    domain::{ContactKind, Lang, Reason},
    keys::Token,
    serving::{Entry, Item, Kept, Snapshot},
};

/// An answer as the wire has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded(Vec<u8>);

impl Message for Encoded {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    /// Answers are written, never read.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        skip_field(wire_type, tag, buf, context)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// An item with its bytes.
type Compiled<'a> = (&'a Entry, &'a [u8]);

/// Writes one answer.
pub struct Writer<'a> {
    bytes: Vec<u8>,
    lang: Lang,
    /// What comes before the token in a link.
    open_prefix: &'a str,
}

// Numbers of the fields that are written by hand; a test reads them back.
const LABEL: u32 = 3;
const TAP_TOKEN: u32 = 6;
const OPEN_URI: u32 = 7;
const MENU_ITEMS: u32 = 1;
const RESULTS: u32 = 1;
const NOTE: u32 = 1;
const CAPSULE_ITEM: u32 = 2;

/// What stands beside an item or a note, at most: heads, a note's name, the time.
const ADDED: usize = 128;

/// Appends an item's bytes, but for what a call adds.
pub fn compile(item: &Item<'_>, bytes: &mut Vec<u8>) {
    let icon = match item.kind {
        ContactKind::Wecom => "wecom",
        ContactKind::Phone => "phone",
        ContactKind::WechatId => "wechat",
    };
    let item = pb::Item {
        placement: item.placement.to_string(),
        kind: kind(item.kind).into(),
        label: item.label.to_owned(),
        preview: item.preview.to_owned(),
        icon: icon.to_owned(),
        tap_token: String::new(),
        open_uri: String::new(),
        display_name: item.display_name.to_owned(),
        headline: item.headline.to_owned(),
        avatar_uri: item.avatar_uri.to_owned(),
    };
    item.encode_raw(bytes);
}

impl<'a> Writer<'a> {
    pub fn new(lang: Lang, open_prefix: &'a str) -> Self {
        Self {
            bytes: Vec::new(),
            lang,
            open_prefix,
        }
    }

    pub fn menu(mut self, menu: Served<Menu>) -> Encoded {
        let Menu { shown, version } = menu.what;
        let mut rest = pb::GetChatMenuResponse {
            valid_until: Some(timestamp(menu.validity.until)),
            version,
            ..Default::default()
        };
        match &shown {
            None => rest.not_modified = true,
            Some(Shown::Absent(reason)) => rest.absence = Some(absence(*reason)),
            Some(Shown::Items(kept, _)) => {
                let items = kept.value.items();
                let sizes = items.map(|item| ADDED + self.len(item));
                self.bytes.reserve(sizes.sum());
                for (item, token) in kept.value.items().zip(&menu.tokens) {
                    self.item(MENU_ITEMS, item, token);
                }
            }
        }
        self.end(&rest)
    }

    /// `notes` as they were asked.
    pub fn capsules<'n>(
        mut self,
        notes: impl IntoIterator<Item = &'n str>,
        capsules: &Served<Vec<Shown<Kept<Snapshot>>>>,
    ) -> Encoded {
        let shown = &capsules.what;
        let sizes = shown.iter().map(|shown| ADDED + self.capsule_len(shown));
        self.bytes.reserve(sizes.sum());
        let mut tokens = capsules.tokens.iter();
        for (note, shown) in notes.into_iter().zip(shown) {
            let outcome = self.capsule_len(shown);
            self.open(RESULTS, nested_len(NOTE, note.len()) + outcome);
            self.put(NOTE, note.as_bytes());
            match shown {
                Shown::Items(capsule, _) => {
                    let first = capsule.value.items().next();
                    if let Some((item, token)) = first.zip(tokens.next()) {
                        self.item(CAPSULE_ITEM, item, token);
                    }
                }
                Shown::Absent(reason) => absent(*reason).encode(&mut self.bytes),
            }
        }
        self.end(&pb::BatchGetNoteCapsulesResponse {
            valid_until: Some(timestamp(capsules.validity.until)),
            ..Default::default()
        })
    }

    /// An item as a message, for answers that are not written here.
    pub fn message(mut self, item: Compiled<'_>, token: &Token) -> Result<pb::Item, DecodeError> {
        self.fields(item, token);
        pb::Item::decode(&*self.bytes)
    }

    fn item(&mut self, field: u32, item: Compiled<'_>, token: &Token) {
        self.open(field, self.len(item));
        self.fields(item, token);
    }

    fn fields(&mut self, (entry, bytes): Compiled<'_>, token: &Token) {
        self.bytes.put_slice(bytes);
        if !entry.labeled {
            self.put(LABEL, self.lang.label(entry.kind).as_bytes());
        }
        self.put(TAP_TOKEN, token);
        self.open(OPEN_URI, self.open_prefix.len() + token.len());
        self.bytes.put_slice(self.open_prefix.as_bytes());
        self.bytes.put_slice(token);
    }

    /// What [`Self::fields`] writes.
    fn len(&self, (entry, bytes): Compiled<'_>) -> usize {
        let label = match entry.labeled {
            true => 0,
            false => nested_len(LABEL, self.lang.label(entry.kind).len()),
        };
        let token = size_of::<Token>();
        let uri = nested_len(OPEN_URI, self.open_prefix.len() + token);
        bytes.len() + label + nested_len(TAP_TOKEN, token) + uri
    }

    /// What stands behind the note.
    fn capsule_len(&self, shown: &Shown<Kept<Snapshot>>) -> usize {
        match shown {
            Shown::Items(capsule, _) => {
                let first = capsule.value.items().next();
                first.map_or(0, |item| nested_len(CAPSULE_ITEM, self.len(item)))
            }
            Shown::Absent(reason) => absent(*reason).encoded_len(),
        }
    }

    /// Begins a field of so many bytes.
    fn open(&mut self, field: u32, len: usize) {
        encode_key(field, WireType::LengthDelimited, &mut self.bytes);
        encode_varint(len as u64, &mut self.bytes);
    }

    fn put(&mut self, field: u32, value: &[u8]) {
        self.open(field, value.len());
        self.bytes.put_slice(value);
    }

    /// One message behind another is both.
    fn end(mut self, rest: &impl Message) -> Encoded {
        rest.encode_raw(&mut self.bytes);
        Encoded(self.bytes)
    }
}

fn absent(reason: Reason) -> pb::note_capsule_result::Outcome {
    pb::note_capsule_result::Outcome::Absence(absence(reason))
}

/// A field with so many bytes in it, with its head.
fn nested_len(field: u32, len: usize) -> usize {
    key_len(field) + encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests;
