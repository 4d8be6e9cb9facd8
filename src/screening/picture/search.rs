//! Looking for codes in one gray picture: in several sizes, each turned black and white in
//! several ways, since what one loses another finds. All are tried, whatever was found: beside
//! a code that is plain to see another may hide.

use std::collections::BTreeSet;

use image::{
    GrayImage,
    imageops::{self, FilterType},
};

use super::{Code, read::read, threshold};

const MAX_CODES: usize = 16;
const MAX_CONTENT: usize = 4096;

/// A picture of fewer pixels is also tried at twice its size.
const SMALL: u32 = 1_000_000;
/// One of more is not looked at through the narrow window.
const LARGE: u32 = 4_000_000;
/// How many times smaller pictures are made, though no smaller than this in their longer side.
const DIVISORS: [u32; 8] = [1, 2, 3, 4, 6, 8, 12, 16];
const SMALLEST: u32 = 60;

/// The wide window spans an eighth of the longer side: a code's own light.
const WIDE: u32 = 16;
/// The narrow one, in pixels: blurred modules, and the edge of a shadow.
const NARROW: usize = 8;
/// What is dark, in percent of what is around. By the lower one a code stands out from a dark
/// page although it has no margin.
const PERCENTS: [u32; 2] = [100, 20];

/// What was found so far.
#[derive(Default)]
pub struct Found(BTreeSet<String>);

impl Found {
    fn add(&mut self, mut content: String) {
        if self.0.len() < MAX_CODES {
            content.truncate(content.floor_char_boundary(MAX_CONTENT));
            self.0.insert(content);
        }
    }

    pub fn codes(self) -> Vec<Code> {
        self.0.into_iter().map(|content| Code { content }).collect()
    }
}

pub fn search(gray: &GrayImage, found: &mut Found) {
    let (width, height) = gray.dimensions();
    if width * height <= SMALL {
        let twice = imageops::resize(gray, width * 2, height * 2, FilterType::Triangle);
        look(twice, found);
    }
    for by in DIVISORS {
        if by > 1 && width.max(height) / by < SMALLEST {
            break;
        }
        let small = imageops::thumbnail(gray, (width / by).max(1), (height / by).max(1));
        look(small, found);
    }
}

fn look(mut gray: GrayImage, found: &mut Found) {
    let (width, height) = gray.dimensions();
    let wide = (width.max(height) / WIDE) as usize;
    look_through(wide.max(NARROW), &PERCENTS, &mut gray, found);
    if width * height <= LARGE {
        // Softened, so that dots and grains join.
        let mut soft = threshold::means(&gray, 1);
        look_through(NARROW, &PERCENTS[..1], &mut soft, found);
    }
}

/// Dark on light and light on dark.
fn look_through(radius: usize, percents: &[u32], gray: &mut GrayImage, found: &mut Found) {
    let mut means = threshold::means(gray, radius);
    for _ in 0..2 {
        for percent in percents {
            let bits = threshold::dark(gray, &means, *percent);
            bits.iter()
                .flat_map(read)
                .for_each(|content| found.add(content));
        }
        imageops::invert(gray);
        imageops::invert(&mut means);
    }
}
