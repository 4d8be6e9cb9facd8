//! From a file's bytes to gray pixels.

use std::io::Cursor;

use image::{
    DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Rgba, RgbaImage, imageops,
};

use super::{Limits, PictureError};

const FORMATS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];

/// Bytes of a pixel: four channels of eight bits.
const DEPTH: u64 = 4;

/// The picture in gray; twice where one sees through it, on white and on black.
pub fn open(bytes: &[u8], limits: Limits) -> Result<Vec<GrayImage>, PictureError> {
    let picture = decode(bytes, limits)?;
    if is_opaque(&picture) {
        return Ok(vec![picture.into_luma8()]);
    }
    let picture = picture.into_rgba8();
    Ok(vec![on(&picture, 255), on(&picture, 0)])
}

fn decode(bytes: &[u8], limits: Limits) -> Result<DynamicImage, PictureError> {
    if bytes.len() > limits.bytes {
        return Err(PictureError::TooLarge {
            limit: limits.bytes,
        });
    }
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| FORMATS.contains(format))
        .ok_or(PictureError::NotAPicture)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut own = image::Limits::no_limits();
    own.max_alloc = Some(u64::from(limits.pixels) * DEPTH);
    reader.limits(own);
    let decoder = reader.into_decoder().map_err(|_| PictureError::Broken)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels.into() || decoder.total_bytes() > u64::from(limits.pixels) * DEPTH {
        return Err(PictureError::TooManyPixels { width, height });
    }
    DynamicImage::from_decoder(decoder).map_err(|_| PictureError::Broken)
}

fn is_opaque(picture: &DynamicImage) -> bool {
    !picture.color().has_alpha()
}

fn on(picture: &RgbaImage, page: u8) -> GrayImage {
    let mut whole = RgbaImage::from_pixel(picture.width(), picture.height(), Rgba([page; 4]));
    imageops::overlay(&mut whole, picture, 0, 0);
    DynamicImage::from(whole).into_luma8()
}
