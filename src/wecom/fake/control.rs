//! The fake's console over HTTP: JSON in, JSON out, all below `/fake`.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Console, Friends, Shape, Switch, Travel};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct App {
    corp_id: String,
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfCorp {
    corp_id: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ahead {
    seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Callback {
    corp_id: String,
    url: String,
    token: String,
    encoding_aes_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tapped {
    uri: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bought {
    corp_id: String,
    adds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfLink {
    link_id: String,
}

pub(super) fn router(console: &Console) -> Router {
    Router::new()
        .route("/apps", post(add_app))
        .route("/faults", post(fail).delete(heal))
        .route("/shape", put(shape))
        .route("/clock", post(advance))
        .route("/tokens/invalidate", post(invalidate))
        .route("/tokens/expire", post(expire))
        .route("/counts", get(counts))
        .route("/links", get(links))
        .route("/links/break", post(break_link))
        .route("/links/mend", post(mend_link))
        .route("/links/delete", post(delete_link))
        .route("/callbacks", post(set_callback).get(delivered))
        .route("/travel", put(travel))
        .route("/taps", post(tap))
        .route("/chats", post(chat))
        .route("/leavings", post(leave))
        .route("/quota", post(top_up))
        .with_state(console.clone())
}

async fn add_app(State(console): State<Console>, Json(app): Json<App>) -> Json<Value> {
    console.add_app(&app.corp_id, &app.secret);
    done()
}

async fn fail(State(console): State<Console>, Json(switch): Json<Switch>) -> Json<Value> {
    console.fail(switch);
    done()
}

async fn heal(State(console): State<Console>) -> Json<Value> {
    console.heal();
    done()
}

async fn shape(State(console): State<Console>, Json(shape): Json<Shape>) -> Json<Value> {
    console.set_shape(shape);
    done()
}

async fn advance(State(console): State<Console>, Json(ahead): Json<Ahead>) -> Json<Value> {
    console.advance(Duration::from_secs(ahead.seconds));
    done()
}

async fn invalidate(State(console): State<Console>, Json(of): Json<OfCorp>) -> Json<Value> {
    console.invalidate_tokens(&of.corp_id);
    done()
}

async fn expire(State(console): State<Console>, Json(of): Json<OfCorp>) -> Json<Value> {
    console.expire_tokens(&of.corp_id);
    done()
}

async fn counts(State(console): State<Console>) -> Json<Value> {
    let hits = console.world().hits.clone();
    Json(json!(hits))
}

async fn links(State(console): State<Console>) -> Json<Value> {
    Json(json!(console.links()))
}

async fn break_link(State(console): State<Console>, Json(of): Json<OfLink>) -> Json<Value> {
    console.break_link(&of.link_id);
    done()
}

async fn mend_link(State(console): State<Console>, Json(of): Json<OfLink>) -> Json<Value> {
    console.mend_link(&of.link_id);
    done()
}

async fn delete_link(State(console): State<Console>, Json(of): Json<OfLink>) -> Json<Value> {
    console.delete_link(&of.link_id);
    done()
}

/// 422 where the address does not show that it reads what WeCom sends.
async fn set_callback(
    State(console): State<Console>,
    Json(to): Json<Callback>,
) -> Result<Json<Value>, (StatusCode, String)> {
    console
        .set_callback(&to.corp_id, &to.url, &to.token, &to.encoding_aes_key)
        .await
        .map(|()| done())
        .map_err(|e| (StatusCode::UNPROCESSABLE_ENTITY, e.to_string()))
}

async fn delivered(State(console): State<Console>) -> Json<Value> {
    Json(json!(console.delivered()))
}

async fn travel(State(console): State<Console>, Json(travel): Json<Travel>) -> Json<Value> {
    console.set_travel(travel);
    done()
}

async fn tap(State(console): State<Console>, Json(tap): Json<Tapped>) -> Json<Value> {
    Json(json!(console.tap(&tap.uri, &tap.user)))
}

async fn chat(State(console): State<Console>, Json(friends): Json<Friends>) -> Json<Value> {
    console.chat(&friends);
    done()
}

async fn leave(State(console): State<Console>, Json(friends): Json<Friends>) -> Json<Value> {
    console.leave(&friends);
    done()
}

async fn top_up(State(console): State<Console>, Json(bought): Json<Bought>) -> Json<Value> {
    console.top_up(&bought.corp_id, bought.adds);
    done()
}

fn done() -> Json<Value> {
    Json(json!({}))
}
