//! Pictures that people send: which QR codes they show.
//!
//! PNG, JPEG and WebP, told by their first bytes. Of what moves, the picture that a viewer
//! without motion shows: an animated WebP's first frame, an APNG's still picture. A code counts
//! when its checksum holds. Nobody need mean well: what a picture may cost in memory and in
//! work is bounded before it is decoded, and does not depend on what it shows.
//!
//! Not read: Micro QR, WeChat's round mini-program codes, bar codes.

mod open;
mod read;
mod search;
#[cfg(test)]
mod tests;
mod threshold;

/// How large a picture may be; both are inclusive.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Width times height. Fewer where channels have 16 bits: four bytes a pixel.
    pub pixels: u32,
}

impl Default for Limits {
    /// 4 MiB and 24 megapixels.
    fn default() -> Self {
        Self {
            bytes: 4 << 20,
            pixels: 24_000_000,
        }
    }
}

/// A QR code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// What it says; 1 to 4096 bytes, the rest is cut off. Bytes of no known encoding are replaced.
    pub content: String,
}

/// Why a picture was not read. Holds nothing of what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error("must be at most {limit} bytes")]
    TooLarge { limit: usize },
    #[error("must be a PNG, JPEG or WebP picture")]
    NotAPicture,
    #[error("has {width} × {height} pixels: too many")]
    TooManyPixels { width: u32, height: u32 },
    #[error("is damaged, or stores more than its pixels need")]
    Broken,
}

/// The QR codes of a picture: each content once, at most 16.
///
/// Synchronous. At 24 megapixels: 150 MB, and about a second of one core for a photo, five for
/// the worst that can be made; so the caller runs few at a time, off the async threads.
pub fn codes(bytes: &[u8], limits: Limits) -> Result<Vec<Code>, PictureError> {
    let mut found = search::Found::default();
    for picture in open::open(bytes, limits)? {
        search::search(&picture, &mut found);
    }
    Ok(found.codes())
}
