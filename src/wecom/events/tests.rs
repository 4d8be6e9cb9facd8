use proptest::prelude::*;

use super::*;

/// An event as WeCom writes it, with these elements of its own.
fn event(event: &str, change_type: &str, more: &str) -> String {
    format!(
        "<xml><ToUserName><![CDATA[ww1]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>\
         <CreateTime>1700000000</CreateTime><MsgType><![CDATA[event]]></MsgType>\
         <Event><![CDATA[{event}]]></Event><ChangeType><![CDATA[{change_type}]]></ChangeType>\
         {more}</xml>"
    )
}

fn added(more: &str) -> String {
    event("change_external_contact", "add_external_contact", more)
}

#[test]
fn an_add_reads_in_full() {
    let text = added(
        "<UserID><![CDATA[zhangsan]]></UserID>\
         <ExternalUserID><![CDATA[woAJ2GCAAAXtWyujaWJHDDGi0mAAAA]]></ExternalUserID>\
         <State><![CDATA[teststate]]></State><WelcomeCode><![CDATA[CODE]]></WelcomeCode>",
    );
    let notice = Notice {
        kind: NoticeKind::Added,
        event_time: Micros(1_700_000_000_000_000),
        user_id: "zhangsan".into(),
        external_user_id: "woAJ2GCAAAXtWyujaWJHDDGi0mAAAA".into(),
        link_id: String::new(),
        state: "teststate".into(),
    };
    assert_eq!(read(text.as_bytes()).unwrap().notice, notice);
}

#[test]
fn every_change_has_its_kind() {
    use NoticeKind::*;
    let (contact, acquisition) = ("change_external_contact", "customer_acquisition");
    for (name, change, kind) in [
        (contact, "add_external_contact", Added),
        (contact, "add_half_external_contact", HalfAdded),
        (contact, "edit_external_contact", Edited),
        (contact, "del_external_contact", RemovedByMember),
        (contact, "del_follow_user", RemovedByUser),
        (contact, "transfer_fail", TransferFailed),
        (acquisition, "open_profile", ProfileOpened),
        (acquisition, "friend_request", FriendRequested),
        (acquisition, "customer_start_chat", ChatStarted),
        (acquisition, "message_from_customer", MessageReceived),
        (acquisition, "del_follow_user", RemovedByUser),
        (acquisition, "balance_low", BalanceLow),
        (acquisition, "balance_exhausted", BalanceExhausted),
        (acquisition, "balance_increased", BalanceIncreased),
        (acquisition, "quota_expire_soon", QuotaExpiresSoon),
        (acquisition, "link_unavailable", LinkUnavailable),
        (acquisition, "delete_link", LinkDeleted),
        (acquisition, "add_external_contact", Unknown),
        (acquisition, "change_price", Unknown),
        (contact, "", Unknown),
        ("change_external_tag", "create", Unknown),
    ] {
        let read = read(event(name, change, "").as_bytes()).unwrap();
        assert_eq!(read.notice.kind, kind, "{name} {change}");
    }
    let message = "<xml><CreateTime>1409659813</CreateTime><MsgType>text</MsgType></xml>";
    assert_eq!(read(message.as_bytes()).unwrap().notice.kind, Unknown);
}

#[test]
fn space_between_and_fields_of_later_days_do_not_matter() {
    let tight = read(added("<UserID>z</UserID><State>s&amp;&#65;</State>").as_bytes()).unwrap();
    let loose = read(
        added(
            "\n\t<UserID>\n <![CDATA[z]]>\r\n</UserID>\n<State><![CDATA[s&A]]></State>\n\
               <Later><Item id=\"1\">x</Item><Item/></Later><!-- and a comment -->",
        )
        .as_bytes(),
    );
    assert_eq!(tight, loose.unwrap());
    assert_eq!(tight.notice.state, "s&A");
    let declared = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
        added("")
    );
    assert!(read(declared.as_bytes()).is_ok());
}

#[test]
fn events_that_differ_have_another_identity() {
    let of = |text: String| read(text.as_bytes()).unwrap().identity;
    let all = [
        added(""),
        added("<UserID>a</UserID>"),
        added("<ExternalUserID>a</ExternalUserID>"),
        added("<UserID>a</UserID><ExternalUserID>b</ExternalUserID>"),
        added("<UserID>ab</UserID>"),
        added("<LinkId>a</LinkId>"),
        added("<State>a</State>"),
        added("<WelcomeCode>a</WelcomeCode>"),
        added("").replace("ww1", "ww2"),
        added("").replace("1700000000", "1700000001"),
        event("change_external_contact", "del_follow_user", ""),
        event("customer_acquisition", "del_follow_user", ""),
        added(&format!("<State>{}a</State>", "s".repeat(MAX_STATE))),
        added(&format!("<State>{}b</State>", "s".repeat(MAX_STATE))),
    ];
    let identities: std::collections::BTreeSet<_> = all.into_iter().map(of).collect();
    assert_eq!(identities.len(), 14);
    let again = added("<UserID>a</UserID>").replace("sys", "other");
    assert!(
        identities.contains(&of(again)),
        "what does not tell them apart"
    );
}

#[test]
fn a_long_state_is_cut_and_a_long_id_refused() {
    let state = format!("{}名", "s".repeat(MAX_STATE - 1));
    let read_state = read(added(&format!("<State>{state}</State>")).as_bytes()).unwrap();
    assert_eq!(read_state.notice.state, "s".repeat(MAX_STATE - 1));
    for name in ["UserID", "ExternalUserID", "LinkId"] {
        let id = |length| added(&format!("<{name}>{}</{name}>", "i".repeat(length)));
        assert!(read(id(MAX_ID).as_bytes()).is_ok(), "{name}");
        assert!(read(id(MAX_ID + 1).as_bytes()).is_err(), "{name}");
    }
}

#[test]
fn what_is_no_event_is_refused() {
    let at = |time: &str| added("").replace("1700000000", time);
    let deep = format!("{}{}", "<a>".repeat(9), "</a>".repeat(9));
    let laughs = "<!DOCTYPE xml [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>";
    for bad in [
        String::new(),
        "{}".into(),
        "<xml>".into(),
        at(""),
        at("soon"),
        at("-1"),
        at("99999999999999999"),
        added("<CreateTime>1700000001</CreateTime>"),
        added("<UserID><b>z</b></UserID>"),
        added(&deep),
        added("<State>&b;</State>"),
        format!("{laughs}{}", added("<State>&b;</State>")),
        format!("{laughs}{}", added("")),
        "<!DOCTYPE xml SYSTEM \"file:///etc/passwd\">".to_owned() + &added(""),
        format!("<?php echo 1 ?>{}", added("")),
        added("") + "<xml></xml>",
        added(&" ".repeat(64 * 1024)),
    ] {
        assert!(read(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(read(b"<xml><CreateTime>1700000000</CreateTime><State>\xff</State></xml>").is_err());
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(text in ".{0,300}", bytes in any::<Vec<u8>>()) {
        let _ = read(text.as_bytes());
        let _ = read(&bytes);
        let read = read(added(&format!("<State><![CDATA[{text}]]></State>")).as_bytes());
        if let Ok(event) = read {
            prop_assert!(event.notice.state.len() <= MAX_STATE);
        }
    }
}
