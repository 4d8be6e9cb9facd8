//! The part of WeCom's API that we use.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, Query, State},
    middleware::from_fn_with_state,
    response::Response,
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Console,
    answer::{INVALID_PARAMETER, Outcome, answer},
    fault::inject,
    tokens::Asked,
    world::World,
};
use crate::domain::Micros;

#[derive(Deserialize)]
struct Bearer {
    #[serde(default)]
    access_token: String,
}

pub(super) fn router(console: &Console) -> Router {
    let folder = "/externalcontact/customer_acquisition/{operation}";
    Router::new()
        .route("/gettoken", get(get_token))
        .route(folder, post(operate))
        // Not in the folder.
        .route("/externalcontact/customer_acquisition_quota", get(quota))
        .layer(from_fn_with_state(console.clone(), inject))
        .with_state(console.clone())
}

async fn get_token(State(console): State<Console>, Query(asked): Query<Asked>) -> Response {
    let (random, now) = (console.ambient.random(), console.now());
    answer(console.world().get_token(&asked, random, now), now)
}

async fn quota(State(console): State<Console>, Query(bearer): Query<Bearer>) -> Response {
    let now = console.now();
    answer(console.world().quota(&bearer.access_token, now), now)
}

async fn operate(
    State(console): State<Console>,
    Path(operation): Path<String>,
    Query(bearer): Query<Bearer>,
    body: Bytes,
) -> Response {
    let (random, now) = (console.ambient.random(), console.now());
    let mut world = console.world();
    let outcome = world
        .caller(&bearer.access_token, now)
        .and_then(|app| operation_of(&mut world, &operation, app, &body, random, now));
    answer(outcome, now)
}

fn operation_of(
    world: &mut World,
    operation: &str,
    app: usize,
    body: &[u8],
    random: [u8; 16],
    now: Micros,
) -> Outcome {
    match operation {
        "create_link" => world.create_link(app, read(body)?, random, now),
        "get" => world.get_link(app, &read(body)?),
        "update_link" => world.update_link(app, read(body)?),
        "delete_link" => world.delete_link(app, &read(body)?),
        "list_link" => world.list_links(app, &read(body)?),
        "customer" => world.customers(app, &read(body)?),
        "statistic" => world.statistic(app, &read(body)?, now),
        _ => Err(INVALID_PARAMETER),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, i64> {
    serde_json::from_slice(body).map_err(|_| INVALID_PARAMETER)
}

impl World {
    fn quota(&self, token: &str, now: Micros) -> Outcome {
        let app = self.caller(token, now)?;
        let corp = self.corps.get(&self.apps[app].corp_id);
        let corp = corp.ok_or(INVALID_PARAMETER)?;
        let good = corp.batches.iter().filter(|b| b.expires > now);
        let batches: Vec<Value> = good
            .map(|b| json!({"expire_date": b.expires.seconds(), "balance": b.balance}))
            .collect();
        Ok(json!({
            "total": corp.total,
            "balance": corp.balance(now),
            "quota_list": batches,
        }))
    }
}
