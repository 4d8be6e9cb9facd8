//! The same work in another house: a small Node server, grpc-js and better-sqlite3, on a copy of
//! the same database.

use std::{path::Path, process::Command};

use mingpian::api::pb;
use prost::Message;

use crate::{
    args::{Args, Engine},
    load::{Load, Requests},
    process::{Process, on_server_core},
    requests::{self, GET_CHAT_MENU},
    rounds::{Goal, Side, compare},
    serving::{self, near},
    world::World,
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer");
const PROTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
const MENUS: usize = 1 << 18;

/// `GetChatMenu`, on SQLite.
pub async fn menu(args: &Args) {
    if !present() {
        println!("GetChatMenu against Node: not present (benches/peer/package.json says how)");
        return;
    }
    let world = World::new(args, Engine::Sqlite, args.merchants).await;
    let node = start(&world);
    let ours = world.serve();
    let menus = Requests::Around(requests::menus(MENUS, args.merchants, args.viewers));
    let load = serving::load(args, &world, &ours, GET_CHAT_MENU, menus, args.at_once);
    let [ours_load, node_load] = [&ours, &node].map(|server| Load {
        address: server.grpc,
        ..load.clone()
    });
    let mut sides = Vec::new();
    for (server, load) in [(&ours, ours_load), (&node, node_load)] {
        let sample = serving::sample(&load, server, &world.file("menu.bin")).await;
        let menu = pb::GetChatMenuResponse::decode(sample.as_slice()).unwrap();
        assert_eq!(menu.items.len(), 3);
        sides.push((server, near(load, sample.len())));
    }
    println!("GetChatMenu, the same work in Node, on SQLite");
    let names = ["ours", "Node, grpc-js"];
    let [ours, node] = [0, 1].map(|n| Side {
        name: names[n],
        load: sides[n].1.clone(),
        cpu: &sides[n].0.cpu,
    });
    let goal = Goal {
        cpu: Some(0.33),
        calls: Some(3.0),
    };
    compare(args, &ours, &node, goal).await;
}

fn present() -> bool {
    let node = Command::new("node").arg("--version").output();
    node.is_ok()
        && Path::new(FOLDER)
            .join("node_modules/better-sqlite3/build")
            .exists()
}

fn start(world: &World) -> Process {
    let twin = world.twin();
    let twin = twin.trim_start_matches("sqlite://");
    let mut command = on_server_core("node");
    command
        .arg(Path::new(FOLDER).join("server.js"))
        .arg(twin)
        .arg(world.file("jwks.json"))
        .arg(PROTOS);
    Process::start(command, &world.file("node.log"))
}
