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
    app::{Menu, Shown},
    domain::{ContactKind, Lang, Micros, Reason},
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

/// What items of one answer have in common.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    pub lang: Lang,
    /// What comes before the token in a link.
    pub open_prefix: &'a str,
}

// Numbers of the fields that are written by hand; a test reads them back.
const LABEL: u32 = 3;
const TAP_TOKEN: u32 = 6;
const OPEN_URI: u32 = 7;
const MENU_ITEMS: u32 = 1;
const RESULTS: u32 = 1;
const NOTE: u32 = 1;
const CAPSULE_ITEM: u32 = 2;

/// What a call adds to an item, at most, and a little more.
const ADDED: usize = 256;

/// An item's bytes, but for what a call adds.
pub fn compile(item: &Item<'_>) -> Box<[u8]> {
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
    item.encode_to_vec().into()
}

impl Writer<'_> {
    pub fn menu(self, menu: &Menu) -> Encoded {
        let mut bytes = Vec::new();
        let mut rest = pb::GetChatMenuResponse {
            valid_until: Some(timestamp(menu.validity.until)),
            version: menu.version.clone(),
            ..Default::default()
        };
        match &menu.shown {
            None => rest.not_modified = true,
            Some(Shown::Absent(reason)) => rest.absence = Some(absence(*reason)),
            Some(Shown::Items(menu, tokens)) => {
                let snapshot = &menu.value;
                bytes.reserve(self.most(snapshot) + ADDED);
                for (entry, token) in snapshot.entries.iter().zip(tokens) {
                    self.item(&mut bytes, MENU_ITEMS, entry, token);
                }
            }
        }
        // One message behind another is both.
        rest.encode_raw(&mut bytes);
        Encoded(bytes)
    }

    /// `notes` as they were asked.
    pub fn capsules<'a>(
        self,
        notes: impl IntoIterator<Item = &'a str>,
        shown: &[Shown<Kept<Snapshot>>],
        valid_until: Micros,
    ) -> Encoded {
        let sizes = shown.iter().map(|shown| match shown {
            Shown::Items(capsule, _) => self.most(&capsule.value) + ADDED / 2,
            Shown::Absent(_) => ADDED / 2,
        });
        let mut bytes = Vec::with_capacity(sizes.sum());
        for (note, shown) in notes.into_iter().zip(shown) {
            match shown {
                Shown::Items(capsule, tokens) => {
                    let first = capsule.value.entries.first().zip(tokens.first());
                    self.capsule(&mut bytes, note, first);
                }
                Shown::Absent(reason) => no_capsule(&mut bytes, note, *reason),
            }
        }
        let rest = pb::BatchGetNoteCapsulesResponse {
            valid_until: Some(timestamp(valid_until)),
            ..Default::default()
        };
        rest.encode_raw(&mut bytes);
        Encoded(bytes)
    }

    /// An item as a message, for answers that are not written here.
    pub fn message(self, entry: &Entry, token: &Token) -> Result<pb::Item, DecodeError> {
        let mut bytes = Vec::new();
        self.fields(&mut bytes, entry, token);
        pb::Item::decode(&*bytes)
    }

    fn capsule(self, bytes: &mut Vec<u8>, note: &str, item: Option<(&Entry, &Token)>) {
        let item_len = item.map_or(0, |(entry, _)| nested_len(CAPSULE_ITEM, self.len(entry)));
        open(bytes, RESULTS, nested_len(NOTE, note.len()) + item_len);
        put(bytes, NOTE, note.as_bytes());
        if let Some((entry, token)) = item {
            self.item(bytes, CAPSULE_ITEM, entry, token);
        }
    }

    fn item(self, bytes: &mut Vec<u8>, field: u32, entry: &Entry, token: &Token) {
        open(bytes, field, self.len(entry));
        self.fields(bytes, entry, token);
    }

    fn fields(self, bytes: &mut Vec<u8>, entry: &Entry, token: &Token) {
        bytes.put_slice(&entry.bytes);
        if !entry.labeled {
            put(bytes, LABEL, self.lang.label(entry.kind).as_bytes());
        }
        put(bytes, TAP_TOKEN, token);
        open(bytes, OPEN_URI, self.open_prefix.len() + token.len());
        bytes.put_slice(self.open_prefix.as_bytes());
        bytes.put_slice(token);
    }

    /// What [`Self::fields`] writes.
    fn len(self, entry: &Entry) -> usize {
        let label = match entry.labeled {
            true => 0,
            false => nested_len(LABEL, self.lang.label(entry.kind).len()),
        };
        let token = size_of::<Token>();
        let uri = nested_len(OPEN_URI, self.open_prefix.len() + token);
        entry.bytes.len() + label + nested_len(TAP_TOKEN, token) + uri
    }

    fn most(self, snapshot: &Snapshot) -> usize {
        let of = |entry: &Entry| self.len(entry) + ADDED / 16;
        snapshot.entries.iter().map(of).sum()
    }
}

fn no_capsule(bytes: &mut Vec<u8>, note: &str, reason: Reason) {
    use pb::note_capsule_result::Outcome;
    let absence = Outcome::Absence(absence(reason));
    open(
        bytes,
        RESULTS,
        nested_len(NOTE, note.len()) + absence.encoded_len(),
    );
    put(bytes, NOTE, note.as_bytes());
    absence.encode(bytes);
}

/// Begins a field of so many bytes.
fn open(bytes: &mut Vec<u8>, field: u32, len: usize) {
    encode_key(field, WireType::LengthDelimited, bytes);
    encode_varint(len as u64, bytes);
}

fn put(bytes: &mut Vec<u8>, field: u32, value: &[u8]) {
    open(bytes, field, value.len());
    bytes.put_slice(value);
}

/// A field with so many bytes in it, with its head.
fn nested_len(field: u32, len: usize) -> usize {
    key_len(field) + encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests;
