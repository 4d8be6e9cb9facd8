//! What the mobile BFF fetches, against bare tonic that answers the same bytes.

use std::{fs, path::Path, process::Command, rc::Rc, time::Duration};

use mingpian::api::pb::{self, note_capsule_result::Outcome};
use prost::Message;

use crate::{
    args::{Args, Engine},
    load::{Load, Pace, Requests},
    peer,
    process::Process,
    requests::{self, GET_CAPSULES, GET_CHAT_MENU},
    rounds::{Goal, Side, compare, measure, median},
    world::World,
};

/// Menus that differ; then they come again.
const MENUS: usize = 1 << 18;
const PAGES: usize = 256;
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// `GetChatMenu`: 3 items.
pub async fn menu(args: &Args, engine: Engine) {
    let world = World::new(args, engine, args.merchants).await;
    let ours = world.serve();
    let requests = requests::menus(MENUS, args.merchants, args.viewers);
    let load = load(
        args,
        &world,
        &ours,
        GET_CHAT_MENU,
        Requests::Around(requests),
        args.at_once,
    );
    let sample = sample(&load, &ours, &world.file("menu.bin")).await;
    let menu = pb::GetChatMenuResponse::decode(sample.as_slice()).unwrap();
    assert_eq!(menu.items.len(), 3);
    println!(
        "GetChatMenu, 3 items, {} merchants on {}",
        args.merchants,
        engine.name()
    );
    let load = near(load, sample.len());
    if let Some(perf) = &args.perf {
        return profile(args, &load, &ours, perf).await;
    }
    let before = world.count("SELECT count(*) FROM exposures").await;
    against_tonic(args, engine, &world, load, &ours, [1.25, 0.80]).await;
    let met = world.count("SELECT count(*) FROM exposures").await - before;
    println!("  first meetings with a hold-out, all rounds: {met}");
}

/// `BatchGetNoteCapsules` of 200.
pub async fn capsules(args: &Args, engine: Engine) {
    let world = World::new(args, engine, args.merchants).await;
    let ours = world.serve();
    let requests = Requests::Around(requests::pages(PAGES, args.merchants, args.viewers));
    let load = load(
        args,
        &world,
        &ours,
        GET_CAPSULES,
        requests,
        args.at_once.min(16),
    );
    let sample = sample(&load, &ours, &world.file("capsules.bin")).await;
    let page = pb::BatchGetNoteCapsulesResponse::decode(sample.as_slice()).unwrap();
    let item = |result: &&pb::NoteCapsuleResult| matches!(result.outcome, Some(Outcome::Item(_)));
    let items = page.results.iter().filter(item).count();
    assert_eq!(
        (page.results.len(), items),
        (requests::PAGE, requests::PAGE)
    );
    println!(
        "BatchGetNoteCapsules of {} on {}",
        requests::PAGE,
        engine.name()
    );
    let load = near(load, sample.len());
    if let Some(perf) = &args.perf {
        return profile(args, &load, &ours, perf).await;
    }
    against_tonic(args, engine, &world, load, &ours, [1.40, 0.70]).await;
}

/// What a call costs before it does anything: answered by health, which is open to everybody,
/// and refused for its content, behind every layer.
pub async fn layers(args: &Args, engine: Engine) {
    let world = World::new(args, engine, 2).await;
    let ours = world.serve();
    println!("A call without work on {}", engine.name());
    let nothing = Requests::Around(Rc::new(vec![Vec::new()]));
    for (what, path) in [
        ("health, open", HEALTH),
        ("menu of nobody, refused", GET_CHAT_MENU),
    ] {
        let load = load(args, &world, &ours, path, nothing.clone(), args.at_once);
        let rounds = (0..args.rounds).map(|_| load.run(&ours.cpu, 0, args.warm(), args.measured()));
        let mut costs = Vec::new();
        for round in rounds {
            let tally = round.await.unwrap();
            costs.push(tally.cpu.as_secs_f64() * 1e6 / (tally.calls + tally.refused) as f64);
        }
        println!("  {what:<24} {:>9.1} µs of processor a call", median(costs));
    }
}

/// A load on ours, of any length.
pub fn load(
    args: &Args,
    world: &World,
    ours: &Process,
    path: &'static str,
    requests: Requests,
    at_once: usize,
) -> Load {
    let connections = args.connections.min(at_once);
    Load {
        address: ours.grpc,
        path: Some(path),
        bearer: Some(world.token.clone()),
        requests,
        length: 0..=usize::MAX,
        connections,
        pace: Pace::Closed {
            at_once: at_once / connections,
        },
        collect: false,
    }
}

/// Lets answers differ by the length of a merchant's name, each time it stands in one.
pub fn near(load: Load, length: usize) -> Load {
    let length = length + 5;
    Load {
        length: length * 9 / 10..=length * 11 / 10,
        ..load
    }
}

/// The longest of some answers, which is not that of a viewer who is held out; kept in a file.
pub async fn sample(load: &Load, ours: &Process, file: &Path) -> Vec<u8> {
    let mut longest = Vec::new();
    for from in 0..3 {
        let (warm, measured) = (Duration::ZERO, Duration::from_millis(400));
        let tally = load
            .run(&ours.cpu, from * 100, warm, measured)
            .await
            .unwrap();
        if tally.sample.len() > longest.len() {
            longest = tally.sample;
        }
    }
    let message = longest.get(5..).expect("an answer").to_vec();
    fs::write(file, &message).unwrap();
    message
}

async fn against_tonic(
    args: &Args,
    engine: Engine,
    world: &World,
    load: Load,
    ours: &Process,
    [cpu, calls]: [f64; 2],
) {
    let peer = peer::start(world.dir.path(), None);
    let bare = Side {
        name: "bare tonic",
        load: Load {
            address: peer.grpc,
            bearer: None,
            ..load.clone()
        },
        cpu: &peer.cpu,
    };
    let ours = Side {
        name: "ours",
        load,
        cpu: &ours.cpu,
    };
    // PostgreSQL works on the same cores.
    let calls = (engine == Engine::Sqlite).then_some(calls);
    let goal = Goal {
        cpu: Some(cpu),
        calls,
    };
    compare(args, &ours, &bare, goal).await;
}

/// One long round under perf instead.
async fn profile(args: &Args, load: &Load, ours: &Process, file: &str) {
    let pid = ours.cpu.id().to_string();
    let seconds = (args.seconds * args.rounds as f64).to_string();
    let mut perf = Command::new("perf")
        .args([
            "record",
            "-q",
            "--call-graph",
            "dwarf,16384",
            "-F",
            "397",
            "-o",
            file,
            "-p",
            &pid,
            "--",
            "sleep",
            &seconds,
        ])
        .spawn()
        .unwrap();
    let side = Side {
        name: "ours",
        load: load.clone(),
        cpu: &ours.cpu,
    };
    for round in 0..args.rounds {
        let tally = measure(args, &side, round).await;
        println!(
            "  {:.1} µs a call, {:.0} calls/s",
            tally.cpu_a_call(),
            tally.per_second()
        );
    }
    let _ = perf.wait();
}
