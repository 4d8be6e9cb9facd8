//! Files made to cost: they are refused, or read at the price of any other.

use super::*;

/// A PNG of these chunks.
fn png_of(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        let body = [&kind[..], data].concat();
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(&body);
        bytes.extend(crc(&body).to_be_bytes());
    }
    bytes
}

/// CRC-32, as PNG's chunks end with.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

/// The head of a gray PNG of eight bits.
fn head(width: u32, height: u32) -> Vec<u8> {
    let [width, height] = [width, height].map(u32::to_be_bytes);
    [&width[..], &height, &[8, 0, 0, 0, 0]].concat()
}

/// Some kilobytes that inflate to 25 million zeros.
fn bomb() -> Vec<u8> {
    let large = png(GrayImage::new(5000, 5000));
    let from = large.windows(4).position(|kind| kind == b"IDAT").unwrap();
    let length: [u8; 4] = large[from - 4..from].try_into().unwrap();
    large[from + 4..][..u32::from_be_bytes(length) as usize].to_vec()
}

fn refusal(bytes: &[u8]) -> PictureError {
    codes(bytes, Limits::default()).unwrap_err()
}

#[test]
fn other_formats_are_refused() {
    for bytes in [
        &b""[..],
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
        b"BM\x3a\x00\x00\x00",
        b"\x00\x00\x00\x1cftypavif",
        b"RIFF\x00\x00\x00\x00WAVE",
    ] {
        assert_eq!(refusal(bytes), PictureError::NotAPicture, "{bytes:?}");
    }
}

#[test]
fn a_file_may_be_as_large_as_the_limit_and_no_larger() {
    let mut bytes = png(code());
    bytes.resize(4 << 20, 0);
    assert_eq!(read(&bytes), [SAYS]);
    bytes.push(0);
    assert_eq!(refusal(&bytes), PictureError::TooLarge { limit: 4 << 20 });
}

#[test]
fn a_picture_may_have_as_many_pixels_as_the_limit_and_no_more() {
    let bytes = png(GrayImage::new(100, 40));
    let limited = |pixels| {
        let bytes_and_pixels = Limits {
            pixels,
            ..Limits::default()
        };
        codes(&bytes, bytes_and_pixels)
    };
    assert_eq!(limited(4000), Ok(vec![]));
    let (width, height) = (100, 40);
    assert_eq!(
        limited(3999),
        Err(PictureError::TooManyPixels { width, height })
    );
}

/// Twice the memory a pixel.
#[test]
fn sixteen_bits_a_channel_count_twice() {
    let deep = image::ImageBuffer::<Rgba<u16>, _>::new(100, 40);
    let limited = |pixels| {
        codes(
            &png(deep.clone()),
            Limits {
                pixels,
                ..Limits::default()
            },
        )
    };
    assert_eq!(limited(8000), Ok(vec![]));
    let (width, height) = (100, 40);
    assert_eq!(
        limited(7999),
        Err(PictureError::TooManyPixels { width, height })
    );
}

#[test]
fn what_a_head_declares_is_not_allocated() {
    for side in [4_900, 60_000, 1_000_000] {
        let bytes = png_of(&[(b"IHDR", &head(side, side)), (b"IDAT", b""), (b"IEND", b"")]);
        let (width, height) = (side, side);
        assert_eq!(
            refusal(&bytes),
            PictureError::TooManyPixels { width, height }
        );
    }
}

#[test]
fn a_file_that_ends_early_is_broken() {
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let bytes = file(code(), format);
        for end in [16, 40, bytes.len() / 2] {
            assert_eq!(
                refusal(&bytes[..end]),
                PictureError::Broken,
                "{format:?} {end}"
            );
        }
    }
}

/// The pixels are there, and more of them than the head says, or a text of 25 megabytes.
#[test]
fn what_is_not_shown_is_not_unpacked() {
    let (head, bomb) = (head(100, 100), bomb());
    let text = [b"a\0\0", &bomb[..]].concat();
    for chunks in [
        vec![(b"IHDR", &head[..]), (b"IDAT", &bomb), (b"IEND", b"")],
        vec![
            (b"IHDR", &head),
            (b"zTXt", &text),
            (b"IDAT", &bomb),
            (b"IEND", b""),
        ],
        vec![
            (b"IHDR", &head),
            (b"iCCP", &text),
            (b"IDAT", &bomb),
            (b"IEND", b""),
        ],
    ] {
        let result = codes(&png_of(&chunks), Limits::default());
        assert!(
            matches!(&result, Ok(codes) if codes.is_empty()),
            "{result:?}"
        );
    }
}

/// A finder in every corner there is: their number, squared, would be the work.
#[test]
fn a_field_of_finders_is_given_up() {
    let field = GrayImage::from_fn(600, 600, |x, y| {
        let ring = (x % 8).abs_diff(3).max((y % 8).abs_diff(3));
        Luma([if matches!(ring, 0 | 1 | 3) { 0 } else { 255 }])
    });
    let means = threshold::means(&field, 40);
    let bits = threshold::dark(&field, &means, 100).unwrap();
    assert_eq!(read::finders(&bits).len(), read::MAX_FINDERS);
    assert_eq!(read::read(&bits), [""; 0]);
}

#[test]
fn sides_may_be_as_short_or_long_as_they_like() {
    for (width, height) in [(1, 1), (1, 3000), (3000, 1), (70_000, 2), (2, 70_000)] {
        assert_eq!(read(&png(GrayImage::new(width, height))), [""; 0]);
    }
}
