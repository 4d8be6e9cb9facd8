//! Where a plain link was tapped, as far as `User-Agent` tells. It decides only which step
//! comes first: a wrong guess costs the viewer a tap, never a right.

use http::{HeaderMap, header::USER_AGENT};

use crate::domain::launch::{Container, Environment, Platform};

/// The environment of a request; a computer's browser where nothing else is said.
pub fn guess(headers: &HeaderMap) -> Environment {
    let agent = headers
        .get(USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| agent.contains(word));
    let platform = if says(&["iphone", "ipad", "ipod"]) {
        Platform::Ios
    } else if says(&["openharmony", "arkweb"]) {
        Platform::Harmony
    } else if says(&["android"]) {
        // HarmonyOS up to 4 says so beside Android, and runs Android's WeChat.
        Platform::Android
    } else if says(&["harmonyos"]) {
        Platform::Harmony
    } else {
        Platform::Web
    };
    let container = if says(&["micromessenger", "wxwork"]) {
        Container::WechatWebview
    } else if platform == Platform::Web {
        Container::Desktop
    } else {
        Container::Browser
    };
    Environment {
        platform,
        container,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_tells_platform_and_container() {
        use Container::{Browser, Desktop, WechatWebview};
        use Platform::{Android, Harmony, Ios, Web};
        for (agent, platform, container) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
                Ios,
                Browser,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 12_2 like Mac OS X) AppleWebKit/605.1.15",
                Ios,
                Browser,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; 23127PN0CC) AppleWebKit/537.36 Chrome/120.0.0.0 Mobile Safari/537.36",
                Android,
                Browser,
            ),
            (
                "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/114.0.0.0 Safari/537.36 ArkWeb/4.1.6.1 Mobile",
                Harmony,
                Browser,
            ),
            (
                "Mozilla/5.0 (Linux; Android 12; HarmonyOS; NOH-AN00) AppleWebKit/537.36 HuaweiBrowser/15.0 Mobile",
                Android,
                Browser,
            ),
            (
                "Mozilla/5.0 (HarmonyOS; Tablet) AppleWebKit/537.36",
                Harmony,
                Browser,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148 MicroMessenger/8.0.47(0x18002f2c) NetType/WIFI Language/zh_CN",
                Ios,
                WechatWebview,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13) Mobile MMWEBID/1 MicroMessenger/8.0.42 WeChat/arm64",
                Android,
                WechatWebview,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) wxwork/4.1.22 MicroMessenger/7.0.1 Language/zh",
                Ios,
                WechatWebview,
            ),
            (
                "Mozilla/5.0 (Phone; OpenHarmony 5.0) ArkWeb/4.1.6.1 MicroMessenger/8.0.13",
                Harmony,
                WechatWebview,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/116.0.0.0 MicroMessenger/7.0.20.1781 WindowsWechat",
                Web,
                WechatWebview,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.1 Safari/605.1.15",
                Web,
                Desktop,
            ),
            ("curl/8.5.0", Web, Desktop),
            ("", Web, Desktop),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, agent.parse().unwrap());
            let guessed = guess(&headers);
            assert_eq!(
                guessed,
                Environment {
                    platform,
                    container
                },
                "{agent}"
            );
        }
        assert_eq!(guess(&HeaderMap::new()).container, Desktop);
    }
}
