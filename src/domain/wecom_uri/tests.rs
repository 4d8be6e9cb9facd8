use super::*;

const GOOD: &[&str] = &[
    "https://work.weixin.qq.com/ca/cawcdea7783d7330c6",
    "https://work.weixin.qq.com/ca/cawcded0112929cbf5",
    "https://work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com/ca/A_b-9",
    "https://work.weixin.qq.com/ca/x?comp_scene=ENCabc",
    "https://work.weixin.qq.com/ca/x?comp_scene=a.b_c-d+e",
    "https://work.weixin.qq.com/ca/x?comp_scene=YWI=",
    "https://work.weixin.qq.com/ca/x?comp_scene=YWI%3D%3D",
    "https://work.weixin.qq.com/ca/x?comp_scene=a%2Bb%2Fc",
];

const GOOD_KF: &[&str] = &[
    "https://work.weixin.qq.com/kf/kfcbf8f8d07ac7215f",
    "https://work.weixin.qq.com/kfid/kfc0123456789abcdef",
    "https://work.weixin.qq.com/kf/kfcbf8f8d07ac7215f?enc_scene=ENCGFSDF567DF",
    "https://work.weixin.qq.com/kf/kfcbf8f8d07ac7215f?encScene=ENCGFSDF567DF",
    "https://work.weixin.qq.com/kf/kfc1?enc_scene=ENC&scene_param=a%3Db%26c%3D1",
    "https://work.weixin.qq.com/kf/kfc1?scene_param=%E5%90%8D%E7%89%87&enc_scene=ENC",
];

