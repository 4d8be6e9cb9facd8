//! From gray to black and white.

use image::GrayImage;
use rxing::common::BitMatrix;

/// Each pixel's surroundings: the mean of the square that reaches `radius` to each side, as far
/// as the picture goes.
pub fn means(gray: &GrayImage, radius: usize) -> GrayImage {
    let (width, height) = (gray.width() as usize, gray.height() as usize);
    let rows: Vec<&[u8]> = gray.as_raw().chunks_exact(width).collect();
    let mut columns = vec![0; width];
    let mut means = Vec::with_capacity(width * height);
    let mut within = 0..0;
    for y in 0..height {
        slide(&mut within, y, radius, height, |row, enters| {
            for (sum, pixel) in columns.iter_mut().zip(rows[row]) {
                add(sum, (*pixel).into(), enters);
            }
        });
        mean_of_row(&columns, within.len(), radius, &mut means);
    }
    GrayImage::from_raw(gray.width(), gray.height(), means).unwrap_or_default()
}

/// `columns` are the sums of `rows` pixels each.
fn mean_of_row(columns: &[u32], rows: usize, radius: usize, means: &mut Vec<u8>) {
    let mut sum = 0;
    let mut within = 0..0;
    for x in 0..columns.len() {
        slide(&mut within, x, radius, columns.len(), |column, enters| {
            add(&mut sum, columns[column], enters);
        });
        means.push((sum / (within.len() * rows) as u32) as u8);
    }
}

/// Moves a window to `center`, and says what enters and leaves it.
fn slide(
    within: &mut std::ops::Range<usize>,
    center: usize,
    radius: usize,
    length: usize,
    mut change: impl FnMut(usize, bool),
) {
    while within.end < length.min(center + radius + 1) {
        change(within.end, true);
        within.end += 1;
    }
    while within.start < center.saturating_sub(radius) {
        change(within.start, false);
        within.start += 1;
    }
}

fn add(sum: &mut u32, value: u32, enters: bool) {
    if enters {
        *sum += value;
    } else {
        *sum -= value;
    }
}

/// What is darker than `percent` of its surroundings.
pub fn dark(gray: &GrayImage, means: &GrayImage, percent: u32) -> Option<BitMatrix> {
    let mut bits = BitMatrix::new(gray.width(), gray.height()).ok()?;
    for ((x, y, pixel), mean) in gray.enumerate_pixels().zip(means.pixels()) {
        if u32::from(pixel.0[0]) * 100 < u32::from(mean.0[0]) * percent {
            bits.set(x, y);
        }
    }
    Some(bits)
}
