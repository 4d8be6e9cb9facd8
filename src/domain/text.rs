//! Text fields: NFC, limits in code points (AIP-210), nothing that prints nothing.

use std::ops::RangeInclusive;

use unicode_normalization::UnicodeNormalization;

/// The text in NFC, if it has so many code points and none that hides or reorders others.
pub fn text(input: &str, length: RangeInclusive<usize>) -> Result<String, String> {
    // NFC never makes a text more than three times longer; no need to normalize a novel.
    if input.len() > length.end() * 16 {
        return Err(too_long(&length));
    }
    let text: String = input.nfc().collect();
    if !length.contains(&text.chars().count()) {
        return Err(too_long(&length));
    }
    if text.chars().any(hides) {
        return Err("must not have control or direction characters".to_owned());
    }
    if *length.start() > 0 && text.trim().is_empty() {
        return Err("must not be blank".to_owned());
    }
    Ok(text)
}

fn too_long(length: &RangeInclusive<usize>) -> String {
    format!(
        "must have {} to {} code points after NFC",
        length.start(),
        length.end()
    )
}

/// Control characters (NUL among them, which PostgreSQL refuses) and the bidirectional
/// overrides by which a text can read as another.
fn hides(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_count_code_points_after_nfc() {
        let decomposed = "e\u{301}".repeat(20);
        assert_eq!(text(&decomposed, 1..=20).unwrap().chars().count(), 20);
        assert!(text(&"名".repeat(20), 1..=20).is_ok());
        assert!(text(&"名".repeat(21), 1..=20).is_err());
        assert!(text(&"😀".repeat(20), 1..=20).is_ok());
        assert!(text(&"a".repeat(1_000_000), 0..=20).is_err());
    }

    #[test]
    fn hidden_and_blank_texts_are_refused() {
        for bad in ["", "  ", "a\0", "a\nb", "\u{202E}abc", "\u{FEFF}a"] {
            assert!(text(bad, 1..=20).is_err(), "{bad:?}");
        }
        assert_eq!(text("", 0..=8).unwrap(), "");
    }
}
