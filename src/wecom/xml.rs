//! Reads XML as WeCom sends it: flat, small, without a DTD. What is more than that is refused
//! before anything is made of it.

use quick_xml::{Reader, de, events::Event};
use serde::de::DeserializeOwned;

/// The largest document, in bytes.
pub const MAX_XML: usize = 64 * 1024;
/// Elements within elements; WeCom's own go to 2.
const MAX_DEPTH: u32 = 8;
/// Tags, texts and the like in all; WeCom's own have fewer than a hundred. Small ones cost many
/// times their bytes.
const MAX_EVENTS: usize = 256;

/// Not what WeCom sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a document of WeCom's")]
pub struct Malformed;

/// What the document's root holds; fields that `T` does not know are passed over.
pub fn read<T: DeserializeOwned>(document: &[u8]) -> Result<T, Malformed> {
    if document.len() > MAX_XML {
        return Err(Malformed);
    }
    let text = std::str::from_utf8(document).map_err(|_| Malformed)?;
    if !is_plain(text) {
        return Err(Malformed);
    }
    de::from_str(text).map_err(|_| Malformed)
}

/// Whether this is one element with others and text in it, not many and of no great depth, that
/// names nothing which stands elsewhere.
fn is_plain(text: &str) -> bool {
    let mut reader = Reader::from_str(text);
    let (mut depth, mut roots) = (0_u32, 0_u32);
    for _ in 0..=MAX_EVENTS {
        match reader.read_event() {
            Ok(Event::Start(_)) => {
                roots += u32::from(depth == 0);
                depth += 1;
            }
            Ok(Event::Empty(_)) => roots += u32::from(depth == 0),
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::GeneralRef(name)) if !is_predefined(&name) => return false,
            Ok(Event::DocType(_) | Event::PI(_)) | Err(_) => return false,
            Ok(Event::Eof) => return depth == 0 && roots == 1,
            Ok(_) => {}
        }
        if depth > MAX_DEPTH || roots > 1 {
            return false;
        }
    }
    false
}

/// The five entities that need no DTD, and characters by number.
fn is_predefined(name: &str) -> bool {
    matches!(name, "lt" | "gt" | "amp" | "apos" | "quot") || name.starts_with('#')
}
