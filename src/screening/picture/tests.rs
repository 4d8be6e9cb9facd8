use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgba, RgbaImage, imageops};
use proptest::prelude::*;
use qrcode::{Color, EcLevel, QrCode};

use super::*;

mod hostile;

const SAYS: &str = "https://u.wechat.com/kAtR2mWnP6uGz";

/// A code of black on white, each module `module` pixels wide.
fn drawn(text: &str, module: u32, margin: u32) -> GrayImage {
    let code = QrCode::with_error_correction_level(text, EcLevel::Q).unwrap();
    let (size, colors) = (code.width() as u32, code.to_colors());
    let side = (size + 2 * margin) * module;
    GrayImage::from_fn(side, side, |x, y| {
        let at = |v: u32| (v / module).checked_sub(margin).filter(|v| *v < size);
        let dark = at(x)
            .zip(at(y))
            .map(|(x, y)| colors[(y * size + x) as usize]);
        Luma([if dark == Some(Color::Dark) { 0 } else { 255 }])
    })
}

fn code() -> GrayImage {
    drawn(SAYS, 5, 4)
}

fn file(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
    file(picture, ImageFormat::Png)
}

fn read(bytes: &[u8]) -> Vec<String> {
    let codes = codes(bytes, Limits::default()).unwrap();
    codes.into_iter().map(|code| code.content).collect()
}

#[track_caller]
fn assert_read(picture: impl Into<DynamicImage>) {
    assert_eq!(read(&png(picture)), [SAYS]);
}

/// Noise that is the same at each run.
fn noise() -> impl FnMut() -> u8 {
    let mut state = 1_u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    }
}

/// A page of `side` pixels, on which `from` says what point of the picture lies where.
fn bent(picture: &GrayImage, side: u32, from: impl Fn(f32, f32) -> (f32, f32)) -> GrayImage {
    GrayImage::from_fn(side, side, |x, y| {
        let (u, v) = from(x as f32, y as f32);
        imageops::interpolate_bilinear(picture, u, v).unwrap_or(Luma([170]))
    })
}

#[test]
fn each_format_is_told_by_its_bytes() {
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        assert_eq!(read(&file(code(), format)), [SAYS]);
    }
    let rgb = DynamicImage::from(code()).into_rgb8();
    assert_eq!(read(&file(rgb, ImageFormat::Jpeg)), [SAYS]);
}

#[test]
fn several_codes_are_read_and_each_content_once() {
    let mut page = GrayImage::from_pixel(520, 520, Luma([255]));
    for (i, text) in ["one", "two", "two", "three"].into_iter().enumerate() {
        let (x, y) = (i as i64 % 2 * 260, i as i64 / 2 * 260);
        imageops::overlay(&mut page, &drawn(text, 5, 4), x, y);
    }
    assert_eq!(read(&png(page)), ["one", "three", "two"]);
}

#[test]
fn no_more_than_sixteen_codes_are_told() {
    let mut page = GrayImage::from_pixel(480, 480, Luma([255]));
    for i in 0..25 {
        let patch = drawn(&format!("code {i}"), 3, 4);
        imageops::overlay(&mut page, &patch, i % 5 * 92, i / 5 * 92);
    }
    assert_eq!(read(&png(page)).len(), 16);
}

#[test]
fn a_code_may_be_turned_by_any_angle() {
    let code = drawn(SAYS, 4, 4);
    let middle = code.width() as f32 / 2.0;
    for degrees in [33.0_f32, 45.0, 161.0] {
        let (sin, cos) = degrees.to_radians().sin_cos();
        assert_read(bent(&code, 250, |x, y| {
            let (x, y) = (x - 125.0, y - 125.0);
            (x * cos - y * sin + middle, x * sin + y * cos + middle)
        }));
    }
}

#[test]
fn a_code_may_be_seen_from_the_side() {
    assert_read(bent(&drawn(SAYS, 6, 4), 400, |x, y| {
        let depth = 1.0 + 0.0012 * x - 0.0004 * y;
        ((x - 30.0) / depth, (y - 40.0 + 0.1 * x) / depth)
    }));
}

#[test]
fn a_code_may_be_mirrored() {
    assert_read(imageops::flip_horizontal(&code()));
}

#[test]
fn a_code_may_be_small_or_large() {
    assert_read(imageops::thumbnail(&drawn(SAYS, 8, 4), 51, 51));
    assert_read(drawn(SAYS, 15, 4));
}

#[test]
fn a_code_may_be_faint() {
    let mut page = code();
    page.pixels_mut()
        .for_each(|pixel| pixel.0[0] = 180 + pixel.0[0] / 16);
    assert_read(page);
}

#[test]
fn a_code_may_be_light_on_dark() {
    let mut page = code();
    imageops::invert(&mut page);
    assert_read(page);
}

#[test]
fn a_code_may_be_badly_compressed() {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 20);
    drawn(SAYS, 3, 4).write_with_encoder(encoder).unwrap();
    assert_eq!(read(&bytes), [SAYS]);
}

#[test]
fn a_logo_may_cover_the_middle() {
    let mut page = code();
    let side = page.width() / 5;
    let at = i64::from((page.width() - side) / 2);
    imageops::overlay(
        &mut page,
        &GrayImage::from_pixel(side, side, Luma([90])),
        at,
        at,
    );
    assert_read(page);
}

#[test]
fn the_modules_may_be_dots() {
    let code = drawn(SAYS, 10, 4);
    let dots = GrayImage::from_fn(code.width(), code.height(), |x, y| {
        let (dx, dy) = (x % 10 * 2, y % 10 * 2);
        let inside = dx.abs_diff(9).pow(2) + dy.abs_diff(9).pow(2) < 25;
        if inside {
            *code.get_pixel(x, y)
        } else {
            Luma([255])
        }
    });
    assert_read(dots);
}

