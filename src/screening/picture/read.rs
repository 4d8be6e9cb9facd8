//! Reading the codes of one black-and-white picture. The library's search for finders takes
//! time by the square of their number, so that a small file can hold it up for minutes; this
//! one stops at a number. The rest is the library's.

use rxing::{
    common::cpp_essentials::LocateConcentricPattern,
    common::{
        BitArray, BitMatrix, DetectorRXingResult, ECIStringBuilder,
        cpp_essentials::ConcentricPattern,
    },
    point,
    qrcode::cpp_port::{
        decoder::Decode,
        detector::{FinderPatternSet, GenerateFinderPatternSets, SampleQR},
    },
};

/// A photo has tens, and not all belong to codes.
pub(super) const MAX_FINDERS: usize = 500;
/// Places where a code is tried, likely ones first.
const MAX_PLACES: usize = 500;

/// Dark, light, dark, light and dark across the middle of a finder, in modules.
const FINDER: [u16; 5] = [1, 1, 3, 1, 1];
/// A finder's middle spans three modules, and a module at least one pixel.
const ROW_STEP: usize = 2;

/// What the codes say.
pub fn read(bits: &BitMatrix) -> Vec<String> {
    let mut done: Vec<ConcentricPattern> = Vec::new();
    let mut contents = Vec::new();
    for place in GenerateFinderPatternSets(&mut finders(bits))
        .iter()
        .take(MAX_PLACES)
    {
        let corners = [place.bl, place.tl, place.tr];
        if corners.iter().any(|corner| done.contains(corner)) {
            continue;
        }
        if let Some(content) = content(bits, place) {
            contents.push(content);
            done.extend(corners);
        }
    }
    contents
}

/// What a code at this place says, if there is one and its checksum holds. A code of nothing is
/// what a checkerboard may pass for.
fn content(bits: &BitMatrix, place: &FinderPatternSet) -> Option<String> {
    let sample = SampleQR(bits, place).ok()?;
    let code = Decode(sample.getBits()).ok()?;
    let content = text(code.content());
    (code.isValid() && !content.is_empty()).then_some(content)
}

/// The library reads each segment by itself, guesses its encoding and drops what it cannot
/// read; makers cut UTF-8 into segments wherever that is shorter.
fn text(content: &ECIStringBuilder) -> String {
    let bytes = content.bytes();
    let guess = || Some(content.to_string()).filter(|text| !text.is_empty());
    match str::from_utf8(bytes) {
        Ok(text) if !content.has_eci => text.into(),
        _ => guess().unwrap_or_else(|| String::from_utf8_lossy(bytes).into()),
    }
}

pub(super) fn finders(bits: &BitMatrix) -> Vec<ConcentricPattern> {
    let mut finders = Vec::new();
    for y in (0..bits.getHeight()).step_by(ROW_STEP) {
        for [left, right] in spans(&bits.getRow(y)) {
            if finders.len() == MAX_FINDERS {
                return finders;
            }
            finders.extend(finder(bits, [left, right], y, &finders));
        }
    }
    finders
}

/// The finder around the middle of what looks like one in row `y`, if none is known there.
fn finder(
    bits: &BitMatrix,
    [left, right]: [u32; 2],
    y: u32,
    known: &[ConcentricPattern],
) -> Option<ConcentricPattern> {
    let middle = point((left + right) as f32 / 2.0, y as f32 + 0.5);
    let is_known = |old: &ConcentricPattern| old.p.distance(middle) < old.size as f32 / 2.0;
    if known.iter().any(is_known) {
        return None;
    }
    // One seen at a slant is longer in another direction.
    let reach = 3 * (right - left);
    LocateConcentricPattern::<true, 5, 7>(bits, &FINDER, middle, reach as i32)
}

/// Where a row looks like the middle of a finder: first pixel, and the one behind the last.
fn spans(row: &BitArray) -> Vec<[u32; 2]> {
    let mut spans = Vec::new();
    // Dark begins, light begins, and so on: three runs of dark with two of light between.
    let mut edges = [0; 6];
    loop {
        let dark = row.getNextSet(edges[5]);
        if dark == row.get_size() {
            return spans;
        }
        let light = row.getNextUnset(dark);
        edges = [edges[2], edges[3], edges[4], edges[5], dark, light];
        if is_finder(&edges) {
            spans.push([edges[0] as u32, edges[5] as u32]);
        }
    }
}

/// Whether the runs between the edges are long as a finder's. Dark and light next to each other
/// are measured together, as ink spreads: two, four, four and two of seven modules, give or
/// take half a module and half a pixel.
fn is_finder(edges: &[usize; 6]) -> bool {
    let total = edges[5] - edges[0];
    let pairs = edges.windows(3).map(|edge| edge[2] - edge[0]);
    let fits =
        |(pair, modules): (usize, usize)| (14 * pair).abs_diff(2 * modules * total) <= total + 7;
    let middle = edges[3] - edges[2];
    middle >= 2 * (edges[1] - edges[0]).max(edges[5] - edges[4])
        && pairs.zip([2, 4, 4, 2]).all(fits)
}
