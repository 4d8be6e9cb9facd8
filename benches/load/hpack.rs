//! As much of HPACK (RFC 7541) as it takes to ask the same thing many times and to see
//! `grpc-status` in the answers: what is asked is sent in full once a connection and then as
//! indexes, as gRPC clients in Go, Java and C++ do; what is answered is looked through, not kept.

use std::collections::VecDeque;

const STATIC_ENTRIES: usize = 61;
const GRPC_STATUS: &[u8] = b"grpc-status";
/// The same in Huffman's code.
const GRPC_STATUS_CODED: [u8; 8] = [0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f];
/// `0` and the same in Huffman's code.
const OK: [u8; 2] = [b'0', 0x07];

/// The fields of a request, in the order they are sent.
#[derive(Clone)]
pub struct Fields {
    /// Puts each into the peer's table.
    pub first: Vec<u8>,
    /// Names them there.
    pub again: Vec<u8>,
}

impl Fields {
    pub fn of_call(authority: &str, path: &str, bearer: Option<&str>) -> Self {
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        // Index of the name in the static table, or the name itself.
        let mut fields: Vec<(Result<u8, &str>, &str)> = vec![
            (Ok(4), path),
            (Ok(1), authority),
            (Ok(31), "application/grpc"),
            (Err("te"), "trailers"),
            (Err("grpc-timeout"), "10S"),
            (Ok(58), "grpc-load/1"),
        ];
        fields.extend(bearer.as_deref().map(|bearer| (Ok(23), bearer)));
        // `:method POST` and `:scheme http` are in the static table.
        let (mut first, mut again) = (vec![0x83, 0x86], vec![0x83, 0x86]);
        let count = fields.len();
        for (n, (name, value)) in fields.into_iter().enumerate() {
            match name {
                Ok(index) => first.push(0x40 | index),
                Err(name) => {
                    first.push(0x40);
                    text(&mut first, name);
                }
            }
            text(&mut first, value);
            again.push(0x80 | u8::try_from(STATIC_ENTRIES + count - n).unwrap());
        }
        Self { first, again }
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    let mut left = text.len();
    if left < 127 {
        out.push(u8::try_from(left).unwrap());
    } else {
        out.push(127);
        left -= 127;
        while left >= 128 {
            out.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        out.push(u8::try_from(left).unwrap());
    }
    out.extend_from_slice(text.as_bytes());
}

/// What matters of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Status { ok: bool },
    Other,
}

/// The table that answers refer to, newest first. Nothing is ever taken out: who writes names no
/// entry that the reader must have dropped.
#[derive(Default)]
pub struct Table(VecDeque<Entry>);

/// More entries than 4 KiB of the peer's table can hold.
const MOST: usize = 128;

impl Table {
    /// Reads a block of fields: whether `grpc-status` is in it, and is 0.
    pub fn read(&mut self, block: &[u8]) -> Option<bool> {
        let (mut at, mut found) = (0, None);
        while at < block.len() {
            let byte = block[at];
            let entry = if byte & 0x80 != 0 {
                let index = integer(block, &mut at, 7);
                self.entry(index)
            } else if byte & 0xe0 == 0x20 {
                integer(block, &mut at, 5);
                continue;
            } else if byte & 0x40 != 0 {
                let entry = self.literal(block, &mut at, 6);
                self.0.push_front(entry);
                self.0.truncate(MOST);
                entry
            } else {
                self.literal(block, &mut at, 4)
            };
            if let Entry::Status { ok } = entry {
                found = Some(ok);
            }
        }
        found
    }

    fn literal(&self, block: &[u8], at: &mut usize, prefix: u8) -> Entry {
        let name = integer(block, at, prefix);
        let status = if name == 0 {
            let name = string(block, at);
            name == GRPC_STATUS || name == GRPC_STATUS_CODED
        } else {
            self.entry(name) != Entry::Other
        };
        let value = string(block, at);
        match status {
            true => Entry::Status {
                ok: value.len() == 1 && OK.contains(&value[0]),
            },
            false => Entry::Other,
        }
    }

    fn entry(&self, index: usize) -> Entry {
        let dynamic = index.checked_sub(STATIC_ENTRIES + 1);
        dynamic.map_or(Entry::Other, |n| self.0[n])
    }
}

fn integer(block: &[u8], at: &mut usize, prefix: u8) -> usize {
    let most = (1usize << prefix) - 1;
    let mut value = usize::from(block[*at]) & most;
    *at += 1;
    let mut shift = 0;
    while value >= most {
        let byte = block[*at];
        *at += 1;
        value += usize::from(byte & 127) << shift;
        shift += 7;
        if byte & 128 == 0 {
            break;
        }
    }
    value
}

fn string<'a>(block: &'a [u8], at: &mut usize) -> &'a [u8] {
    let length = integer(block, at, 7);
    *at += length;
    &block[*at - length..*at]
}
