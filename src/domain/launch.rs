//! Where a tap leads: what the client is to do, in order of preference, for each target and
//! each place it may be tapped in.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{AcquisitionUri, KfUri};

/// The one app a step may need.
const WECHAT: &str = "wechat";
/// Opens the add page of the WeCom member behind an acquisition link.
const PROFILE_SCHEME: &str = "weixin://biz/ww/profile/";
/// Opens WeChat, no more.
const WECHAT_SCHEME: &str = "weixin://";
/// Encoded as `encodeURIComponent` does, as in WeCom's own example.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// The place of the tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Environment {
    pub platform: Platform,
    pub container: Container,
}

/// What the viewer's device runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Platform {
    Ios,
    Android,
    Harmony,
    Web,
}

/// What the card is shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Container {
    /// The content platform's own app.
    NativeApp,
    /// WeChat's or WeCom's own browser, which opens no schemes.
    WechatWebview,
    /// A browser on a phone or tablet.
    Browser,
    /// A browser on a computer.
    Desktop,
}

/// Who is to be reached.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    Wecom(&'a AcquisitionUri),
    Kf(&'a KfUri),
    /// E.164, or a mainland service number as it is dialed.
    Phone(&'a str),
    WechatId(&'a str),
}

/// One thing for the client to do. `Debug` shows its kind only: the rest may be personal.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Open an app's scheme.
    UrlScheme { uri: String },
    /// Open an https link.
    Https { uri: String },
    /// Copy the text.
    CopyText { text: String },
    /// Dial a `tel:` address.
    Dial { uri: String },
    /// Show the address as a QR code to scan with WeChat.
    ShowQr { uri: String },
}

impl Step {
    /// The app without which the step does nothing.
    pub const fn requires_app(&self) -> Option<&'static str> {
        match self {
            Self::UrlScheme { .. } => Some(WECHAT),
            _ => None,
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UrlScheme { .. } => "UrlScheme",
            Self::Https { .. } => "Https",
            Self::CopyText { .. } => "CopyText",
            Self::Dial { .. } => "Dial",
            Self::ShowQr { .. } => "ShowQr",
        })
    }
}

/// The steps of one tap, at least one. `token` becomes the `customer_channel` of a WeCom link.
pub fn plan(target: Target<'_>, token: &str, environment: Environment) -> Vec<Step> {
    match target {
        Target::Wecom(uri) => wecom(uri.with_channel(token).into(), environment),
        Target::Kf(uri) => kf(uri.as_str().to_owned(), environment.container),
        Target::Phone(number) => vec![phone(number, environment.container)],
        Target::WechatId(id) => wechat_id(id, environment.container),
    }
}

/// The scheme for an acquisition link.
pub fn profile(uri: &str) -> String {
    format!("{PROFILE_SCHEME}{}", utf8_percent_encode(uri, COMPONENT))
}

fn wecom(uri: String, environment: Environment) -> Vec<Step> {
    let scheme = Step::UrlScheme { uri: profile(&uri) };
    match (environment.container, environment.platform) {
        (Container::Desktop, _) => vec![Step::ShowQr { uri }],
        (Container::WechatWebview, _) => vec![Step::Https { uri }],
        // That WeChat for HarmonyOS answers the scheme is not confirmed, and a scheme that
        // nobody answers is a dead tap: there the link, which works everywhere, goes first.
        (_, Platform::Harmony) => vec![Step::Https { uri }, scheme],
        _ => vec![scheme, Step::Https { uri }],
    }
}

/// Customer service has no scheme of its own; the link opens WeChat by itself.
fn kf(uri: String, container: Container) -> Vec<Step> {
    match container {
        Container::Desktop => vec![Step::ShowQr { uri }],
        _ => vec![Step::Https { uri }],
    }
}

fn phone(number: &str, container: Container) -> Step {
    match container {
        // Few computers dial, and a QR code would be scanned with WeChat, which does not.
        Container::Desktop => Step::CopyText {
            text: number.to_owned(),
        },
        _ => Step::Dial {
            uri: format!("tel:{number}"),
        },
    }
}