#[test]
fn a_code_needs_no_margin() {
    let bare = drawn(SAYS, 6, 0);
    assert_read(bare.clone());
    for dark in [20, 80] {
        let mut page = GrayImage::from_pixel(300, 300, Luma([dark]));
        imageops::overlay(&mut page, &bare, 50, 40);
        assert_read(page);
    }
}

#[test]
fn a_code_may_be_blurred_or_noisy() {
    assert_read(imageops::blur(&code(), 2.5));
    let (mut page, mut noise) = (drawn(SAYS, 7, 4), noise());
    page.pixels_mut()
        .for_each(|pixel| pixel.0[0] = pixel.0[0] / 4 + noise() / 4 * 3);
    assert_read(page);
}

/// Half of the page lies in the dark, and the shadow's edge crosses the code.
#[test]
fn a_shadow_may_fall_on_a_code() {
    let mut page = code();
    for (x, y, pixel) in page.enumerate_pixels_mut() {
        pixel.0[0] = if x + y / 3 < 120 {
            pixel.0[0] / 4
        } else {
            pixel.0[0]
        };
    }
    assert_read(page);
}

#[test]
fn what_one_sees_through_is_read_on_light_and_on_dark_pages() {
    for color in [0, 255] {
        let code = code();
        assert_read(RgbaImage::from_fn(code.width(), code.height(), |x, y| {
            Rgba([color, color, color, 255 - code.get_pixel(x, y).0[0]])
        }));
    }
}

/// What is plain to see may be there to be found instead of the other.
#[test]
fn a_hidden_code_is_found_beside_a_plain_one() {
    let mut page = GrayImage::from_pixel(520, 260, Luma([255]));
    imageops::overlay(&mut page, &drawn("plain", 5, 4), 0, 0);
    let mut hidden = drawn("hidden", 5, 4);
    hidden
        .pixels_mut()
        .for_each(|pixel| pixel.0[0] = 250 - pixel.0[0] / 12);
    imageops::overlay(&mut page, &hidden, 260, 20);
    assert_eq!(read(&png(page)), ["hidden", "plain"]);
}

#[test]
fn chinese_is_read_as_it_was_written() {
    assert_eq!(
        read(&png(drawn("扫码添加微信，领取优惠", 5, 4))),
        ["扫码添加微信，领取优惠"]
    );
}

/// 1800 characters of Kanji mode, three bytes each as UTF-8.
#[test]
fn a_long_content_is_cut_between_characters() {
    let mut bits = qrcode::bits::Bits::new(qrcode::Version::Normal(40));
    bits.push_kanji_data(&[0x93, 0x5f].repeat(1800)).unwrap();
    bits.push_terminator(EcLevel::L).unwrap();
    let code = QrCode::with_bits(bits, EcLevel::L).unwrap();
    let (size, colors) = (code.width(), code.to_colors());
    let page = GrayImage::from_fn(3 * 177 + 30, 3 * 177 + 30, |x, y| {
        let at = |v: u32| (v as usize / 3).checked_sub(5).filter(|v| *v < size);
        let dark = at(x).zip(at(y)).map(|(x, y)| colors[y * size + x]);
        Luma([if dark == Some(Color::Dark) { 0 } else { 255 }])
    });
    assert_eq!(read(&png(page)), ["点".repeat(4096 / 3)]);
}

#[test]
fn a_code_of_nothing_is_none() {
    assert_eq!(read(&png(drawn("", 5, 4))), [""; 0]);
}

#[test]
fn nothing_is_found_where_nothing_is() {
    let mut noise = noise();
    let pages: [GrayImage; 4] = [
        GrayImage::from_pixel(100, 100, Luma([255])),
        GrayImage::from_fn(210, 210, |x, y| {
            Luma([if (x / 5 + y / 5) % 2 == 0 { 0 } else { 255 }])
        }),
        GrayImage::from_fn(210, 210, |x, y| {
            Luma([if (x / 4 * y / 4) % 3 == 0 { 0 } else { 255 }])
        }),
        GrayImage::from_fn(210, 210, |_, _| Luma([noise()])),
    ];
    for page in pages {
        assert_eq!(read(&png(page)), [""; 0]);
    }
}

/// A checksum that does not hold is no code: three finders stay, a third of the rest turns over.
#[test]
fn a_code_that_is_beyond_repair_is_none() {
    let (mut page, mut noise) = (code(), noise());
    for y in (65..145).step_by(5) {
        for x in (65..145).step_by(5) {
            let light = Luma([if noise() < 128 { 0 } else { 255 }]);
            imageops::overlay(&mut page, &GrayImage::from_pixel(5, 5, light), x, y);
        }
    }
    assert_eq!(read(&png(page)), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(codes(&bytes, Limits::default()).is_err());
    }

    /// A file with some of its bytes changed or its end cut off.
    #[test]
    fn a_damaged_file_says_nothing_else(
        format in prop::sample::select(&[ImageFormat::Png, ImageFormat::WebP, ImageFormat::Jpeg]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
    ) {
        let mut bytes = file(drawn(SAYS, 2, 2), format);
        for (at, byte) in changes {
            bytes[at.index(64)] = byte;
        }
        bytes.truncate(end.index(bytes.len() * 2).max(1));
        let limits = Limits { pixels: 10_000, ..Limits::default() };
        for code in codes(&bytes, limits).unwrap_or_default() {
            prop_assert_eq!(code.content, SAYS);
        }
    }
}