/// Refused as an acquisition link and as a customer service link.
const HOSTILE: &[&str] = &[
    // Not a link at all.
    "",
    " ",
    "/",
    "//",
    "?",
    "#",
    "https",
    "https:",
    "https:/",
    "https://",
    "https:///",
    "ca/x",
    "/ca/x",
    "//work.weixin.qq.com/ca/x",
    "work.weixin.qq.com/ca/x",
    // Another scheme.
    "http://work.weixin.qq.com/ca/x",
    "HTTP://work.weixin.qq.com/ca/x",
    "HTTPS://work.weixin.qq.com/ca/x",
    "Https://work.weixin.qq.com/kf/x",
    "ftp://work.weixin.qq.com/ca/x",
    "wss://work.weixin.qq.com/ca/x",
    "file:///ca/x",
    "file://work.weixin.qq.com/ca/x",
    "javascript:…",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\nscript:alert(1)",
    "javascript://work.weixin.qq.com/ca/x%0Aalert(1)",
    "data:text/html,x",
    "data:text/html;base64,PHNjcmlwdD4=",
    "vbscript:x",
    "blob:https://work.weixin.qq.com/ca/x",
    "view-source:https://work.weixin.qq.com/ca/x",
    "intent://work.weixin.qq.com/ca/x#Intent;end",
    "weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com%2Fca%2Fx",
    "weixin://",
    "tel:+8613800138000",
    "mailto:a@work.weixin.qq.com",
    "about:blank",
    "xhttps://work.weixin.qq.com/ca/x",
    // Another host.
    "https://evil.example/ca/x",
    "https://work.weixin.qq.com.evil.example/ca/x",
    "https://evil.example/work.weixin.qq.com/ca/x",
    "https://evilwork.weixin.qq.com/ca/x",
    "https://evil.work.weixin.qq.com/ca/x",
    "https://work-weixin.qq.com/ca/x",
    "https://work.weixin.qq.com.cn/ca/x",
    "https://work.weixin.qq.co/ca/x",
    "https://weixin.qq.com/ca/x",
    "https://qq.com/ca/x",
    "https://u.wechat.com/ca/x",
    "https://qyapi.weixin.qq.com/ca/x",
    "https://open.work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com./ca/x",
    "https://.work.weixin.qq.com/ca/x",
    "https://work..weixin.qq.com/ca/x",
    "https://work.weixin.qq.com,evil.example/ca/x",
    "https://127.0.0.1/ca/x",
    "https://[::1]/ca/x",
    "https://2130706433/ca/x",
    "https://localhost/ca/x",
    // The host in other letters.
    "https://WORK.weixin.qq.com/ca/x",
    "https://work.weixin.QQ.com/ca/x",
    "https://work.weixin.qq.c\u{043e}m/ca/x",
    "https://w\u{043e}rk.weixin.qq.com/ca/x",
    "https://work.we\u{0131}xin.qq.com/ca/x",
    "https://work.weixin.\u{ff51}\u{ff51}.com/ca/x",
    "https://\u{ff57}ork.weixin.qq.com/ca/x",
    "https://work\u{3002}weixin.qq.com/ca/x",
    "https://work\u{ff0e}weixin.qq.com/ca/x",
    "https://work.weixin.qq.com\u{2024}evil.example/ca/x",
    "https://xn--wrk-sqa.weixin.qq.com/ca/x",
    "https://work.wei\u{200b}xin.qq.com/ca/x",
    "https://work.wei\u{00ad}xin.qq.com/ca/x",
    "https://work.wei\u{200d}xin.qq.com/ca/x",
    "https://work.weixin.qq.\u{217d}om/ca/x",
    "https://\u{1d568}ork.weixin.qq.com/ca/x",
    "https://work%2Eweixin.qq.com/ca/x",
    "https://%77ork.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com%00.evil.example/ca/x",
    "https://work.weixin.qq.com%2F.evil.example/ca/x",
    // Userinfo and ports.
    "https://work.weixin.qq.com@evil.example/ca/x",
    "https://work.weixin.qq.com:x@evil.example/ca/x",
    "https://evil.example@work.weixin.qq.com/ca/x",
    "https://a:b@work.weixin.qq.com/ca/x",
    "https://@work.weixin.qq.com/ca/x",
    "https://:@work.weixin.qq.com/ca/x",
    "https://a@b@work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com%40evil.example/ca/x",
    "https://work.weixin.qq.com:443/ca/x",
    "https://work.weixin.qq.com:/ca/x",
    "https://work.weixin.qq.com:80/ca/x",
    "https://work.weixin.qq.com:8443/ca/x",
    "https://work.weixin.qq.com:0443/ca/x",
    "https://work.weixin.qq.com:99999/ca/x",
    // Backslashes, white space, control characters.
    "https:\\\\work.weixin.qq.com\\ca\\x",
    "https://work.weixin.qq.com\\ca\\x",
    "https://work.weixin.qq.com\\@evil.example/ca/x",
    "https://evil.example\\@work.weixin.qq.com/ca/x",
    "https:/\\work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com/ca\\x",
    "https:/work.weixin.qq.com/ca/x",
    "https:work.weixin.qq.com/ca/x",
    "https:///work.weixin.qq.com/ca/x",
    " https://work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com/ca/x ",
    "https://work.weixin.qq.com/ca/x\n",
    "\thttps://work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com/ca/x\r\nSet-Cookie: a=b",
    "ht\ttps://work.weixin.qq.com/ca/x",
    "https://work.wei\txin.qq.com/ca/x",
    "https://work.weixin.qq.com/c\na/x",
    "https://work.weixin.qq.com/ca/a b",
    "https://work.weixin.qq.com/ca/x\0",
    "\u{0}https://work.weixin.qq.com/ca/x",
    "\u{feff}https://work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com/ca/x\u{7f}",
    "https://work.weixin.qq.com/ca/x\u{85}",
    "https://work.weixin.qq.com/ca/x\u{a0}",
    "https://work.weixin.qq.com/ca/x\u{3000}",
    "https://work.weixin.qq.com/ca/x\u{202e}",
    "https://work.weixin.qq.com/ca/x\u{2028}",
    // Paths.
    "https://work.weixin.qq.com",
    "https://work.weixin.qq.com/",
    "https://work.weixin.qq.com/ca",
    "https://work.weixin.qq.com/ca/",
    "https://work.weixin.qq.com/kf/",
    "https://work.weixin.qq.com/ca//x",
    "https://work.weixin.qq.com//ca/x",
    "https://work.weixin.qq.com/ca/x/",
    "https://work.weixin.qq.com/ca/x//",
    "https://work.weixin.qq.com/ca/x/y",
    "https://work.weixin.qq.com/ca/x/kf/y",
    "https://work.weixin.qq.com/CA/x",
    "https://work.weixin.qq.com/Kf/x",
    "https://work.weixin.qq.com/cab/x",
    "https://work.weixin.qq.com/x/ca/x",
    "https://work.weixin.qq.com/u/vc0123456789abcdef",
    "https://work.weixin.qq.com/gm/0123456789abcdef0123456789abcdef",
    "https://work.weixin.qq.com/q/x",
    "https://work.weixin.qq.com/wework_admin/x",
    "https://work.weixin.qq.com/ca/.",
    "https://work.weixin.qq.com/ca/..",
    "https://work.weixin.qq.com/ca/../ca/x",
    "https://work.weixin.qq.com/./ca/x",
    "https://work.weixin.qq.com/u/../ca/x",
    "https://work.weixin.qq.com/ca/%2e%2e/u/x",
    "https://work.weixin.qq.com/ca/%78",
    "https://work.weixin.qq.com/%63a/x",
    "https://work.weixin.qq.com/ca%2Fx",
    "https://work.weixin.qq.com/ca/x%2Fy",
    "https://work.weixin.qq.com/ca/x%00",
    "https://work.weixin.qq.com/ca/x%0d%0a",
    "https://work.weixin.qq.com/ca/x;y",
    "https://work.weixin.qq.com/ca/x.html",
    "https://work.weixin.qq.com/ca/x,y",
    "https://work.weixin.qq.com/ca/x@y",
    "https://work.weixin.qq.com/ca/x:y",
    "https://work.weixin.qq.com/ca/x=y",
    "https://work.weixin.qq.com/ca/x&customer_channel=y",
    "https://work.weixin.qq.com/ca/名片",
    "https://work.weixin.qq.com/ca/\u{0445}",
    "https://work.weixin.qq.com/ca/<x>",
    "https://work.weixin.qq.com/ca/x\"",
    "https://work.weixin.qq.com/ca/x'",
    // Fragments and queries.
    "https://work.weixin.qq.com/ca/x#",
    "https://work.weixin.qq.com/ca/x#y",
    "https://work.weixin.qq.com/ca/x#@evil.example",
    "https://work.weixin.qq.com#/ca/x",
    "https://work.weixin.qq.com?/ca/x",
    "https://evil.example?https://work.weixin.qq.com/ca/x",
    "https://evil.example#https://work.weixin.qq.com/ca/x",
    "https://work.weixin.qq.com/ca/x?",
    "https://work.weixin.qq.com/kf/x?",
    "https://work.weixin.qq.com/ca/x?y",
    "https://work.weixin.qq.com/ca/x?=",
    "https://work.weixin.qq.com/ca/x?&",
    "https://work.weixin.qq.com/ca/x??comp_scene=a",
    "https://work.weixin.qq.com/ca/x?redirect=https://evil.example",
    "https://work.weixin.qq.com/ca/x?customer_channel=mine",
    "https://work.weixin.qq.com/ca/x?customer_channel=",
    "https://work.weixin.qq.com/ca/x?customer%5Fchannel=mine",
    "https://work.weixin.qq.com/ca/x?CUSTOMER_CHANNEL=mine",
    "https://work.weixin.qq.com/ca/x?comp_scene=a&customer_channel=mine",
    "https://work.weixin.qq.com/ca/x?customer_channel=mine&comp_scene=a",
    "https://work.weixin.qq.com/ca/x?comp_scene=a%26customer_channel%3Dmine",
    "https://work.weixin.qq.com/ca/x?comp_scene",
    "https://work.weixin.qq.com/ca/x?comp_scene=",
    "https://work.weixin.qq.com/ca/x?comp_scene=a&comp_scene=b",
    "https://work.weixin.qq.com/ca/x?comp_scene=a&",
    "https://work.weixin.qq.com/ca/x?&comp_scene=a",
    "https://work.weixin.qq.com/ca/x?comp_scene=a&y=1",
    "https://work.weixin.qq.com/ca/x?comp_scene=a;y=1",
    "https://work.weixin.qq.com/ca/x?Comp_Scene=a",
    "https://work.weixin.qq.com/ca/x?comp%5Fscene=a",
    "https://work.weixin.qq.com/ca/x?comp_scene=%",
    "https://work.weixin.qq.com/ca/x?comp_scene=%4",
    "https://work.weixin.qq.com/ca/x?comp_scene=%zz",
    "https://work.weixin.qq.com/ca/x?comp_scene=%+4",
    "https://work.weixin.qq.com/ca/x?comp_scene=%00",
    "https://work.weixin.qq.com/ca/x?comp_scene=a%0d%0ab",
    "https://work.weixin.qq.com/ca/x?comp_scene=%253D",
    "https://work.weixin.qq.com/ca/x?comp_scene=%E5%90%8D",
    "https://work.weixin.qq.com/ca/x?comp_scene=%23",
    "https://work.weixin.qq.com/ca/x?comp_scene=a b",
    "https://work.weixin.qq.com/ca/x?comp_scene=名",
    "https://work.weixin.qq.com/ca/x?comp_scene=a/b",
    "https://work.weixin.qq.com/ca/x?comp_scene=a#b",
    "https://work.weixin.qq.com/ca/x?comp_scene=<a>",
    "https://work.weixin.qq.com/ca/x?enc_scene=a",
    "https://work.weixin.qq.com/ca/x?scene_param=a",
    "https://work.weixin.qq.com/kf/x?comp_scene=a",
    "https://work.weixin.qq.com/kf/x?customer_channel=mine",
    "https://work.weixin.qq.com/kf/x?enc_scene=",
    "https://work.weixin.qq.com/kf/x?enc_scene=a&enc_scene=b",
    "https://work.weixin.qq.com/kf/x?enc_scene=a&encScene=b",
    "https://work.weixin.qq.com/kf/x?ENC_SCENE=a",
    "https://work.weixin.qq.com/kf/x?enc_scene=a&scene_param=%0a",
    "https://work.weixin.qq.com/kf/x?enc_scene=a&scene_param=%ff",
    "https://work.weixin.qq.com/kf/x?enc_scene=a&scene_param=https://evil.example",
    "https://work.weixin.qq.com/kf/x?enc_scene=a&scene_param=",
    "https://work.weixin.qq.com/kfid/x/y",
    "https://work.weixin.qq.com/kfid",
    "https://work.weixin.qq.com/kfids/x",
    "http://work.weixin.qq.com/kfid/x",
    "https://work.weixin.qq.com/kf/x#wechat_redirect",
];

