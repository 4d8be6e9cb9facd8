//! A million merchants: what asking one of them costs, how much memory they take once each was
//! asked, and how soon they are served.

use std::{cell::Cell, rc::Rc, time::Duration};

use crate::{
    args::{Args, Engine},
    load::{Load, Requests, Tally},
    process::Process,
    requests::{self, GET_CHAT_MENU},
    rounds::{Goal, Side, compare, median},
    serving::{self, near},
    world::{PATIENT, World},
};

const REQUESTS: usize = 1 << 20;
/// So many viewers that hardly any meets a merchant twice, however few merchants there are.
const VIEWERS: u64 = 50_000_000;
/// Room for all of them in memory: a setting and its value.
const ROOM: (&str, &str) = ("MINGPIAN_SERVING__MEMORY_MEGABYTES", "4096");
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// Start, rate and memory, as far as they are asked for.
pub async fn all(args: &Args, engine: Engine) {
    let world = World::new(args, engine, args.many).await;
    if args.wants("start") {
        start(args, &world);
    }
    if !args.wants("million") && !args.wants("memory") {
        return;
    }
    let server = world.serve_with(&[ROOM, PATIENT]);
    // Before their rate: what is asked for the first time costs what the database does.
    memory(args, &world, &server).await;
    if args.wants("million") {
        rate(args, &world, &server).await;
    }
}

/// From the process's start until it serves, the database as it was left.
fn start(args: &Args, world: &World) {
    let starts = (0..args.rounds).map(|_| {
        let server = world.serve();
        let took = server.start.as_secs_f64();
        server.end();
        took
    });
    let took = median(starts.collect());
    let met = if took < 1.0 { "met" } else { "MISSED" };
    println!(
        "Start to serving, {} merchants on {}",
        world.merchants,
        world.engine.name()
    );
    println!("  {took:.2} s   goal under 1 s: {met}");
}

/// Merchants by Zipf's law, all of them in memory: many against few.
async fn rate(args: &Args, world: &World, many_server: &Process) {
    let few = World::new(args, world.engine, args.merchants).await;
    let few_server = few.serve();
    // As many meetings with a hold-out are on record there: the next goes among those before.
    asked(args, &few, &few_server, world.merchants).await;
    let requests = |merchants| Requests::Around(requests::menus(REQUESTS, merchants, VIEWERS));
    let mut loads = Vec::new();
    for (world, server) in [(world, many_server), (&few, &few_server)] {
        let requests = requests(world.merchants);
        let load = serving::load(args, world, server, GET_CHAT_MENU, requests, args.at_once);
        let sample = serving::sample(&load, server, &world.file("menu.bin")).await;
        loads.push(near(load, sample.len()));
    }
    let [many_load, few_load] = <[Load; 2]>::try_from(loads).ok().unwrap();
    println!(
        "GetChatMenu of many merchants, by Zipf's law, on {}",
        world.engine.name()
    );
    let names = [world, &few].map(|world| format!("{} merchants", world.merchants));
    let many = Side {
        name: &names[0],
        load: many_load,
        cpu: &many_server.cpu,
    };
    let few = Side {
        name: &names[1],
        load: few_load,
        cpu: &few_server.cpu,
    };
    let goal = Goal {
        cpu: Some(1.1),
        calls: Some(0.9),
    };
    compare(args, &many, &few, goal).await;
}

/// Every menu once: what the server grew by, beside the bytes it answered.
async fn memory(args: &Args, world: &World, server: &Process) {
    let before = server.cpu.resident();
    let tally = asked(args, world, server, world.merchants).await;
    let grown = server.cpu.resident().saturating_sub(before);
    let ratio = grown as f64 / tally.bytes as f64;
    let met = if ratio <= 1.5 { "met" } else { "MISSED" };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "Memory, each of {} menus once, on {}",
        world.merchants,
        world.engine.name()
    );
    println!(
        "  {:.0} MiB before, grown by {:.0} MiB for {:.0} MiB of answers: x{ratio:.2}   goal at \
         most 1.50: {met}   ({:.0} calls/s)",
        mib(before),
        mib(grown),
        mib(tally.bytes),
        tally.per_second()
    );
}

/// Menus of all merchants in turn, each for another viewer.
async fn asked(args: &Args, world: &World, server: &Process, menus: u64) -> Tally {
    let request = |n| requests::menu(n % world.merchants, n);
    let requests = Rc::new((0..menus).map(request).collect());
    let once = Requests::Once(requests, Rc::new(Cell::new(0)));
    let load = serving::load(args, world, server, GET_CHAT_MENU, once, args.at_once);
    let tally = load.run(&server.cpu, 0, Duration::ZERO, LONG).await;
    let tally = tally.unwrap();
    assert_eq!(tally.total, menus, "every menu was answered");
    tally
}
