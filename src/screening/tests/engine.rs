use super::*;

/// The category of what a link leads to.
fn leads(link: &str) -> Option<Category> {
    BOOK.link(link).first().map(|finding| finding.category)
}

#[test]
fn a_link_is_what_its_host_is_and_not_what_it_looks_like() {
    for (link, category) in [
        ("https://u.wechat.com/abc?s=2", Category::WechatId),
        ("https://work.weixin.qq.com/gm/00", Category::GroupInvite),
        ("https://WORK.weixin.qq.com./ca/00", Category::Wecom),
        ("https://weixin.qq.com.evil.com/g/1", Category::ExternalLink),
        ("https://xiaohongshu.com@evil.com/", Category::ExternalLink),
        ("https://notxiaohongshu.com/", Category::ExternalLink),
        (
            "weixin://biz/ww/profile/https%3A%2F%2Fwork.weixin.qq.com%2Fca%2F1",
            Category::Wecom,
        ),
        (
            "https://www.xiaohongshu.com/r?u=https%253A%252F%252Fu.wechat.com%252Fa",
            Category::WechatId,
        ),
        ("wxp://f2f0abc", Category::ExternalLink),
    ] {
        assert_eq!(leads(link), Some(category), "{link}");
    }
}

#[test]
fn the_platforms_own_links_are_no_finding() {
    for link in [
        "https://www.xiaohongshu.com/explore/13800001234",
        "http://xhslink.com/a/vx_abc123",
        "https://www.12306.cn/index",
        "xhsdiscover://item/1",
    ] {
        assert_eq!(leads(link), None, "{link}");
        assert_eq!(BOOK.text(link), [], "{link}");
    }
}

#[test]
fn a_host_that_only_looks_like_the_platforms_is_another() {
    for link in [
        "https://xıaohongshu.com/a",
        "https://xiáohongshu.com/a",
        "https://xia\u{301}ohongshu.com/a",
        "https://хiaohongshu.com/a",
        "https://xhslınk.com/a",
    ] {
        let found = BOOK.text(&format!("看这里 {link}"));
        let category = found.first().map(|finding| finding.category);
        assert_eq!(category, Some(Category::ExternalLink), "{link}");
    }
    // What Unicode takes for the same letters leads to the same host.
    assert_eq!(BOOK.text("看这里 https://ｘｉａｏｈｏｎｇｓｈｕ.com/a"), []);
}

#[test]
fn findings_are_sixteen_at_most() {
    assert_eq!(BOOK.text(&"1234567@qq.com ".repeat(100)).len(), 16);
}

#[test]
fn harmless_links_in_front_hide_no_bad_one() {
    let bad = "https://u.wechat.com/abc";
    let own = "https://xhslink.com/a?u=".repeat(20);
    assert_eq!(leads(&format!("{own}{bad}")), Some(Category::WechatId));
    for front in ["https://xhslink.com/a ", "shop@b.cn "] {
        let findings = BOOK.text(&format!("{}{bad}", front.repeat(40)));
        let found = |finding: &Finding| finding.category == Category::WechatId;
        assert!(findings.iter().any(found), "{front}: {findings:?}");
    }
}

#[test]
fn a_question_that_holds_a_negation_is_no_warning() {
    for (text, found) in [
        ("能不能私下走", true),
        ("要不要私下走", true),
        ("我们不能私下走", false),
    ] {
        assert_eq!(!BOOK.text(text).is_empty(), found, "{text}");
    }
}

#[test]
fn digits_are_read_however_they_are_told() {
    for text in [
        "138零零零零qiqiba八",
        "139四个鸡蛋6688",
        "幺七七～洞洞洞洞～拐拐勾勾",
        "١٣٨٠٠٠٠٧٧٨٩",
        "1k3w8r0t0y0u0p7m7n8b9",
        "1, 3 8, 0, 0 0 0, 7 7, 8 9",
        "0044 7700 900 321",
    ] {
        let findings = BOOK.text(text);
        let found = findings.first().map(|finding| finding.category);
        assert_eq!(found, Some(Category::Phone), "{text}");
    }
}

#[test]
fn characters_told_by_their_numbers_are_read() {
    for text in [
        r"\u52a0\u5fae\u4fe1 lulu_0909",
        "&#24494;&#20449; lulu_0909",
        "%E5%BE%AE%E4%BF%A1 lulu_0909",
        "119 120 58 108 117 108 117 48 57 48 57",
        "77 78 3a 6c 75 6c 75 30 39 30 39",
    ] {
        let findings = BOOK.text(text);
        let found = |finding: &Finding| finding.category == Category::WechatId;
        assert!(findings.iter().any(found), "{text}: {findings:?}");
    }
}

#[test]
fn numbers_that_spell_nothing_stay_numbers() {
    let found = BOOK.text("电话 13 80 00 07 78 9");
    assert_eq!(
        found.first().map(|finding| finding.category),
        Some(Category::Phone)
    );
    assert_eq!(BOOK.text("今年每月用电 87 88 58 109 97 111 度"), []);
}

#[test]
fn who_tells_of_crooks_is_heard_from_afar() {
    let told = "换个软件说，要我先付定金，合同拍得很糊，我直接报警了";
    assert_eq!(BOOK.text(told), []);
    assert_ne!(BOOK.text("换个软件说，合同拍给你"), []);
}

#[test]
fn an_amount_right_against_a_number_is_none_of_somebody() {
    assert_eq!(BOOK.text("Q 200012元"), []);
    assert_ne!(BOOK.text("Q 200001234 头像五元一张"), []);
}
