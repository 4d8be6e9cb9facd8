//! How fast the service serves, each figure beside its ceiling on the same machine in the same
//! run: calls a second, and the server's processor time a call, which is the steadier one.
//!
//!     TEST_PG_FSYNC=on tests/tools/with-postgres cargo bench --bench load -- [SCENARIO…] [FLAG…]
//!
//! Servers run on core 0, one after the other, each in a process of its own; this program, the
//! client of them all, on core 1. Ours and its ceiling take turns, and what is printed is the
//! median of the rounds, the ratios with their extremes. Our server is the real one: it asks for
//! tokens, counts its calls, holds viewers out and logs, to a file. Scenarios, all without names:
//!
//! | scenario | what | ceiling |
//! |---|---|---|
//! | `menu` | `GetChatMenu`, 3 items | tonic with a ready message, no layers, nobody asked who calls |
//! | `capsules` | `BatchGetNoteCapsules` of 200 | likewise |
//! | `tap` | `OpenCard`, each token once | tonic with one raw read and one raw insert a call |
//! | `door` | `/t/{token}`, 302 | axum likewise; nginx beside it, where `tests/tools/with-nginx` goes before, too |
//! | `card` | `CreateCard`, 32 clients | the engine's own driver inserting the same rows |
//! | `node` | `GetChatMenu`, the same work in Node | `benches/peer`: `npm ci`, `npm rebuild` there first |
//! | `overload` | three times what it can take | its own peak |
//! | `start`, `million`, `memory` | 1,000,000 merchants | 1 s; 1,000 merchants; what it answered |
//! | `layers` | a call that does nothing, and one that is refused; no goal | |
//!
//! | flag | what | without it |
//! |---|---|---|
//! | `--seconds S` | of each measurement, after a quarter of that unmeasured | 3 |
//! | `--rounds N` | of each side | 5 |
//! | `--store sqlite\|postgres` | only on this one | both, PostgreSQL where `TEST_DATABASE_URL` is set |
//! | `--merchants N`, `--many N` | merchants of a world (`card` has 20,000), and of a large one | 1000, 1000000 |
//! | `--viewers N` | viewers; fewer meet their hold-outs for the first time less often | 1000 |
//! | `--at-once N`, `--connections N` | calls under way, over so many connections | 64, 4 |
//! | `--set MINGPIAN_KEY=VALUE` | a setting of our server; may be repeated | |
//! | `--perf FILE` | `menu`, `capsules`: our server under perf instead, its record in FILE | |
//!
//! PostgreSQL works on the same two cores, so there only processor time is held to a goal; the
//! database's own is in neither figure.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss
)]

mod args;
mod caller;
mod cards;
mod grpc;
mod hpack;
mod http1;
mod inserts;
mod load;
mod node;
mod overload;
mod peer;
mod process;
mod raw;
mod requests;
mod rounds;
mod scale;
mod serving;
mod taps;
mod template;
mod world;

use std::time::Duration;

use args::{Args, Engine};

/// The ceilings, which are this program, too, have what `src/main.rs` has.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let [_, word, answers, database @ ..] = words.as_slice()
        && word == "--peer"
    {
        let serve = peer::serve(answers.into(), database.first().cloned());
        // As `src/main.rs` has it.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .event_interval(16)
            .enable_all()
            .build();
        return runtime.unwrap().block_on(serve);
    }
    if let [_, word, url, millis, clients] = words.as_slice()
        && word == "--inserts"
    {
        let time = Duration::from_millis(millis.parse().unwrap());
        return inserts::run(url.clone(), time, clients.parse().unwrap());
    }
    process::pin();
    let args = Args::read();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(run(&args));
}

async fn run(args: &Args) {
    if args.wants("node") && args.stores.contains(&Engine::Sqlite) {
        node::menu(args).await;
    }
    for engine in args.engines() {
        if args.wants("layers") {
            serving::layers(args, engine).await;
        }
        if args.wants("menu") {
            serving::menu(args, engine).await;
        }
        if args.wants("capsules") {
            serving::capsules(args, engine).await;
        }
        if args.wants("tap") {
            taps::open_card(args, engine).await;
        }
        if args.wants("door") {
            taps::door(args, engine).await;
        }
        if args.wants("card") {
            cards::create(args, engine).await;
        }
        if args.wants("overload") {
            overload::overload(args, engine).await;
        }
        if ["start", "million", "memory"]
            .iter()
            .any(|name| args.wants(name))
        {
            scale::all(args, engine).await;
        }
    }
}
