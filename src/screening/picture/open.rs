//! From a file's bytes to gray pixels.

use std::io::Cursor;

use image::{
    DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader, Luma, Pixel, RgbaImage,
};

use super::{Limits, PictureError};

const FORMATS: [ImageFormat; 3] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP];

/// Bytes of a pixel: four channels of eight bits.
const DEPTH: u64 = 4;

/// The picture in gray; twice where one sees through it, on white and on black.
pub fn open(bytes: &[u8], limits: Limits) -> Result<Vec<GrayImage>, PictureError> {
    let picture = decode(bytes, limits)?;
    if !picture.color().has_alpha() {
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

/// What one sees of the picture on a page of this gray.
fn on(picture: &RgbaImage, page: u32) -> GrayImage {
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        let pixel = picture.get_pixel(x, y);
        let alpha = u32::from(pixel.0[3]);
        let shown = u32::from(pixel.to_luma().0[0]) * alpha + page * (255 - alpha);
        Luma([(shown / 255) as u8])
    })
}