#[test]
fn links_as_wecom_gives_them_are_kept_unedited() {
    for good in GOOD {
        let uri = AcquisitionUri::parse(good).unwrap_or_else(|e| panic!("{good}: {e}"));
        assert_eq!(uri.as_str(), *good);
        assert!(KfUri::parse(good).is_err(), "{good}");
        assert!(is_wecom_link(good), "{good}");
    }
    for good in GOOD_KF {
        let uri = KfUri::parse(good).unwrap_or_else(|e| panic!("{good}: {e}"));
        assert_eq!(uri.as_str(), *good);
        assert!(AcquisitionUri::parse(good).is_err(), "{good}");
        assert!(is_wecom_link(good), "{good}");
    }
}

#[test]
fn hostile_links_are_refused() {
    assert!(HOSTILE.len() >= 120);
    for bad in HOSTILE {
        let said = AcquisitionUri::parse(bad).expect_err(bad);
        assert!(said.starts_with("must "), "{said}");
        let said = KfUri::parse(bad).expect_err(bad);
        assert!(said.starts_with("must "), "{said}");
    }
}

#[test]
fn a_redirect_leads_to_nothing_hostile() {
    // With a channel is how a tap's link looks; it is refused only as a card's.
    let ours = |uri: &&&str| !uri.contains("customer_channel=mine") || uri.contains("/kf/");
    for bad in HOSTILE.iter().filter(ours) {
        assert!(!is_wecom_link(bad), "{bad}");
    }
    for bad in [
        "https://work.weixin.qq.com/ca/x?customer_channel=a&customer_channel=b",
        "https://work.weixin.qq.com/ca/x?customer_channel=a%20b",
        "https://work.weixin.qq.com/ca/x?customer_channel=a=b",
        &format!(
            "https://work.weixin.qq.com/ca/x?customer_channel={}",
            "a".repeat(65)
        ),
    ] {
        assert!(!is_wecom_link(bad), "{bad}");
    }
}