fn wechat_id(id: &str, container: Container) -> Vec<Step> {
    let copy = Step::CopyText {
        text: id.to_owned(),
    };
    match container {
        Container::NativeApp | Container::Browser => vec![
            copy,
            Step::UrlScheme {
                uri: WECHAT_SCHEME.to_owned(),
            },
        ],
        Container::WechatWebview | Container::Desktop => vec![copy],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://work.weixin.qq.com/ca/cawcdea7783d7330c6";
    const KF: &str = "https://work.weixin.qq.com/kf/kfc1?enc_scene=ENC&scene_param=a%3D1";

    /// The steps as text: one a line makes the tables below readable.
    fn steps(target: Target<'_>, token: &str, platform: Platform, container: Container) -> String {
        let environment = Environment {
            platform,
            container,
        };
        let told = plan(target, token, environment).into_iter().map(|step| {
            assert_eq!(
                step.requires_app(),
                matches!(step, Step::UrlScheme { .. }).then_some("wechat")
            );
            match step {
                Step::UrlScheme { uri } => format!("scheme {uri}"),
                Step::Https { uri } => format!("https {uri}"),
                Step::CopyText { text } => format!("copy {text}"),
                Step::Dial { uri } => format!("dial {uri}"),
                Step::ShowQr { uri } => format!("qr {uri}"),
            }
        });
        told.collect::<Vec<_>>().join("\n")
    }

    const PLATFORMS: [Platform; 4] = [
        Platform::Ios,
        Platform::Android,
        Platform::Harmony,
        Platform::Web,
    ];
    const CONTAINERS: [Container; 4] = [
        Container::NativeApp,
        Container::WechatWebview,
        Container::Browser,
        Container::Desktop,
    ];

    #[test]
    fn wecom_opens_the_add_page_with_the_token_as_its_channel() {
        let uri = AcquisitionUri::parse(LINK).unwrap();
        let link = format!("{LINK}?customer_channel=tok_-1");
        let scheme = "weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com%2Fca%2F\
                      cawcdea7783d7330c6%3Fcustomer_channel%3Dtok_-1";
        for platform in PLATFORMS {
            for container in CONTAINERS {
                let expected = match (platform, container) {
                    (_, Container::Desktop) => format!("qr {link}"),
                    (_, Container::WechatWebview) => format!("https {link}"),
                    (Platform::Harmony, _) => format!("https {link}\nscheme {scheme}"),
                    _ => format!("scheme {scheme}\nhttps {link}"),
                };
                let told = steps(Target::Wecom(&uri), "tok_-1", platform, container);
                assert_eq!(told, expected, "{platform:?} {container:?}");
            }
        }
    }

    #[test]
    fn the_scheme_is_encoded_as_in_the_official_example() {
        let uri = AcquisitionUri::parse("https://work.weixin.qq.com/ca/caXXXXX").unwrap();
        let told = steps(
            Target::Wecom(&uri),
            "WORK",
            Platform::Ios,
            Container::NativeApp,
        );
        let official = "scheme weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com\
                        %2Fca%2FcaXXXXX%3Fcustomer_channel%3DWORK";
        assert_eq!(told.lines().next(), Some(official));
    }

    #[test]
    fn a_components_scene_is_kept_and_encoded_once_more_in_the_scheme() {
        let given = "https://work.weixin.qq.com/ca/x?comp_scene=YWI%3D";
        let uri = AcquisitionUri::parse(given).unwrap();
        let told = steps(
            Target::Wecom(&uri),
            "t",
            Platform::Android,
            Container::Browser,
        );
        let expected = "scheme weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com%2Fca%2Fx\
                        %3Fcomp_scene%3DYWI%253D%26customer_channel%3Dt\n\
                        https https://work.weixin.qq.com/ca/x?comp_scene=YWI%3D&customer_channel=t";
        assert_eq!(told, expected);
    }

    #[test]
    fn customer_service_phones_and_wechat_ids_are_the_same_on_every_platform() {
        let kf = KfUri::parse(KF).unwrap();
        let targets = [
            Target::Kf(&kf),
            Target::Phone("+8613800138000"),
            Target::Phone("4001234567"),
            Target::WechatId("klook_hk88"),
        ];
        let table = [
            (
                Container::NativeApp,
                [
                    format!("https {KF}"),
                    "dial tel:+8613800138000".into(),
                    "dial tel:4001234567".into(),
                    "copy klook_hk88\nscheme weixin://".into(),
                ],
            ),
            (
                Container::Browser,
                [
                    format!("https {KF}"),
                    "dial tel:+8613800138000".into(),
                    "dial tel:4001234567".into(),
                    "copy klook_hk88\nscheme weixin://".into(),
                ],
            ),
            (
                Container::WechatWebview,
                [
                    format!("https {KF}"),
                    "dial tel:+8613800138000".into(),
                    "dial tel:4001234567".into(),
                    "copy klook_hk88".into(),
                ],
            ),
            (
                Container::Desktop,
                [
                    format!("qr {KF}"),
                    "copy +8613800138000".into(),
                    "copy 4001234567".into(),
                    "copy klook_hk88".into(),
                ],
            ),
        ];
        for platform in PLATFORMS {
            for (container, expected) in &table {
                for (target, expected) in targets.iter().zip(expected) {
                    let told = steps(*target, "t", platform, *container);
                    assert_eq!(told, *expected, "{platform:?} {container:?}");
                }
            }
        }
    }

    #[test]
    fn a_log_shows_no_contact() {
        let environment = Environment {
            platform: Platform::Ios,
            container: Container::NativeApp,
        };
        let steps = plan(Target::WechatId("klook_hk88"), "t", environment);
        assert_eq!(format!("{steps:?}"), "[CopyText, UrlScheme]");
    }
}
