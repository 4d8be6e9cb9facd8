//! What is run again and again costs, part by part, with the memory that it takes: the gate, a
//! token, what is in memory, screening; and the whole of the call that is asked for most.
//!
//!     cargo bench --bench units
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "support/hot.rs"]
mod support;

use std::hint::black_box;

use divan::{AllocProfiler, Bencher};
use mingpian::{
    api,
    domain::{
        Candidate, ContactKind, Door, Micros, Origin, TapToken,
        serving::{judge, menu},
    },
    keys::{KeyFile, KeyRing},
    screening::Rulebook,
    serving::Snapshot,
};
use support::Stage;

#[global_allocator]
static MEMORY: AllocProfiler<mimalloc::MiMalloc> = AllocProfiler::new(mimalloc::MiMalloc);

fn main() {
    divan::main();
}

#[divan::bench]
fn get_chat_menu(bencher: Bencher<'_, '_>) {
    let mut stage = Stage::new();
    bencher.bench_local(|| stage.calls(1));
}

/// The first placement, with all that the gate asks about it, and the time.
fn candidate() -> (Candidate, Micros) {
    let stage = Stage::new();
    let (serving, now) = (&stage.app.serving, stage.app.ambient.now());
    let candidate = stage.beside.block_on(serving.candidate(1, now)).unwrap();
    (candidate.value.clone().unwrap(), now)
}

/// A tap.
#[divan::bench]
fn gate(bencher: Bencher<'_, '_>) {
    let (candidate, now) = candidate();
    let kinds = [ContactKind::Phone];
    bencher.bench(|| judge(Door::Tap, black_box(&candidate), &kinds, now).unwrap());
}

/// Three items, from what the store knows.
#[divan::bench]
fn snapshot(bencher: Bencher<'_, '_>) {
    let (candidate, now) = candidate();
    bencher.bench(|| {
        let answer = menu(&[black_box(&candidate)], now);
        assert_eq!(answer.items.len(), 3);
        Snapshot::new(&answer, None, api::compile)
    });
}

fn token() -> TapToken {
    TapToken {
        placement_no: 42,
        kind: ContactKind::Wecom,
        issued: 1_800_000_000,
        origin: Origin::Served { viewer: 7, arm: 1 },
        nonce: [9; 8],
    }
}

/// So many at once.
#[divan::bench(args = [1, 3, 200])]
fn tokens_sealed(bencher: Bencher<'_, '_>, tokens: usize) {
    let ring = KeyRing::new(&KeyFile::new([7; 64])).unwrap();
    bencher.bench(|| ring.seal_tokens((0..tokens).map(|_| black_box(token()))));
}

#[divan::bench]
fn token_opened(bencher: Bencher<'_, '_>) {
    let ring = KeyRing::new(&KeyFile::new([7; 64])).unwrap();
    let text = ring.seal_token(&token());
    bencher.bench(|| ring.open_token(black_box(&text)).unwrap());
}

/// A text without anything to find, by its code points.
#[divan::bench(args = [100, 1_000, 10_000])]
fn screening(bencher: Bencher<'_, '_>, length: usize) {
    let rulebook = Rulebook::built_in(&[]).unwrap();
    let text: String = "今天的港湾游很好玩，风景不错，下次还来。"
        .chars()
        .cycle()
        .take(length)
        .collect();
    bencher.bench(|| rulebook.text(black_box(&text)).len());
}
