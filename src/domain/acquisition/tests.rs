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
