//! buf, through reflection alone.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use serde_json::Value;

use super::{run, tool};
use crate::support::{Engine, TestServer};

#[tokio::test(flavor = "multi_thread")]
async fn buf_curl_finds_and_calls_methods_through_reflection() {
    let server = TestServer::start(Engine::Sqlite).await;
    let curl = async |more: &[&str]| {
        let mut arguments = vec!["curl", "--protocol", "grpc", "--http2-prior-knowledge"];
        arguments.extend(more);
        let arguments = arguments.into_iter().map(ToOwned::to_owned);
        run(tool("TEST_BUF"), arguments.collect()).await
    };
    let server = format!("http://{}", server.grpc);

    let listed = curl(&["--list-methods", &server]).await;
    assert_eq!(listed.code, 0, "{}", listed.err);
    for method in [
        "mingpian.v1.CardService/CreateCard",
        "mingpian.v1.PlacementService/SendCard",
        "mingpian.v1.ServingService/OpenCard",
        "mingpian.v1.LinkService/VerifyProvenance",
        "grpc.health.v1.Health/Check",
    ] {
        assert!(
            listed.out.lines().any(|line| line == method),
            "{}",
            listed.out
        );
    }

    let list = format!("{server}/mingpian.v1.CardService/ListCards");
    let cards = curl(&["-d", r#"{"parent":"merchants/klook"}"#, &list]).await;
    assert_eq!((cards.code, cards.out.trim()), (0, "{}"), "{}", cards.err);
    let refused = curl(&["-d", r#"{"parent":"klook"}"#, &list]).await;
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("invalid_argument"), "{}", refused.err);
    let said: Value = serde_json::from_str(&refused.err).unwrap();
    assert_eq!(said["details"][0]["type"], "google.rpc.ErrorInfo");
    let info = said["details"][0]["value"].as_str().unwrap();
    let info = BASE64_STANDARD_NO_PAD.decode(info).unwrap();
    assert!(String::from_utf8_lossy(&info).contains("FIELD_INVALID"));
}
