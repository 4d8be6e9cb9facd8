//! Cards that are made, each durable, against bare inserts of the same rows: a card, its version
//! and the kept answer, in one transaction.

use std::{cell::Cell, rc::Rc};

use mingpian::{api::pb, app::Ambient};
use prost::Message;

use crate::{
    args::{Args, Engine},
    inserts,
    load::{Load, Requests},
    requests::CREATE_CARD,
    rounds::{Goal, Side, measure, print},
    serving, template,
    world::{World, merchant},
};

/// Merchants' back offices that make cards at once.
const CLIENTS: usize = 32;
/// More than there is time for.
const CARDS: u64 = 200_000;
/// So that none of them has more cards than it may.
pub const MERCHANTS: u64 = CARDS / 10;

/// `CreateCard`, 32 at once.
pub async fn create(args: &Args, engine: Engine) {
    let world = World::new(args, engine, MERCHANTS).await;
    let twin = world.twin();
    let server = world.serve();
    println!(
        "CreateCard, {CLIENTS} at once on {}{}",
        engine.name(),
        durable(&world).await
    );
    let requests = Requests::Once(cards(), Rc::new(Cell::new(0)));
    let load = Load {
        length: 200..=800,
        ..serving::load(args, &world, &server, CREATE_CARD, requests, CLIENTS)
    };
    let ours = Side {
        name: "ours",
        load,
        cpu: &server.cpu,
    };
    let (mut rounds, mut made) = (Vec::new(), 0);
    for round in 0..args.rounds {
        let tally = measure(args, &ours, round).await;
        let card = pb::Card::decode(&tally.sample[5..]).unwrap();
        assert_eq!(card.contacts.len(), 3);
        made += i64::try_from(tally.total).unwrap();
        rounds.push([tally, inserts::start(&twin, args.measured(), CLIENTS)]);
    }
    let sql = "SELECT count(*) FROM cards WHERE id LIKE 'made-%'";
    let kept = world.count(sql).await;
    assert_eq!(
        kept, made,
        "a card that was answered is there, and no other"
    );
    let goal = Goal {
        cpu: None,
        calls: Some(0.60),
    };
    print(&["ours", "bare inserts"], &rounds, goal);
}

/// What to think of the figures where commits may be lost.
async fn durable(world: &World) -> &'static str {
    let lost = world.engine == Engine::Postgres
        && world
            .count("SELECT count(*) FROM pg_settings WHERE name = 'fsync' AND setting = 'off'")
            .await
            > 0;
    if lost {
        ", which loses commits: set TEST_PG_FSYNC=on"
    } else {
        ""
    }
}

fn cards() -> Rc<Vec<Vec<u8>>> {
    let ambient = Ambient::system();
    let request = |n| {
        let request = pb::CreateCardRequest {
            request_id: ambient.uuid().to_string(),
            ..template::create_card(&merchant(n % MERCHANTS), &format!("made-{n}"))
        };
        request.encode_to_vec()
    };
    Rc::new((0..CARDS).map(request).collect())
}
