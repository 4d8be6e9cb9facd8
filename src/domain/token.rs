//! What a tap token says, in 31 bytes. Sealed with a key id and a synthetic IV (`keys`) it
//! is 48 bytes, so exactly 64 characters, and fits WeCom's `customer_channel`.

use std::{ops::Range, time::Duration};

use super::{ContactKind, Micros};

/// Bytes of the plaintext.
pub const LEN: usize = 31;
/// Characters of the sealed token.
pub const TEXT_LEN: usize = 64;
const LAYOUT: u8 = 1;

/// What a tap token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapToken {
    /// The store's number of the placement, below 2^48.
    pub placement_no: i64,
    pub kind: ContactKind,
    /// Whole seconds since the epoch, as 32 bits: until 2106.
    pub issued: u32,
    pub origin: Origin,
    /// Makes two taps of one viewer in one second two tokens.
    pub nonce: [u8; 8],
}

/// Where the token was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In an item, to the viewer with this keyed hash, in this arm of an experiment.
    Served { viewer: u64, arm: u8 },
    /// As a stored link, with this number.
    Link { no: i64 },
}

impl TapToken {
    /// Layout, kind and origin (2 bytes), placement (6), issue (4), viewer or link (8),
    /// arm (1), nonce (8), zeros (2).
    pub fn encode(&self) -> [u8; LEN] {
        let (origin, subject, arm) = match self.origin {
            Origin::Served { viewer, arm } => (0u8, viewer.to_be_bytes(), arm),
            Origin::Link { no } => (1, no.to_be_bytes(), 0),
        };
        let mut out = [0; LEN];
        out[0] = LAYOUT;
        out[1] = (self.kind as u8) << 4 | origin;
        out[2..8].copy_from_slice(&self.placement_no.to_be_bytes()[2..]);
        out[8..12].copy_from_slice(&self.issued.to_be_bytes());
        out[12..20].copy_from_slice(&subject);
        out[20] = arm;
        out[21..29].copy_from_slice(&self.nonce);
        out
    }

    /// `None` for a layout that this version does not know.
    pub fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        if bytes[0] != LAYOUT || bytes[29..] != [0, 0] {
            return None;
        }
        let mut placement = [0; 8];
        placement[2..].copy_from_slice(&bytes[2..8]);
        let subject: [u8; 8] = bytes[12..20].try_into().ok()?;
        Some(Self {
            placement_no: i64::from_be_bytes(placement),
            kind: ContactKind::from_number(bytes[1] >> 4)?,
            issued: u32::from_be_bytes(bytes[8..12].try_into().ok()?),
            origin: match bytes[1] & 0xf {
                0 => Origin::Served {
                    viewer: u64::from_be_bytes(subject),
                    arm: bytes[20],
                },
                1 => Origin::Link {
                    no: i64::from_be_bytes(subject),
                },
                _ => return None,
            },
            nonce: bytes[21..29].try_into().ok()?,
        })
    }

    pub fn issue_time(&self) -> Micros {
        Micros::from_seconds(self.issued.into())
    }

    /// When a served token stops to open; a link's row has its own.
    pub fn served_until(&self, ttl: Duration) -> Micros {
        self.issue_time() + ttl
    }
}

/// The issue field of a token made now.
pub fn issued(now: Micros) -> u32 {
    u32::try_from(now.seconds()).unwrap_or(if now.0 < 0 { 0 } else { u32::MAX })
}

/// What has the form of a sealed token in a text: each run of exactly [`TEXT_LEN`] of
/// `[0-9A-Za-z_-]`, with its place in code points; also right behind an escape such as `%3D`.
/// Whether one is a token, its keys say.
pub fn runs(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let (mut run, mut points) = (0, 0);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
            run += 1;
        } else {
            if run == TEXT_LEN + 2 && ends_in_escape(&text[..at - TEXT_LEN]) {
                run = TEXT_LEN;
            }
            if run == TEXT_LEN {
                found.push((points - run..points, &text[at - run..at]));
            }
            run = 0;
        }
        points += 1;
    }
    found
}

fn ends_in_escape(text: &str) -> bool {
    let hex = text.trim_end_matches(|c: char| c.is_ascii_hexdigit());
    hex.ends_with('%') && text.len() - hex.len() == 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> impl Strategy<Value = Origin> {
        prop_oneof![
            (any::<u64>(), any::<u8>()).prop_map(|(viewer, arm)| Origin::Served { viewer, arm }),
            (0..i64::MAX).prop_map(|no| Origin::Link { no }),
        ]
    }

    proptest! {
        #[test]
        fn a_token_reads_back_as_written(
            placement_no in 0..1i64 << 48,
            kind in 1u8..=3,
            issued in any::<u32>(),
            origin in origin(),
            nonce in any::<[u8; 8]>(),
        ) {
            let kind = ContactKind::from_number(kind).unwrap();
            let token = TapToken { placement_no, kind, issued, origin, nonce };
            prop_assert_eq!(TapToken::decode(&token.encode()), Some(token));
        }

        #[test]
        fn any_bytes_decode_or_do_not(bytes in any::<[u8; LEN]>()) {
            if let Some(token) = TapToken::decode(&bytes) {
                prop_assert_eq!(TapToken::decode(&token.encode()), Some(token));
            }
        }
    }

    #[test]
    fn runs_have_exactly_the_length_of_a_token() {
        let token = "aZ9_-".repeat(13)[..64].to_owned();
        let text = format!("看https://x.cn/t/{token}?a={token}x {token}");
        let found: Vec<_> = runs(&text)
            .into_iter()
            .map(|(span, run)| (span.start, run.to_owned()))
            .collect();
        assert_eq!(found, [(16, token.clone()), (149, token.clone())]);
        let escaped = format!("x%3D{token} xx3D{token} x%zz{token} %{token}");
        let found: Vec<_> = runs(&escaped).into_iter().map(|(span, _)| span).collect();
        assert_eq!(found, [4..68, 208..272]);
    }
}
