use axum::body::to_bytes;

use super::*;
use crate::domain::{
    AcquisitionUri,
    launch::{Container, Environment, Platform, Target, plan},
};

const FACE: CardFace<'_> = CardFace {
    display_name: "山野集",
    headline: "露营与徒步",
    avatar_uri: "https://img.example/a.png?w=80&h=80",
};

async fn html(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn steps(target: Target<'_>, platform: Platform, container: Container) -> Vec<Step> {
    let environment = Environment {
        platform,
        container,
    };
    plan(target, "tok", environment)
}

fn wecom(platform: Platform, container: Container) -> Vec<Step> {
    let uri = AcquisitionUri::parse("https://work.weixin.qq.com/ca/x?comp_scene=a").unwrap();
    steps(Target::Wecom(&uri), platform, container)
}

/// The text between an opening and a closing mark.
fn between<'a>(html: &'a str, open: &str, close: &str) -> &'a str {
    let (_, rest) = html.split_once(open).unwrap();
    rest.split_once(close).unwrap().0
}

/// The buttons in their order: label and where it leads.
fn buttons(html: &str) -> Vec<(&str, &str)> {
    let all = html.split(r#"class="button""#).skip(1);
    all.map(|rest| {
        let (attributes, rest) = rest.split_once('>').unwrap();
        let to = attributes
            .split_once("href=\"")
            .map_or("", |(_, to)| to.split('"').next().unwrap());
        (rest.split('<').next().unwrap(), to)
    })
    .collect()
}

const SCHEME: &str = "weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com%2Fca%2Fx%3F\
                      comp_scene%3Da%26customer_channel%3Dtok";
const LINK: &str = "https://work.weixin.qq.com/ca/x?comp_scene=a&#38;customer_channel=tok";

#[tokio::test]
async fn a_phones_browser_launches_wechat_and_offers_both_ways() {
    let steps = wecom(Platform::Ios, Container::Browser);
    let page = html(launch(Lang::Zh, &FACE, ContactKind::Wecom, &steps)).await;
    assert!(
        page.contains(&format!(r#"<body data-launch="{SCHEME}">"#)),
        "{page}"
    );
    assert_eq!(
        buttons(&page),
        [("打开微信添加", SCHEME), ("通过网页打开", LINK)]
    );
    assert!(page.contains(r#"<html lang="zh-CN">"#));
    assert!(page.contains("<h1>山野集</h1>"));
    assert!(page.contains("露营与徒步"));
    assert!(page.contains(r#"src="https://img.example/a.png?w=80&#38;h=80""#));

    let page = html(launch(Lang::En, &FACE, ContactKind::Wecom, &steps)).await;
    assert!(page.contains(r#"<html lang="en">"#));
    assert_eq!(
        buttons(&page),
        [("Add in WeChat", SCHEME), ("Open the web link", LINK)]
    );
}

#[tokio::test]
async fn where_the_scheme_is_not_best_nothing_launches_by_itself() {
    let steps = wecom(Platform::Harmony, Container::Browser);
    let page = html(launch(Lang::Zh, &FACE, ContactKind::Wecom, &steps)).await;
    assert!(!page.contains("<body data-launch"));
    assert_eq!(
        buttons(&page),
        [("打开微信", LINK), ("打开微信添加", SCHEME)]
    );

    let id = steps_of_id(Container::Browser);
    let page = html(launch(Lang::Zh, &FACE, ContactKind::WechatId, &id)).await;
    assert!(!page.contains("<body data-launch"));
}

fn steps_of_id(container: Container) -> Vec<Step> {
    steps(Target::WechatId("klook_hk88"), Platform::Android, container)
}

#[tokio::test]
async fn a_wechat_id_is_shown_and_copied_and_a_phone_dialed() {
    let id = steps_of_id(Container::Browser);
    let page = html(launch(Lang::Zh, &FACE, ContactKind::WechatId, &id)).await;
    assert!(page.contains(r#"<p class="text" id="text">klook_hk88</p>"#));
    assert_eq!(
        buttons(&page),
        [("复制微信号", ""), ("打开微信", "weixin://")]
    );

    let phone = |container| {
        steps(
            Target::Phone("+8613800138000"),
            Platform::Android,
            container,
        )
    };
    let page = html(launch(
        Lang::En,
        &FACE,
        ContactKind::Phone,
        &phone(Container::Browser),
    ))
    .await;
    assert!(page.contains(r#"<p class="text" id="text">+8613800138000</p>"#));
    assert_eq!(
        buttons(&page),
        [("Call", "tel:+8613800138000"), ("Copy number", "")]
    );

    let page = html(launch(
        Lang::En,
        &FACE,
        ContactKind::Phone,
        &phone(Container::Desktop),
    ))
    .await;
    assert_eq!(buttons(&page), [("Copy number", "")]);
}

#[tokio::test]
async fn a_computer_shows_the_code_of_the_link() {
    let steps = wecom(Platform::Web, Container::Desktop);
    let page = html(launch(Lang::Zh, &FACE, ContactKind::Wecom, &steps)).await;
    let code = between(
        &page,
        r#"<div class="code" role="img" aria-label="用微信扫描此二维码">"#,
        "</div>",
    );
    assert!(
        code.starts_with("<svg") && code.trim_end().ends_with("</svg>"),
        "{code}"
    );
    assert!(!page.contains("<?xml"));
    assert!(buttons(&page).is_empty());

    let other = Step::ShowQr {
        uri: "https://work.weixin.qq.com/ca/y".to_owned(),
    };
    let other = html(launch(Lang::Zh, &FACE, ContactKind::Wecom, &[other])).await;
    assert!(!other.contains(code));
}

#[tokio::test]
async fn the_policy_names_exactly_the_style_and_script_of_the_page() {
    let steps = wecom(Platform::Ios, Container::Browser);
    let pages = [
        launch(Lang::Zh, &FACE, ContactKind::Wecom, &steps),
        refused(Lang::Zh, StatusCode::GONE, Reason::TokenExpired),
    ];
    for response in pages {
        let policy = response.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .to_owned();
        let page = html(response).await;
        for (open, close, directive) in [
            ("<style>", "</style>", "style-src"),
            ("<script>", "</script>", "script-src"),
        ] {
            if page.contains(open) {
                let hash = STANDARD.encode(Sha256::digest(between(&page, open, close)));
                assert!(
                    policy.contains(&format!("{directive} 'sha256-{hash}';")),
                    "{policy}"
                );
            }
            assert!(page.matches(open).count() <= 1);
        }
        assert!(policy.starts_with("default-src 'none';"));
        assert!(policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe"));
        // What the policy would refuse to run anyway.
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
        assert!(!page.contains("src=\"http:") && !page.contains("@import"));
    }
}

#[tokio::test]
async fn hostile_cards_are_text_and_no_more() {
    for hostile in [
        "<script>alert(1)</script>",
        "</title><script>alert(1)</script>",
        r#""><img src=x onerror=alert(1)>"#,
        "' autofocus onfocus='alert(1)",
        "{{ 7*7 }}",
        "</style></main>&lt;b&gt;",
    ] {
        let face = CardFace {
            display_name: hostile,
            headline: hostile,
            avatar_uri: hostile,
        };
        let text = Step::CopyText {
            text: hostile.to_owned(),
        };
        let open = Step::Https {
            uri: hostile.to_owned(),
        };
        let page = html(launch(
            Lang::Zh,
            &face,
            ContactKind::WechatId,
            &[text, open],
        ))
        .await;
        let plain = html(launch(
            Lang::Zh,
            &FACE,
            ContactKind::WechatId,
            &steps_of_id(Container::Browser),
        ))
        .await;
        for tag in [
            "<script", "</script", "<style", "</style", "</title", "</main", "<b>",
        ] {
            assert_eq!(
                page.matches(tag).count(),
                plain.matches(tag).count(),
                "{tag} {hostile}"
            );
        }
        assert!(!page.contains("<img"), "{hostile}");
        assert!(!page.contains(r#"" autofocus"#) && !page.contains("' autofocus"));
        let escaped = between(&page, "<h1>", "</h1>");
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
    }
}

#[tokio::test]
async fn only_https_avatars_are_loaded() {
    for avatar_uri in [
        "",
        "javascript:alert(1)",
        "data:image/svg+xml,<svg onload=alert(1)>",
        "http://img.example/a.png",
        "//img.example/a.png",
        "/a.png",
    ] {
        let face = CardFace { avatar_uri, ..FACE };
        let page = html(launch(Lang::Zh, &face, ContactKind::Phone, &[])).await;
        assert!(!page.contains("<img"), "{avatar_uri}");
        assert!(page.contains(r#"<div class="face" aria-hidden="true">山</div>"#));
    }
    let quoted = CardFace {
        avatar_uri: "https://img.example/a.png\" onload=\"alert(1)",
        ..FACE
    };
    let page = html(launch(Lang::Zh, &quoted, ContactKind::Phone, &[])).await;
    assert!(!page.contains("\" onload="));
}

#[tokio::test]
async fn each_refusal_says_its_own_and_names_no_gate() {
    let gone = StatusCode::UNAVAILABLE_FOR_LEGAL_REASONS;
    let cases = [
        (
            StatusCode::NOT_FOUND,
            Reason::TokenForged,
            "找不到这张名片",
            "No such card",
        ),
        (
            StatusCode::GONE,
            Reason::TokenExpired,
            "链接已过期",
            "This link has expired",
        ),
        (
            gone,
            Reason::TokenRevoked,
            "链接已停用",
            "This link was withdrawn",
        ),
        (
            gone,
            Reason::OutsideSchedule,
            "现在不在开放时间",
            "Not open now",
        ),
        (
            gone,
            Reason::StoreFrozen,
            "名片暂不可用",
            "This card is unavailable",
        ),
        (
            gone,
            Reason::HeldOut,
            "名片暂不可用",
            "This card is unavailable",
        ),
        (
            StatusCode::TOO_MANY_REQUESTS,
            Reason::RateLimited,
            "操作太频繁",
            "Too many attempts",
        ),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Reason::Overloaded,
            "服务暂时不可用",
            "Service unavailable",
        ),
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            Reason::Internal,
            "出了点问题",
            "Something went wrong",
        ),
    ];
    for (status, reason, zh, en) in cases {
        for (lang, title) in [(Lang::Zh, zh), (Lang::En, en)] {
            let response = refused(lang, status, reason);
            assert_eq!(response.status(), status);
            let retry = response.headers().contains_key("retry-after");
            let page = html(response).await;
            assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
            assert!(!page.contains(reason.as_str()));
            assert_eq!(retry, !buttons(&page).is_empty(), "{status}");
        }
    }
}

#[test]
fn a_redirect_leads_to_wecom_or_nowhere() {
    for uri in [
        "https://work.weixin.qq.com/ca/x?customer_channel=tok",
        "https://work.weixin.qq.com/ca/x?comp_scene=a&customer_channel=tok",
        "https://work.weixin.qq.com/kf/kfc1?enc_scene=a&scene_param=b",
        "https://work.weixin.qq.com/kfid/kfc1",
    ] {
        let response = redirect(uri).unwrap();
        assert_eq!(response.status(), StatusCode::FOUND);
        assert_eq!(response.headers()["location"], uri);
    }
    for uri in [
        "https://evil.example/ca/x",
        "https://work.weixin.qq.com@evil.example/ca/x",
        "https://work.weixin.qq.com/u/vc1",
        "http://work.weixin.qq.com/ca/x",
        "weixin://biz/ww/profile/x",
        "tel:+8613800138000",
        "javascript:alert(1)",
        "/t/x",
        "",
    ] {
        assert!(redirect(uri).is_none(), "{uri}");
    }
}
