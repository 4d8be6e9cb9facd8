//! Characters told by their numbers: `\u52a0`, `&#21152;`, `%E5%8A%A0`, `77 78 3a`, `87 88 58`.

/// Fewest bytes in a row that are a text.
const FEWEST: usize = 6;
/// Fewest letters in it: fewer come by chance, and the numbers may be somebody's.
const LETTERS: usize = 4;

/// What is told at `start`, and how many characters it takes; `None` in place of the text if
/// these are numbers and no more. Links keep their percent signs.
pub fn read(chars: &[char], start: usize) -> Option<(usize, Option<String>)> {
    let rest = &chars[start..];
    let linked = start > 0 && chars[start - 1].is_ascii_graphic();
    match rest.first()? {
        '\\' | '&' => escape(rest).map(|(length, c)| (length, Some(c.to_string()))),
        '%' if !linked => percent(rest),
        c if c.is_ascii_hexdigit() => list(rest),
        _ => None,
    }
}

fn escape(rest: &[char]) -> Option<(usize, char)> {
    let head: String = rest.iter().take(10).collect();
    let (digits, radix, end) = if let Some(digits) = head.strip_prefix("\\u") {
        (digits.get(..4)?, 16, 6)
    } else {
        let (inside, _) = head.strip_prefix("&#")?.split_once(';')?;
        let (digits, radix) = inside
            .strip_prefix('x')
            .map_or((inside, 10), |hex| (hex, 16));
        (digits, radix, inside.len() + 3)
    };
    let c = char::from_u32(u32::from_str_radix(digits, radix).ok()?)?;
    (!c.is_control()).then_some((end, c))
}

fn percent(rest: &[char]) -> Option<(usize, Option<String>)> {
    let hex = |code: &&[char]| code.len() == 3 && code[0] == '%' && byte(&code[1..], 16).is_some();
    let codes = rest.chunks(3).take_while(hex);
    let bytes: Vec<u8> = codes.filter_map(|code| byte(&code[1..], 16)).collect();
    let text = || String::from_utf8(bytes.clone()).ok();
    (bytes.len() > 1).then(|| (bytes.len() * 3, text()))
}

/// Bytes in a row, a blank or a comma between each two, in tens, sixteens or twos.
fn list(rest: &[char]) -> Option<(usize, Option<String>)> {
    let mut end = 0;
    let mut words = Vec::new();
    loop {
        let length = rest[end..]
            .iter()
            .take_while(|c| c.is_ascii_alphanumeric())
            .count();
        let word = &rest[end..end + length];
        if !matches!(length, 2 | 3 | 8) || !word.iter().all(char::is_ascii_hexdigit) {
            break;
        }
        words.push(word);
        end += length;
        let parted = rest
            .get(end)
            .is_some_and(|c| matches!(c, ' ' | ',' | '-' | '/' | '，' | '、'));
        if !parted {
            break;
        }
        end += 1;
    }
    if words.len() < FEWEST {
        return None;
    }
    let inner = [10, 16, 2].into_iter().find_map(|radix| {
        let bytes: Option<Vec<u8>> = words.iter().map(|word| byte(word, radix)).collect();
        text(&bytes?)
    });
    Some((end, inner))
}

fn byte(digits: &[char], radix: u32) -> Option<u8> {
    let digits: String = digits.iter().collect();
    u8::from_str_radix(&digits, radix).ok()
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    (letters >= LETTERS && !text.chars().any(char::is_control)).then(|| text.to_owned())
}
