//! Taps, each with a token of its own, against bare servers that do one raw read and one raw
//! insert on the same database.

use std::{cell::Cell, path::PathBuf, process::Command, rc::Rc, time::Duration};

use mingpian::api::pb::{self, note_capsule_result::Outcome};
use prost::Message;

use crate::{
    args::{Args, Engine},
    load::{Load, Requests, Tally},
    peer,
    process::{Cpu, Process, on_server_core},
    requests::{self, GET_CAPSULES, OPEN_CARD},
    rounds::{Goal, Side, checked, measure, print},
    serving,
    world::World,
};

/// Taps that tell how many there will be.
const FIRST: usize = 400;

/// `OpenCard`, against bare tonic.
pub async fn open_card(args: &Args, engine: Engine) {
    taps(args, engine, Some(OPEN_CARD)).await;
}

/// `/t/{token}` inside WeChat, against bare axum.
pub async fn door(args: &Args, engine: Engine) {
    taps(args, engine, None).await;
}

async fn taps(args: &Args, engine: Engine, path: Option<&'static str>) {
    let world = World::new(args, engine, args.merchants).await;
    let twin = world.twin();
    let server = world.serve();
    let load = load(args, &world, &server, path);
    let what = path.map_or("/t/{token} 302", |_| "OpenCard");
    println!("{what}, {} at once on {}", args.at_once, engine.name());
    let (load, first) = settle(args, &world, &server, load).await;
    let peer = peer::start(world.dir.path(), Some(&twin));
    let bare = Side {
        name: path.map_or("bare axum, raw", |_| "bare tonic, raw"),
        load: Load {
            address: path.map_or(peer.http, |_| peer.grpc),
            bearer: None,
            requests: Requests::Around(some(&first.requests)),
            // axum sends none of our headers.
            length: 0..=usize::MAX,
            ..load.clone()
        },
        cpu: &peer.cpu,
    };
    let mut ours = Side {
        name: "ours",
        load: first,
        cpu: &server.cpu,
    };
    let before = recorded(&world).await;
    let (mut rounds, mut taps) = (Vec::new(), 0);
    for round in 0..args.rounds {
        let tally = measure(args, &ours, round).await;
        let next = enough(args, &tally);
        taps += tally.total;
        rounds.push([tally, measure(args, &bare, round).await]);
        if round + 1 < args.rounds {
            ours.load.requests = fetch(args, &world, &server, next, path.is_some()).await;
        }
    }
    let goal = Goal {
        cpu: Some(1.0),
        calls: (engine == Engine::Sqlite).then_some(1.0),
    };
    print(&[ours.name, bare.name], &rounds, goal);
    let recorded = recorded(&world).await - before;
    assert_eq!(
        recorded,
        i64::try_from(taps).unwrap(),
        "every tap is recorded, once"
    );
    if path.is_none() && engine == Engine::Sqlite {
        nginx(args, &world, &bare).await;
    }
}

/// Those of a load, to be sent again and again.
fn some(requests: &Requests) -> Rc<Vec<Vec<u8>>> {
    let (Requests::Once(all, _) | Requests::Around(all)) = requests;
    all.clone()
}

/// Taps for a round that is twice as fast as this one.
fn enough(args: &Args, tally: &Tally) -> usize {
    let time = (args.warm() + args.measured()).as_secs_f64();
    (tally.per_second() * time * 2.0) as usize + FIRST
}

/// Taps of ours in the database.
async fn recorded(world: &World) -> i64 {
    world
        .count("SELECT count(*) FROM events WHERE stage = 2 AND kind = 1")
        .await
}

fn load(args: &Args, world: &World, server: &Process, path: Option<&'static str>) -> Load {
    let none = Requests::Around(Rc::new(vec![Vec::new()]));
    let load = serving::load(args, world, server, OPEN_CARD, none, args.at_once);
    match path {
        Some(_) => load,
        None => Load {
            address: server.http,
            path: None,
            connections: args.at_once,
            ..load
        },
    }
}

