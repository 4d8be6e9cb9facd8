//! Under which token and key WeCom's callbacks are taken while they are rotated.

use super::*;

on_both_engines!(
    the_secrets_before_a_rotation_hold_for_a_day,
    a_rotation_in_two_steps_loses_no_callback,
    of_keys_that_leaked_nothing_is_taken_from_then_on,
);

async fn the_secrets_before_a_rotation_hold_for_a_day(engine: Engine) {
    let door = Door::open(engine, "").await;
    let key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
    let request = pb::UpdateCorpRequest {
        corp: Some(pb::Corp {
            name: "corps/klook".into(),
            callback_token: "another".into(),
            encoding_aes_key: key.into(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut corps = WecomServiceClient::new(door.server.channel().await);
    corps.update_corp(request).await.unwrap();
    let new = Envelope::new("another".into(), &key.into()).unwrap();
    let mixed = Envelope::new("another".into(), &KEY.into()).unwrap();
    let tell = async |envelope, user| door.tell_as(envelope, CORP_ID, &door.added(user)).await;
    assert_eq!(tell(&new, "wo-1").await, 200);
    assert_eq!(tell(&door.envelope, "wo-2").await, 200);
    assert_eq!(tell(&mixed, "wo-3").await, 403);
    door.server.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(tell(&door.envelope, "wo-4").await, 403);
    assert_eq!(tell(&new, "wo-5").await, 200);
    assert_eq!(door.rows().await, 3);

    let request = pb::DeleteCorpRequest {
        name: "corps/klook".into(),
        ..Default::default()
    };
    corps.delete_corp(request).await.unwrap();
    assert_eq!(tell(&new, "wo-6").await, 403, "the corp is deleted");
}

/// At WeCom both are entered at once, and that may be before, between or after the two calls.
async fn a_rotation_in_two_steps_loses_no_callback(engine: Engine) {
    let door = Door::open(engine, "").await;
    let mut corps = WecomServiceClient::new(door.server.channel().await);
    let mut rotate = async |token: &str, key: &str| {
        let request = pb::UpdateCorpRequest {
            corp: Some(pb::Corp {
                name: "corps/klook".into(),
                callback_token: token.into(),
                encoding_aes_key: key.into(),
                ..Default::default()
            }),
            ..Default::default()
        };
        corps.update_corp(request).await.unwrap();
    };
    let key = |n: usize| format!("{n}bcdefghijklmnopqrstuvwxyz0123456789ABCDEFG");
    let envelope = |token: &str, key: &str| Envelope::new(token.into(), &key.into()).unwrap();
    let told = std::cell::Cell::new(0);
    let tell = async |envelope: &Envelope| {
        told.set(told.get() + 1);
        let add = door.added(&format!("wo-{}", told.get()));
        door.tell_as(envelope, CORP_ID, &add).await
    };
    let (between, new) = (envelope("another", KEY), envelope("another", &key(1)));
    rotate("another", "").await;
    assert_eq!(tell(&door.envelope).await, 200);
    door.server.clock.advance(Duration::from_secs(60 * 60));
    rotate("", &key(1)).await;
    for pair in [&door.envelope, &between, &new] {
        assert_eq!(tell(pair).await, 200);
    }
    assert_eq!(tell(&envelope(TOKEN, &key(1))).await, 403, "never a pair");
    // Each has a day of its own.
    door.server.clock.advance(Duration::from_secs(23 * 60 * 60));
    for (pair, status) in [(&door.envelope, 403), (&between, 200), (&new, 200)] {
        assert_eq!(tell(pair).await, status);
    }
    for n in 2..=5 {
        rotate("", &key(n)).await;
    }
    for (n, status) in [(1, 200), (2, 200), (5, 200)] {
        assert_eq!(tell(&envelope("another", &key(n))).await, status);
    }
    assert_eq!(tell(&between).await, 403, "there are four before, no more");
}

async fn of_keys_that_leaked_nothing_is_taken_from_then_on(engine: Engine) {
    let door = Door::open(engine, "").await;
    let mut corps = WecomServiceClient::new(door.server.channel().await);
    let mut rotate = async |token: &str, drop_previous_secrets| {
        let request = pb::UpdateCorpRequest {
            corp: Some(pb::Corp {
                name: "corps/klook".into(),
                callback_token: token.into(),
                ..Default::default()
            }),
            drop_previous_secrets,
            ..Default::default()
        };
        corps.update_corp(request).await.unwrap();
    };
    let envelope = |token: &str| Envelope::new(token.into(), &KEY.into()).unwrap();
    let tell = async |token: &str| {
        let add = door.added(&format!("wo-{token}"));
        door.tell_as(&envelope(token), CORP_ID, &add).await
    };
    rotate("second", false).await;
    assert_eq!((tell(TOKEN).await, tell("second").await), (200, 200));
    rotate("third", true).await;
    for (token, status) in [(TOKEN, 403), ("second", 403), ("third", 200)] {
        assert_eq!(tell(token).await, status, "{token}");
    }
    // Also afterwards, with nothing new.
    rotate("fourth", false).await;
    assert_eq!(tell("third").await, 200);
    rotate("", true).await;
    assert_eq!((tell("third").await, tell("fourth").await), (403, 200));
    let store = &door.server.app.store;
    let audit = store.reads().audit_of("corps/klook").await.unwrap();
    let details: Vec<_> = audit.iter().skip(1).map(|row| &*row.detail).collect();
    let rotated = "secrets=callback_token";
    let dropped = "secrets=callback_token previous=dropped";
    assert_eq!(
        details,
        [rotated, dropped, rotated, "secrets= previous=dropped"]
    );
}