#[test]
fn length_is_counted_in_bytes_with_everything() {
    let of = |n: usize| format!("https://work.weixin.qq.com/ca/{}", "x".repeat(n - 30));
    let longest = AcquisitionUri::parse(&of(512)).unwrap();
    assert!(is_wecom_link(
        longest.with_channel(&"x".repeat(64)).as_str()
    ));
    let said = AcquisitionUri::parse(&of(513)).unwrap_err();
    assert_eq!(said, "must be at most 512 bytes long");
}

#[test]
fn an_own_channel_is_refused_in_its_own_words() {
    for own in [
        "?customer_channel=mine",
        "?comp_scene=a&customer_channel=mine",
    ] {
        let uri = format!("https://work.weixin.qq.com/ca/x{own}");
        assert_eq!(AcquisitionUri::parse(&uri).unwrap_err(), OWN_CHANNEL);
    }
}

#[test]
fn the_channel_joins_what_the_link_carries() {
    let token = "Az09_-".repeat(10) + "abcd";
    for (given, channeled) in [
        (
            "https://work.weixin.qq.com/ca/x",
            "https://work.weixin.qq.com/ca/x?customer_channel=",
        ),
        (
            "https://work.weixin.qq.com/ca/x?comp_scene=YWI%3D+",
            "https://work.weixin.qq.com/ca/x?comp_scene=YWI%3D+&customer_channel=",
        ),
    ] {
        let url = AcquisitionUri::parse(given).unwrap().with_channel(&token);
        assert_eq!(url.as_str(), format!("{channeled}{token}"));
        assert!(is_wecom_link(url.as_str()));
    }
}

#[test]
fn stored_links_are_parsed_again_on_the_way_in() {
    let uri = AcquisitionUri::parse(GOOD[0]).unwrap();
    let json = serde_json::to_string(&uri).unwrap();
    assert_eq!(json, format!("\"{}\"", GOOD[0]));
    assert_eq!(serde_json::from_str::<AcquisitionUri>(&json).unwrap(), uri);
    assert!(serde_json::from_str::<AcquisitionUri>("\"javascript:x\"").is_err());
    assert!(serde_json::from_str::<KfUri>("\"https://evil.example/kf/x\"").is_err());
    assert_eq!(
        serde_json::from_str::<KfUri>(&format!("\"{}\"", GOOD_KF[0]))
            .unwrap()
            .as_str(),
        GOOD_KF[0]
    );
}
