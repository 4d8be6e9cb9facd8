//! Tokens by the hundred: AES-256-SIV (RFC 5297) as `aes_siv` does it, and opens it, but what
//! is the same for all tokens of a key is worked out once. That is most of the work.

use aes::{
    Aes256Enc, Block,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::domain::{TapToken, token};

/// A token's characters, of `[0-9A-Za-z_-]`.
pub type Token = [u8; token::TEXT_LEN];

/// Seals tokens with one key.
pub struct Sealer {
    id: u8,
    mac: Aes256Enc,
    counter: Aes256Enc,
    /// The second subkey of CMAC, for a last block that is filled up (RFC 4493, 2.3).
    subkey: Zeroizing<u128>,
    /// What S2V comes to before the plain text (RFC 5297, 2.4): the only header is the key's id.
    header: Zeroizing<u128>,
}

/// What fills up a block: a bit, behind the bytes that are there.
const FILL: u128 = 0x80;

impl Sealer {
    /// `id` stands before the token; half the key is for the MAC, the rest for the counter.
    #[expect(clippy::expect_used, reason = "32 bytes are a key of AES-256")]
    pub fn new(id: u8, key: &[u8; 64]) -> Self {
        let (mac, counter) = key.split_at(32);
        let [mac, counter] =
            [mac, counter].map(|key| Aes256Enc::new_from_slice(key).expect("length"));
        let first = double(encrypt(&mac, 0));
        let second = double(first);
        let of_zero = encrypt(&mac, first);
        let of_id = encrypt(&mac, (u128::from(id) << 120 | FILL << 112) ^ second);
        Self {
            id,
            mac,
            counter,
            subkey: second.into(),
            header: (double(of_zero) ^ of_id).into(),
        }
    }

    /// The tokens as they are handed out. Block by block side by side: processors are fast at that.
    pub fn seal(&self, tokens: impl Iterator<Item = TapToken>) -> Vec<Token> {
        let plain: Vec<_> = tokens.map(|token| blocks(&token.encode())).collect();

        // S2V mixes the header into the last 16 bytes, which begin a byte before the second block.
        let first = plain.iter().map(|[first, _]| first ^ *self.header >> 120);
        let chained = encrypt_all(&self.mac, first);
        let last = plain
            .iter()
            .map(|[_, last]| (last | FILL) ^ *self.header << 8);
        let last = last
            .zip(chained)
            .map(|(last, chained)| chained ^ last ^ *self.subkey);
        let tags: Vec<_> = encrypt_all(&self.mac, last).collect();

        // The counter begins at the tag, without the top bits of its last two words.
        let counters = tags.iter().map(|tag| tag & !(1 << 63 | 1 << 31));
        let counters = counters.flat_map(|counter| [counter, counter.wrapping_add(1)]);
        let stream: Vec<_> = encrypt_all(&self.counter, counters).collect();
        let stream = stream.as_chunks::<2>().0;

        let sealed = tags.iter().zip(plain).zip(stream);
        let sealed = sealed
            .map(|((tag, [first, last]), [one, two])| self.text(*tag, [first ^ one, last ^ two]));
        sealed.collect()
    }

    #[expect(clippy::expect_used, reason = "48 bytes are 64 characters")]
    fn text(&self, tag: u128, [first, last]: [u128; 2]) -> Token {
        let mut bytes = [0; 1 + 3 * 16];
        bytes[0] = self.id;
        bytes[1..17].copy_from_slice(&tag.to_be_bytes());
        bytes[17..33].copy_from_slice(&first.to_be_bytes());
        bytes[33..].copy_from_slice(&last.to_be_bytes());
        let mut text = [0; token::TEXT_LEN];
        URL_SAFE_NO_PAD
            .encode_slice(&bytes[..17 + token::LEN], &mut text)
            .expect("length");
        text
    }
}

/// A block, and another that lacks its last byte.
fn blocks(plain: &[u8; token::LEN]) -> [u128; 2] {
    let (first, rest) = plain.split_at(16);
    let mut blocks = [[0; 16]; 2];
    blocks[0].copy_from_slice(first);
    blocks[1][..15].copy_from_slice(rest);
    blocks.map(u128::from_be_bytes)
}

fn encrypt_all(key: &Aes256Enc, blocks: impl Iterator<Item = u128>) -> impl Iterator<Item = u128> {
    let mut blocks: Vec<_> = blocks
        .map(|block| Block::from(block.to_be_bytes()))
        .collect();
    key.encrypt_blocks(&mut blocks);
    let encrypted = blocks.into_iter();
    encrypted.map(|block| u128::from_be_bytes(block.into()))
}

fn encrypt(key: &Aes256Enc, block: u128) -> u128 {
    let mut block = Block::from(block.to_be_bytes());
    key.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// Multiplication by x in the field of CMAC (RFC 4493, 2.3).
fn double(block: u128) -> u128 {
    (block << 1) ^ ((block >> 127) * 0x87)
}
