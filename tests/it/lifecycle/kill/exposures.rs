//! kill -9 while menus with an experiment are served: who met it is noted in memory first, so
//! the last to meet it are lost, but nobody who met it more than a second before.
//!
//!     TEST_KILLS=20 tests/run --no-capture kill::exposures

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mingpian::{api::pb, keys};
use sea_orm::{ConnectionTrait, Statement};
use tokio::{task::JoinSet, time::sleep};
use tonic::transport::Channel;

use super::super::{channel, database, serve_on, times};
use crate::{
    on_both_engines,
    support::{
        CardClient, Engine, MeasurementClient, PlacementClient, Scratch, ServingClient,
        create_card, get_menu, in_menu, place,
    },
};

on_both_engines!(who_met_an_experiment_a_second_before_a_kill_is_known);

const CALLERS: usize = 4;
/// What the contract says may be lost.
const BOUND: Duration = Duration::from_secs(1);

/// A viewer whose menu was answered.
struct Met {
    viewer: String,
    asked: Instant,
    answered: Instant,
}

/// A card in the menu, and half of the viewers held out.
async fn stage(channel: Channel) {
    let card = create_card("klook", "main");
    let placement = place("klook", "main", "menu", in_menu(1));
    let experiment = pb::CreateExperimentRequest {
        parent: "merchants/klook".into(),
        experiment_id: "e-1".into(),
        experiment: Some(pb::Experiment {
            hold_out_permille: 500,
            ..Default::default()
        }),
        ..Default::default()
    };
    let mut cards = CardClient::new(channel.clone());
    cards.create_card(card).await.unwrap();
    let mut placements = PlacementClient::new(channel.clone());
    placements.create_placement(placement).await.unwrap();
    let mut measurement = MeasurementClient::new(channel);
    measurement.create_experiment(experiment).await.unwrap();
}

/// Another viewer's menu again and again, until the server is gone.
async fn ask(name: String, channel: Channel, total: Arc<AtomicUsize>) -> Vec<Met> {
    let mut serving = ServingClient::new(channel);
    let mut met = Vec::new();
    loop {
        let viewer = format!("{name}-{}", met.len());
        let mut request = get_menu("klook");
        request
            .viewer
            .as_mut()
            .unwrap()
            .viewer_id
            .clone_from(&viewer);
        let asked = Instant::now();
        if serving.get_chat_menu(request).await.is_err() {
            return met;
        }
        total.fetch_add(1, Ordering::Relaxed);
        met.push(Met {
            viewer,
            asked,
            answered: Instant::now(),
        });
    }
}

/// Starts the program, lets the callers ask for `long` from the first answers, and kills it: who
/// was answered, and from when to when it was being killed.
async fn ask_and_kill(
    scratch: &Scratch,
    round: usize,
    long: Duration,
) -> (Vec<Met>, Instant, Instant) {
    let mut process = serve_on(scratch, "");
    let (mut callers, total) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for c in 0..CALLERS {
        let channel = channel(process.grpc).await;
        callers.spawn(ask(format!("v{round}-{c}"), channel, total.clone()));
    }
    let started = Instant::now();
    while total.load(Ordering::Relaxed) < CALLERS {
        assert!(started.elapsed() < Duration::from_secs(20), "no answers");
        sleep(Duration::from_millis(1)).await;
    }
    sleep(long).await;
    let before = Instant::now();
    process.kill();
    let after = Instant::now();
    let met = callers.join_all().await.into_iter().flatten().collect();
    (met, before, after)
}

async fn known(scratch: &Scratch) -> HashSet<i64> {
    let db = database(scratch).await;
    let all = "SELECT viewer FROM exposures";
    let all = Statement::from_string(db.get_database_backend(), all);
    let rows = db.query_all_raw(all).await.unwrap();
    db.close().await.unwrap();
    let viewers = rows.iter().map(|row| row.try_get_by_index(0).unwrap());
    viewers.collect()
}

async fn who_met_an_experiment_a_second_before_a_kill_is_known(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut process = serve_on(&scratch, "");
    stage(channel(process.grpc).await).await;
    process.kill();
    let keys = keys::load(&scratch.file("keys.toml")).unwrap();
    let kills = times("TEST_KILLS", 3);
    let (mut all, mut all_lost, mut oldest) = (0, 0, Duration::ZERO);
    for round in 0..kills {
        let long = Duration::from_millis(1_500 + u64::from(rand::random::<u32>() % 1_000));
        let (met, before, after) = ask_and_kill(&scratch, round, long).await;
        let known = known(&scratch).await;
        let is_known = |met: &&Met| known.contains(&keys.viewer_hash(&met.viewer).cast_signed());
        let lost: Vec<_> = met.iter().filter(|met| !is_known(met)).collect();
        let age = lost.iter().map(|met| after - met.asked).max();
        let age = age.unwrap_or_default();
        println!(
            "{engine:?}: kill {round}: {} met it, {} lost, the oldest {age:.0?} before",
            met.len(),
            lost.len()
        );
        let bound = lost.iter().filter(|met| before > met.answered + BOUND);
        assert_eq!(
            bound.count(),
            0,
            "met it more than a second before, and lost"
        );
        all += met.len();
        all_lost += lost.len();
        oldest = oldest.max(age);
    }
    println!(
        "{engine:?}: {kills} kills, {all} met it, {all_lost} lost, the oldest {oldest:.0?} before"
    );
    // No kill hit the load if nothing was on its way.
    assert!(0 < all_lost && all_lost < all);
}
