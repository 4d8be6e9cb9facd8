use super::*;

fn uri() -> AcquisitionUri {
    AcquisitionUri::parse("https://work.weixin.qq.com/ca/cawcdea7783d7330c6").unwrap()
}

fn kf() -> KfUri {
    KfUri::parse("https://work.weixin.qq.com/kfid/kfc0123456789abcdef").unwrap()
}

fn wecom(target: WecomTarget, fallback: Option<KfUri>) -> Wecom {
    Wecom {
        corp: None,
        target,
        fallback,
    }
}

#[test]
fn a_contact_leads_to_its_link_then_to_its_fallback_then_nowhere() {
    let name = AcquisitionLinkName::parse("corps/c/acquisitionLinks/l").unwrap();
    let works = LinkHealth::Works(uri());
    for cause in [Cause::Exhausted, Cause::Unavailable, Cause::Closed] {
        let fails = LinkHealth::Fails(cause);
        for target in [
            WecomTarget::Link(name.clone()),
            WecomTarget::Acquisition(uri()),
        ] {
            let bare = wecom(target.clone(), None);
            let with = wecom(target, Some(kf()));
            assert_eq!(bare.route(&works), Ok(Route::Acquisition(uri())));
            assert_eq!(with.route(&works), Ok(Route::Acquisition(uri())));
            assert_eq!(bare.route(&fails), Err(cause));
            assert_eq!(with.route(&fails), Ok(Route::Kf(kf())));
        }
        let chat = wecom(WecomTarget::Kf(kf()), None);
        assert_eq!(chat.route(&fails), Ok(Route::Kf(kf())));
    }
}

#[test]
fn a_name_at_wecom_reads_back_as_name_and_tag() {
    let tag = tag([0, 31, 32, 255, 7, 8, 9, 10]);
    assert_eq!(tag, "0z0z789a");
    assert_eq!(
        untagged(&format!("官网 link {tag}")),
        ("官网 link".to_owned(), Some(&*tag))
    );
    // Renamed at WeCom.
    for bare in ["link", "link 0z0z789", "link 0z0z789A", "0z0z789a"] {
        assert_eq!(untagged(bare), (bare.to_owned(), None));
    }
    let long = "名".repeat(30);
    assert_eq!(untagged(&long), ("名".repeat(20), None));
}

fn second(n: i64) -> Micros {
    Micros::from_seconds(n)
}

#[test]
fn a_quota_takes_no_news_that_is_older_than_what_it_knows() {
    let asked = second(100) + std::time::Duration::from_millis(500);
    let known = Quota::default().answered(50, 0, Vec::new(), asked);
    assert_eq!((known.level, known.as_of), (Level::Exhausted, Some(asked)));
    for (then, told) in [(99, None), (100, None), (101, Some(Level::Sufficient))] {
        let news = known.told(Level::Sufficient, second(then));
        assert_eq!(news.map(|quota| quota.level), told, "{then}");
    }
    let told = known.told(Level::Sufficient, second(101)).unwrap();
    assert_eq!((told.balance, told.as_of), (0, Some(asked)));
    // An answer of a time before brings figures, and not the last word.
    let late = told.answered(60, 10, Vec::new(), second(100));
    assert_eq!((late.balance, late.level), (10, Level::Sufficient));
    assert_eq!(late.level_time, second(101));
    for (balance, level) in [
        (-1, Level::Exhausted),
        (0, Level::Exhausted),
        (1, Level::Low),
        (19, Level::Low),
        (20, Level::Sufficient),
    ] {
        assert_eq!(Level::of(balance), level, "{balance}");
    }
}
