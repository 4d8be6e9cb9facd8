//! The language of a page, by `Accept-Language`.

use http::{HeaderMap, header::ACCEPT_LANGUAGE};

use crate::domain::Lang;

/// Chinese, unless English is asked for more; who asks for neither is taken to read
/// English sooner than Chinese.
pub fn asked(headers: &HeaderMap) -> Lang {
    let weight = |language: &str| {
        wishes(headers)
            .filter(|(tag, _)| primary(tag) == language)
            .map(|(_, q)| q)
            .reduce(f32::max)
    };
    let star = weight("*").unwrap_or(0.0);
    let zh = weight("zh").unwrap_or(star);
    let en = weight("en").unwrap_or(star);
    let foreign = || zh == 0.0 && wishes(headers).any(|(_, q)| q > 0.0);
    if en > zh || foreign() {
        Lang::En
    } else {
        Lang::Zh
    }
}

/// Each language range with its weight; a range whose weight cannot be read has none.
fn wishes(headers: &HeaderMap) -> impl Iterator<Item = (&str, f32)> {
    let lines = headers.get_all(ACCEPT_LANGUAGE).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|range| {
            let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
            let q = weight.trim().strip_prefix("q=").map(str::parse);
            let q = q.and_then(Result::ok).filter(|q| (0.0..=1.0).contains(q));
            (tag.trim(), q.unwrap_or(0.0))
        })
        .filter(|(tag, _)| tag.starts_with(|c: char| c == '*' || c.is_ascii_alphabetic()))
}

/// `zh` of `zh-Hant-HK`.
fn primary(tag: &str) -> String {
    let end = tag.find('-').unwrap_or(tag.len());
    tag[..end].to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heavier_wish_wins_and_chinese_wins_ties() {
        for (wish, expected) in [
            ("", Lang::Zh),
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("en-US,en;q=0.9,zh-CN;q=0.8", Lang::En),
            ("en;q=0.5,zh;q=0.9", Lang::Zh),
            ("en, zh", Lang::Zh),
            ("en;q=0.7,zh;q=0.7", Lang::Zh),
            ("ZH-hant-HK", Lang::Zh),
            ("EN", Lang::En),
            ("*", Lang::Zh),
            ("fr", Lang::En),
            ("fr, zh;q=0.3", Lang::Zh),
            ("fr, en;q=0.3, zh;q=0.2", Lang::En),
            ("zh;q=0, en;q=0.1", Lang::En),
            ("en;q=0.2, *", Lang::Zh),
            ("zhx", Lang::En),
            ("en;q=nan, zh;q=0.1", Lang::Zh),
            ("en;q=9, zh;q=0.1", Lang::Zh),
            ("en;q=, zh;q=0.1", Lang::Zh),
            (",;,;q=,=,--", Lang::Zh),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, wish.parse().unwrap());
            assert_eq!(asked(&headers), expected, "{wish}");
        }
        assert_eq!(asked(&HeaderMap::new()), Lang::Zh);
    }

    #[test]
    fn several_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT_LANGUAGE, "zh;q=0.1".parse().unwrap());
        headers.append(ACCEPT_LANGUAGE, "en".parse().unwrap());
        assert_eq!(asked(&headers), Lang::En);
    }
}
