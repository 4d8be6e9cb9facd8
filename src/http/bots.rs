//! Machines that open links: previewers, crawlers, and browsers that fetch ahead. They are
//! answered like anybody; their taps are kept apart.

use http::{HeaderMap, Method, header::USER_AGENT};

use crate::app::Tapper;

/// Words in `User-Agent`, in lower case, by which machines say what they are. None stands in a
/// browser's.
const WORDS: &[&str] = &[
    "bot",
    "spider",
    "crawler",
    "preview",
    "facebookexternalhit",
    "headless",
    "monitor",
    "scan",
    "curl/",
    "wget/",
    "python-",
    "go-http-client",
    "okhttp",
    "java/",
    "libwww",
    "apache-httpclient",
    "node-fetch",
    "axios/",
];

/// Headers by which a browser says that nobody has tapped yet.
const AHEAD: &[&str] = &["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Who opens a link, as far as the request tells.
pub fn tapper(method: &Method, headers: &HeaderMap) -> Tapper<'static> {
    let text = |value: &http::HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let agent = headers.get(USER_AGENT).map(text).unwrap_or_default();
    // A maker of phones.
    let agent = agent.replace("cubot", "");
    let ahead = AHEAD.iter().filter_map(|name| headers.get(*name).map(text));
    let fetched_ahead = ahead
        .into_iter()
        .any(|value| value.contains("prefetch") || value.contains("preview"));
    let machine = agent.is_empty() || WORDS.iter().any(|word| agent.contains(word));
    if machine || fetched_ahead || method == Method::HEAD {
        Tapper::Bot
    } else {
        Tapper::Somebody
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_bot(headers: &[(&'static str, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let value = http::HeaderValue::from_static(value);
            (http::HeaderName::from_static(name), value)
        });
        matches!(tapper(&Method::GET, &headers.collect()), Tapper::Bot)
    }

    #[test]
    fn browsers_are_people_and_machines_say_so() {
        for agent in [
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.54(0x18003630) NetType/WIFI Language/zh_CN",
            "Mozilla/5.0 (Linux; Android 14; SM-S9180) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 12; CUBOT P60) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
        ] {
            assert!(!is_bot(&[("user-agent", agent)]), "{agent}");
            let ahead = [("user-agent", agent), ("sec-purpose", "prefetch;prerender")];
            assert!(is_bot(&ahead), "{agent}");
        }
        for agent in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "facebookexternalhit/1.1",
            "curl/8.5.0",
            "",
        ] {
            assert!(is_bot(&[("user-agent", agent)]), "{agent}");
        }
        assert!(is_bot(&[]));
        let browser = HeaderMap::from_iter([(USER_AGENT, "Mozilla/5.0".parse().unwrap())]);
        assert!(matches!(tapper(&Method::HEAD, &browser), Tapper::Bot));
        assert!(matches!(tapper(&Method::GET, &browser), Tapper::Somebody));
    }
}
