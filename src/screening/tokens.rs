//! Runs of a text that are shaped like a tap token.

use std::ops::Range;

/// Length of a tap token, in characters.
const LENGTH: usize = 64;

/// The maximal runs of exactly 64 characters of `[0-9A-Za-z_-]`, with their place in code points
/// of the text. Whether one is a token, and whose, its keys say.
pub fn tokens(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let (mut run, mut points) = (0, 0);
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') {
            run += 1;
        } else {
            if run == LENGTH {
                found.push((points - run..points, &text[at - run..at]));
            }
            run = 0;
        }
        points += 1;
    }
    found
}