/// The load with the length of its answers, and with tokens for as many taps as the first ones
/// say there will be in a round.
async fn settle(args: &Args, world: &World, server: &Process, load: Load) -> (Load, Load) {
    let first = Load {
        requests: fetch(args, world, server, FIRST, load.path.is_some()).await,
        ..load.clone()
    };
    let tally = first
        .run(&server.cpu, 0, Duration::ZERO, Duration::from_secs(60))
        .await
        .unwrap();
    checked("first taps", &tally);
    verify(world, &tally, load.path.is_some());
    let next = enough(args, &tally);
    let length = tally.sample.len();
    let load = Load {
        length: length * 9 / 10..=length * 11 / 10,
        ..load
    };
    let requests = fetch(args, world, server, next, load.path.is_some()).await;
    let first = Load {
        requests,
        ..load.clone()
    };
    (load, first)
}

/// The first answer leads to WeCom with its token; kept for the peer.
fn verify(world: &World, tally: &Tally, grpc: bool) {
    if grpc {
        let message = &tally.sample[5..];
        let plan = pb::LaunchPlan::decode(message).unwrap();
        let step = plan.steps.last().unwrap();
        assert!(step.uri.contains("customer_channel"), "{plan:?}");
        std::fs::write(world.file("plan.bin"), message).unwrap();
    } else {
        let answer = String::from_utf8_lossy(&tally.sample);
        assert!(answer.contains("work.weixin.qq.com/ca/"), "{answer}");
    }
}

/// Tokens from pages of notes, as taps that are each made once.
async fn fetch(args: &Args, world: &World, server: &Process, count: usize, grpc: bool) -> Requests {
    // One item in a hundred is not there: its viewer is held out.
    let pages = count / requests::PAGE * 11 / 10 + 2;
    let pages = requests::pages(pages, args.merchants, u64::MAX >> 32);
    let pages = Requests::Once(pages, Rc::new(Cell::new(0)));
    let load = Load {
        collect: true,
        ..serving::load(args, world, server, GET_CAPSULES, pages, 16)
    };
    let fetched = load
        .run(&server.cpu, 0, Duration::ZERO, Duration::from_secs(600))
        .await
        .unwrap();
    let taps: Vec<_> = fetched
        .messages
        .iter()
        .flat_map(|message| tokens(&message[5..]))
        .enumerate()
        .map(|(n, token)| match grpc {
            true => requests::tap(&token, n as u64),
            false => requests::link(&token),
        })
        .collect();
    Requests::Once(Rc::new(taps), Rc::new(Cell::new(0)))
}

fn tokens(message: &[u8]) -> Vec<String> {
    let page = pb::BatchGetNoteCapsulesResponse::decode(message).unwrap();
    let token = |result: pb::NoteCapsuleResult| match result.outcome {
        Some(Outcome::Item(item)) => Some(item.tap_token),
        _ => None,
    };
    page.results.into_iter().filter_map(token).collect()
}

/// nginx that answers 302 and does nothing else, for orientation.
async fn nginx(args: &Args, world: &World, bare: &Side<'_>) {
    let named = std::env::var("TEST_NGINX").ok();
    let program = named.filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| "nginx".to_owned());
    let there = Command::new(&program).arg("-v").output().is_ok();
    if !there {
        println!("  nginx not present");
        return;
    }
    let (file, port) = (config(world), 18_302);
    let mut child = on_server_core(&program)
        .args(["-p", world.dir.path().to_str().unwrap(), "-c"])
        .arg(file)
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(500));
    if child.try_wait().unwrap().is_some() {
        println!("  nginx does not start");
        return;
    }
    let cpu = Cpu::of(&child);
    let side = Side {
        name: "nginx, return 302",
        load: Load {
            address: ([127, 0, 0, 1], port).into(),
            ..bare.load.clone()
        },
        cpu: &cpu,
    };
    let tally = measure(args, &side, 0).await;
    println!(
        "  {:<24} {:>9.0} calls/s {:>9.1} µs of processor a call",
        side.name,
        tally.per_second(),
        tally.cpu_a_call()
    );
    let _ = child.kill();
    let _ = child.wait();
}

/// One process, so that its processor time is all of nginx's.
fn config(world: &World) -> PathBuf {
    let file = world.file("nginx.conf");
    let text = "daemon off; master_process off; pid nginx.pid; error_log stderr crit;\n\
                events { worker_connections 1024; }\n\
                http { access_log off; keepalive_requests 1000000000;\n\
                client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n\
                uwsgi_temp_path t4; scgi_temp_path t5;\n\
                server { listen 127.0.0.1:18302;\n\
                location / { return 302 https://work.weixin.qq.com/ca/cawcdea7783d7330c6; } } }\n";
    std::fs::write(&file, text).unwrap();
    file
}
