//! What is not WeCom's is not taken, and who sends it learns nothing.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_signature_is_taken() {
    let door = Door::open(Engine::Sqlite, "").await;
    let (query, encrypt) = door.sealed(&door.envelope, CORP_ID, &door.added(USER));
    let (right, rest) = query["msg_signature=".len()..].split_at(40);
    let mut forged = vec![String::new(), right[..39].into(), right.to_uppercase()];
    forged.extend([
        format!("{right}0"),
        format!("+{right}"),
        right.chars().rev().collect(),
    ]);
    for place in 0..40 {
        for digit in "0123456789abcdef"
            .chars()
            .filter(|d| !right[place..].starts_with(*d))
        {
            let mut other = right.to_owned();
            other.replace_range(place..=place, &digit.to_string());
            forged.push(other);
        }
    }
    forged.extend((0..600_u128).map(|n| format!("{:040x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    assert!(forged.len() > 1200);
    for some in forged.chunks(32) {
        let posts = some.iter().map(async |signature| {
            let query = format!("msg_signature={signature}{rest}");
            let answer = door.post("klook", &query, to_post(CORP_ID, &encrypt)).await;
            (answer.status().as_u16(), answer.text().await.unwrap())
        });
        for (answer, signature) in join_all(posts).await.into_iter().zip(some) {
            assert_eq!(answer, (403, String::new()), "{signature}");
        }
    }
    for (changed, other) in [("timestamp=1", "timestamp=2"), ("nonce=1", "nonce=2")] {
        let query = query.replace(changed, other);
        let answer = door.post("klook", &query, to_post(CORP_ID, &encrypt)).await;
        assert_eq!(answer.status(), 403, "{query}");
    }
    assert_eq!(door.rows().await, 0);
    let answer = door.post("klook", &query, to_post(CORP_ID, &encrypt)).await;
    assert_eq!(answer.status(), 200, "the right one");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_meant_learns_nothing() {
    let door = Door::open(Engine::Sqlite, "").await;
    let add = door.added(USER);
    let other = Envelope::new("QDG6eL".into(), &KEY.into()).unwrap();
    assert_eq!(door.tell_as(&other, CORP_ID, &add).await, 403);
    assert_eq!(
        door.tell_as(&door.envelope, "wx5823bf96d3bd56c8", &add)
            .await,
        403
    );
    assert_eq!(door.tell_as(&door.envelope, "", &add).await, 403);
    assert_eq!(
        door.tell_as(&door.envelope, "WX5823BF96D3BD56C7", &add)
            .await,
        200
    );

    let (query, encrypt) = door.sealed(&door.envelope, CORP_ID, &door.added("wo-2"));
    let body = || to_post(CORP_ID, &encrypt);
    let forged = query.replace("msg_signature=", "msg_signature=0");
    let said = async |corp: &str, query: &str| {
        let answer = door.post(corp, query, body()).await;
        let mut headers = answer.headers().clone();
        headers.remove("x-request-id");
        headers.remove("date");
        (answer.status(), headers, answer.text().await.unwrap())
    };
    let no_corp = said("nobody", &query).await;
    assert_eq!(no_corp.0, 403);
    for (corp, query) in [("klook", &forged), ("KLOOK", &query), ("%ff", &query)] {
        assert_eq!(said(corp, query).await, no_corp, "{corp}");
    }
    let echo = format!("{ECHO_QUERY}&echostr={ECHO}");
    assert_eq!(door.get("nobody", &echo).await, (403, String::new()));
    assert_eq!(door.get("klook", ECHO_QUERY).await, (403, String::new()));
    assert_eq!(door.get("klook", "").await, (403, String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_callback_is_refused() {
    let door = Door::open(Engine::Sqlite, "").await;
    let laughs: String = (1..10)
        .map(|n| format!("<!ENTITY l{n} \"{}\">", format!("&l{};", n - 1).repeat(10)))
        .collect();
    let laughs = format!("<!DOCTYPE xml [<!ENTITY l0 \"ha\">{laughs}]>");
    let add = door.added(USER);
    let deep = format!("{}{}", "<a>".repeat(5000), "</a>".repeat(5000));
    let wide = "<a/>".repeat(256);
    let began = Instant::now();
    for message in [
        "hello".to_owned(),
        String::new(),
        "{\"CreateTime\":1}".into(),
        format!("{laughs}{add}"),
        laughs.clone() + &add.replace(STATE, "]]>&l9;<![CDATA["),
        add.replace("<xml>", &format!("<xml>{deep}")),
        add.replace("<xml>", &format!("<xml>{wide}")),
        add.replace("</xml>", ""),
        add.replace(USER, &"w".repeat(257)),
    ] {
        assert_eq!(door.tell(&message).await, 400, "{message}");
    }
    let (query, encrypt) = door.sealed(&door.envelope, CORP_ID, &add);
    let body = to_post(CORP_ID, &encrypt);
    for (bad, status) in [
        (String::new(), 400),
        ("hello".into(), 400),
        (format!("{laughs}{body}"), 400),
        (body.replace("<xml>", &format!("<xml>{deep}")), 400),
        (body.replace("<xml>", &format!("<xml>{wide}")), 400),
        (body.replace("Encrypt", "Other"), 400),
        (to_post(CORP_ID, "not base64"), 403),
        (format!("{body}{}", " ".repeat(64 * 1024)), 413),
    ] {
        let answer = door.post("klook", &query, bad).await;
        assert_eq!(answer.headers()["connection"], "close");
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap()),
            (status, String::new())
        );
    }
    assert!(began.elapsed() < Duration::from_secs(10));
    // What has no signature is not looked at.
    for unsigned in ["", "msg_signature=0", &query.replacen('=', "=x", 1)] {
        let answer = door.post("klook", unsigned, "hello".into()).await;
        assert_eq!(answer.status(), 403, "{unsigned}");
    }
    let put = door
        .client
        .put(door.url("klook", &query))
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 405);
    assert_eq!(door.rows().await, 0);
}

/// Who caught a callback may send it as if WeCom had asked whether its messages are read here.
#[tokio::test(flavor = "multi_thread")]
async fn a_caught_callback_is_not_read_to_who_caught_it() {
    let door = Door::open(Engine::Sqlite, "").await;
    let echo = async |message: &str| {
        let (query, encrypt) = door.sealed(&door.envelope, CORP_ID, message);
        let echo: String = byte_serialize(encrypt.as_bytes()).collect();
        door.get("klook", &format!("{query}&echostr={echo}")).await
    };
    let (add, long) = (door.added(USER), "7".repeat(64));
    for number in ["0", "5927782489442352469", &long] {
        assert_eq!(echo(number).await, (200, number.to_owned()));
    }
    let longer = format!("{long}7");
    for other in [&add, "", " 1", "1\n", "-1", "1e9", "\u{661}", &longer] {
        assert_eq!(echo(other).await, (403, String::new()), "{other:?}");
    }
}
