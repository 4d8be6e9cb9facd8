//! The fake's console over HTTP: JSON in, JSON out, all below `/fake`.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    routing::{get, post, put},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Console, Shape, Switch};

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

fn done() -> Json<Value> {
    Json(json!({}))
}
