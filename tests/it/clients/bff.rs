//! The mobile BFF in Python, with stubs made from the proto files alone.

use std::{fs, time::SystemTime};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as B64};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tonic::Request;

use super::{Ran, run, tool};
use crate::{
    on_both_engines,
    support::{
        CardClient, Engine, PlacementClient, Scratch, TestServer, create_card, in_menu, on_note,
        place,
    },
};

on_both_engines!(
    the_bff_plays_its_day,
    the_bff_plays_its_day_with_a_bearer_token
);

const ISSUER: &str = "https://id.example.com";

async fn play(server: &TestServer, more: &[&str]) -> Ran {
    let target = server.grpc.to_string();
    let asked = [
        "tests/bff/bff.py",
        "--target",
        &target,
        "--merchant",
        "klook",
    ];
    let arguments = [&asked[..], &["--notes", "n1,n2"], more].concat();
    let arguments = arguments.into_iter().map(ToOwned::to_owned);
    run(tool("TEST_PYTHON"), arguments.collect()).await
}

/// The merchant back office: a card, in the menu and on two notes.
async fn set_up(server: &TestServer, bearer: Option<&str>) {
    let channel = server.channel().await;
    let mut cards = CardClient::new(channel.clone());
    let card = create_card("klook", "main");
    cards.create_card(by(bearer, card)).await.unwrap();
    let mut placements = PlacementClient::new(channel);
    for (id, surface) in [
        ("menu", in_menu(1)),
        ("a", on_note("n1")),
        ("b", on_note("n2")),
    ] {
        let placement = place("klook", "main", id, surface);
        placements
            .create_placement(by(bearer, placement))
            .await
            .unwrap();
    }
}

fn by<T>(bearer: Option<&str>, message: T) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = bearer {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

fn told(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

fn a_day(authenticated: bool) -> Value {
    json!({
        "menu": ["WECOM", "PHONE", "WECHAT_ID"],
        "notes": 200,
        "capsules": ["WECOM", "WECOM"],
        "taps": 5,
        "authenticated": authenticated,
    })
}

async fn the_bff_plays_its_day(engine: Engine) {
    let server = TestServer::start(engine).await;
    let early = play(&server, &[]).await;
    assert_eq!(early.code, 1, "{}", early.out);
    assert!(
        early.err.contains("absence PLACEMENT_NOT_FOUND"),
        "{}",
        early.err
    );
    set_up(&server, None).await;
    assert_eq!(told(&play(&server, &[]).await), a_day(false));
}

async fn the_bff_plays_its_day_with_a_bearer_token(engine: Engine) {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8.as_ref()).unwrap();
    let public = B64.encode(pair.public_key());
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": public});
    let scratch = Scratch::new(engine).await;
    let jwks = scratch.file("jwks.json");
    fs::write(&jwks, json!({"keys": [key]}).to_string()).unwrap();
    let more = format!(
        "[auth]\nmode = \"jwt\"\nissuer = \"{ISSUER}\"\naudience = \"mingpian\"\njwks_file = \"{}\"",
        jwks.display()
    );
    let settings = scratch.settings(&more);
    let server = TestServer::on(scratch, &settings).await;
    let token = |scope: &str| {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap();
        let claims = json!({
            "iss": ISSUER, "aud": "mingpian", "sub": "bff", "scope": scope,
            "exp": now.as_secs() + 600,
        });
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("k1".to_owned());
        encode(&header, &claims, &EncodingKey::from_ed_der(pkcs8.as_ref())).unwrap()
    };

    set_up(&server, Some(&token("cards.write"))).await;
    let with_right = play(&server, &["--bearer", &token("serving.read")]).await;
    assert_eq!(told(&with_right), a_day(true));
    let without = play(&server, &["--bearer", &token("cards.read")]).await;
    assert!(
        without.err.contains("unexpected PERMISSION_DENIED"),
        "{}",
        without.err
    );
    let nobody = play(&server, &[]).await;
    assert!(
        nobody.err.contains("unexpected UNAUTHENTICATED"),
        "{}",
        nobody.err
    );
}
