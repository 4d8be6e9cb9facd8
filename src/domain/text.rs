//! Text fields: NFC, limits in code points (AIP-210), nothing that prints nothing.

use std::ops::RangeInclusive;

use unicode_normalization::UnicodeNormalization;

/// The text in NFC, if it has so many code points, one of them visible, and none that hides
/// or reorders others.
pub fn text(input: &str, length: RangeInclusive<usize>) -> Result<String, String> {
    // Far over the limit whatever NFC makes of it; no need to normalize a novel.
    if input.len() > length.end() * 16 {
        return Err(too_long(&length));
    }
    let text: String = input.nfc().collect();
    if !length.contains(&text.chars().count()) {
        return Err(too_long(&length));
    }
    if text.chars().any(hides) {
        return Err("must not have control, format or direction characters".to_owned());
    }
    if !text.is_empty() && text.chars().all(shows_nothing) {
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

/// Control characters (NUL among them, which PostgreSQL refuses), line separators, and what
/// is invisible or turns the direction round, so that a text can read as another. Joiners
/// and variation selectors stay: emoji and scripts need them.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{AD}'
                | '\u{34F}'
                | '\u{61C}'
                | '\u{115F}'
                | '\u{1160}'
                | '\u{17B4}'
                | '\u{17B5}'
                | '\u{180E}'
                | '\u{200B}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}'
                | '\u{3164}'
                | '\u{FEFF}'
                | '\u{FFA0}'
                | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0001}'
        )
}

/// Spaces, the blank Braille pattern, joiners, variation selectors and tags: nothing alone.
fn shows_nothing(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{200C}'
                | '\u{200D}'
                | '\u{2800}'
                | '\u{FE00}'..='\u{FE0F}'
                | '\u{E0020}'..='\u{E007F}'
                | '\u{E0100}'..='\u{E01EF}'
        )
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
        for bad in [
            "",
            "  ",
            "a\0",
            "a\nb",
            "\u{202E}abc",
            "\u{FEFF}a",
            "\u{200B}",
            "Kl\u{200B}ook",
            "\u{3164}",
            "\u{2800}",
            "\u{FE0F}",
            "\u{200D}\u{200D}",
            "a\u{2028}b",
            "a\u{200F}",
        ] {
            assert!(text(bad, 1..=20).is_err(), "{bad:?}");
        }
        assert!(text(" ", 0..=8).is_err());
        assert_eq!(text("", 0..=8).unwrap(), "");
        for good in ["👩\u{200D}🚀 旅行", "❤\u{FE0F}", "🏴\u{E0067}\u{E007F}"] {
            assert_eq!(text(good, 1..=20).unwrap(), good);
        }
    }
}
