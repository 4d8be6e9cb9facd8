//! Looking for codes in one gray picture: in several sizes, each turned black and white in
//! several ways, since what one loses another finds.

use std::collections::BTreeSet;

use image::{
    GrayImage,
    imageops::{self, FilterType},
};
use rxing::{
    common::{BitMatrix, DetectorRXingResult},
    qrcode::cpp_port::{
        decoder::Decode,
        detector::{FindFinderPatterns, FinderPatternSet, GenerateFinderPatternSets, SampleQR},
    },
};

use super::{Code, threshold};

const MAX_CODES: usize = 16;
const MAX_CONTENT: usize = 4096;

/// Of one black-and-white picture. A photo has tens, and not all belong to codes.
const MAX_FINDERS: usize = 500;
/// Places of one black-and-white picture where a code is tried, likely ones first.
const MAX_PLACES: usize = 2000;

/// A picture of fewer pixels is also tried at twice its size.
const SMALL: u32 = 1_000_000;
/// One of more is not looked at through the narrow window, whose finds a smaller size has too.
const LARGE: u32 = 4_000_000;
/// Pictures are made smaller so often, and no smaller than this in their longer side.
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
    fn is_full(&self) -> bool {
        self.0.len() >= MAX_CODES
    }

    /// A code of nothing is what a checkerboard may pass for.
    fn add(&mut self, mut content: String) {
        if !content.is_empty() && !self.is_full() {
            content.truncate(content.floor_char_boundary(MAX_CONTENT));
            self.0.insert(content);
        }
    }

    pub fn codes(self) -> Vec<Code> {
        self.0.into_iter().map(|content| Code { content }).collect()
    }
}

pub fn search(gray: GrayImage, found: &mut Found) {
    let (width, height) = gray.dimensions();
    if width * height <= SMALL {
        let twice = imageops::resize(&gray, width * 2, height * 2, FilterType::Triangle);
        look(twice, found);
    }
    for by in DIVISORS {
        if by > 1 && width.max(height) / by < SMALLEST {
            break;
        }
        let small = imageops::thumbnail(&gray, (width / by).max(1), (height / by).max(1));
        look(small, found);
    }
}

fn look(mut gray: GrayImage, found: &mut Found) {
    let (width, height) = gray.dimensions();
    let wide = (width.max(height) / WIDE) as usize;
    look_through(wide.max(NARROW), &PERCENTS, &mut gray, found);
    if width * height <= LARGE {
        let mut soft = threshold::means(&gray, 1);
        look_through(NARROW, &PERCENTS[..1], &mut soft, found);
    }
}

/// Dark on light and light on dark.
fn look_through(radius: usize, percents: &[u32], gray: &mut GrayImage, found: &mut Found) {
    let mut means = threshold::means(gray, radius);
    for _ in 0..2 {
        for percent in percents {
            if let Some(bits) = threshold::dark(gray, &means, *percent) {
                read(&bits, found);
            }
        }
        imageops::invert(gray);
        imageops::invert(&mut means);
    }
}

fn read(bits: &BitMatrix, found: &mut Found) {
    let mut finders = FindFinderPatterns(bits, true, 0);
    finders.truncate(MAX_FINDERS);
    let mut read = Vec::new();
    for place in GenerateFinderPatternSets(&mut finders)
        .iter()
        .take(MAX_PLACES)
    {
        let corners = [place.bl, place.tl, place.tr];
        if found.is_full() {
            return;
        }
        if corners.iter().any(|corner| read.contains(corner)) {
            continue;
        }
        if let Some(content) = content(bits, place) {
            found.add(content);
            read.extend(corners);
        }
    }
}

/// What a code at this place says, if there is one and its checksum holds.
fn content(bits: &BitMatrix, place: &FinderPatternSet) -> Option<String> {
    let sample = SampleQR(bits, place).ok()?;
    let code = Decode(sample.getBits()).ok()?;
    code.isValid().then(|| code.text())
}
