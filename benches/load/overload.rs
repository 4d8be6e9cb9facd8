//! Three times as many calls as it can take: what is still answered, and how soon the rest is
//! refused.

use crate::{
    args::{Args, Engine},
    load::{Load, Pace, Requests},
    process::Process,
    requests::{self, GET_CHAT_MENU},
    rounds::{median, quantiles},
    serving,
    world::World,
};

/// Puts work into each call, so that the server is the bottleneck and not its client: a setting
/// and its value.
const WORK: (&str, &str) = ("MINGPIAN_SERVING__EXTRA_WORK_MICROS", "1000");

const MENUS: usize = 1 << 16;
const CONNECTIONS: usize = 16;
/// Streams that the server lets one connection have.
const STREAMS: usize = 128;

pub async fn overload(args: &Args, engine: Engine) {
    let world = World::new(args, engine, args.merchants).await;
    let server = world.serve_with(&[WORK]);
    println!("Overload, GetChatMenu on {}", engine.name());
    let menus = Requests::Around(requests::menus(MENUS, args.merchants, args.viewers));
    let load = serving::load(args, &world, &server, GET_CHAT_MENU, menus, args.at_once);
    let (mut goodputs, mut slowest, mut last) = (Vec::new(), Vec::new(), None);
    for round in 0..args.rounds {
        let peak = run(args, &load, &server, round).await;
        let open = Load {
            connections: CONNECTIONS,
            pace: Pace::Open {
                per_second: 3.0 * peak.per_second(),
                most: STREAMS,
            },
            ..load.clone()
        };
        let flooded = run(args, &open, &server, round).await;
        goodputs.push(flooded.per_second() / peak.per_second());
        slowest.push(quantiles(&flooded.refusals)[1]);
        last = Some((peak, flooded));
    }
    let Some((peak, flooded)) = last else { return };
    let [half, most] = quantiles(&flooded.waits);
    let offered = 3.0 * peak.per_second();
    let sent = (flooded.calls + flooded.refused) as f64 / flooded.elapsed.as_secs_f64();
    println!(
        "  last round: peak {:.0} calls/s; offered {offered:.0}, taken off the client {sent:.0}, \
         answered {:.0} (half in {half:.1} ms, 99 % in {most:.1} ms)",
        peak.per_second(),
        flooded.per_second(),
    );
    let (goodput, slowest) = (median(goodputs), median(slowest));
    let met = |met| if met { "met" } else { "MISSED" };
    println!(
        "  goodput    x{goodput:.2}   goal at least 0.90: {}",
        met(goodput >= 0.9)
    );
    println!(
        "  refusals   99 % within {slowest:.1} ms   goal under 50 ms: {}",
        met(slowest < 50.0)
    );
}

async fn run(args: &Args, load: &Load, server: &Process, round: usize) -> crate::load::Tally {
    let (warm, measured) = (args.warm(), args.measured());
    load.run(&server.cpu, round, warm, measured).await.unwrap()
}
