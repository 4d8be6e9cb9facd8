//! What a preview foretells is what the change then does.

use std::collections::BTreeSet;

use mingpian::{
    app::{Preview, Sample},
    domain::{
        Calendar, Door, Enrollment, List, Merchant, Money, Program, ProgramName, ProgramState,
        Zone,
        eligibility::State,
        serving::{self, Candidate},
    },
};
use sea_orm::{ConnectionTrait, Database};

use super::{AUTHOR, card, insert_card, insert_placement, menu, placement};
use crate::{
    on_both_engines,
    support::{Engine, TestServer},
};

on_both_engines!(
    a_preview_equals_what_the_change_does,
    a_preview_of_a_pause_and_of_a_new_program,
);

const MERCHANTS: i64 = 230;

/// Merchants with 9.00 more each, from nothing; every third has a live placement, every tenth
/// is on a list.
async fn stage(engine: Engine) -> TestServer {
    let server = TestServer::gated(engine, "").await;
    let now = server.clock.now();
    server.clock.stop_at(now);
    let day = Zone::SHANGHAI.day(now) - 1;
    let db = Database::connect(&server.scratch.url).await.unwrap();
    let store = &server.app.store;
    let default = ProgramName::new("default").unwrap();
    let program = store.reads().program(&default).await.unwrap().unwrap();
    for n in 0..MERCHANTS {
        let (merchant, cents) = (merchant(n), n * 900);
        // The last has lapsed: it is shown for the grace.
        let (day, time) = match n == MERCHANTS - 1 {
            true => (day - 32, Zone::SHANGHAI.start(day - 31).0),
            false => (day, now.0),
        };
        let (id, day) = (merchant.id(), day.0);
        if n != 7 {
            db.execute_unprepared(&format!(
                "INSERT INTO spend (merchant, day, source, version, amount, delta, import_no, time) \
                 VALUES ('{id}', {day}, 's', 1, {cents}, {cents}, 1, {time})"
            ))
            .await
            .unwrap();
        }
        let tx = store.begin().await.unwrap();
        if n % 3 == 0 || n == MERCHANTS - 1 {
            let card = insert_card(&tx, card(id, "c")).await.unwrap();
            insert_placement(&tx, placement(&card, "p", menu(1))).await;
        }
        if n % 10 == 7 {
            let list = [List::Allow, List::Deny][usize::from(n % 20 == 7)];
            let enrollment = Enrollment {
                program: program.name.clone(),
                program_no: program.no,
                merchant,
                list,
                deleted: false,
                version: 1,
                create_time: now,
                update_time: now,
            };
            tx.save_enrollment(&enrollment, AUTHOR).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
    server
}

fn merchant(n: i64) -> Merchant {
    Merchant::from_id(&format!("m{n:03}")).unwrap()
}

async fn default(server: &TestServer) -> Program {
    let name = ProgramName::new("default").unwrap();
    let reads = server.app.store.reads();
    reads.program(&name).await.unwrap().unwrap()
}

/// Who is admitted, and whose placement is shown, by the gate itself.
async fn as_it_is(server: &TestServer) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut admitted, mut shown) = (BTreeSet::new(), BTreeSet::new());
    let (now, reads) = (server.clock.now(), server.app.store.reads());
    let calendar: &Calendar = &server.app.rules.calendar;
    for n in 0..MERCHANTS {
        let merchant = merchant(n);
        let standing = reads.standing(&merchant, calendar, now).await.unwrap();
        let admits = standing.chances.iter().any(|chance| {
            chance.program.state == ProgramState::Running
                && chance.decision.state == State::Open
                && chance.program.membership(&merchant, chance.list).is_in()
        });
        admitted.extend(admits.then(|| merchant.to_string()));
        for (placement, card) in reads.menu(&merchant).await.unwrap() {
            let name = placement.name.to_string();
            let standing = standing.clone().into();
            let candidate = Candidate {
                placement,
                card,
                standing,
                health: None,
            };
            let is = serving::shown(Door::Serve, &candidate, now).is_ok();
            shown.extend(is.then_some(name));
        }
    }
    (admitted, shown)
}

fn sample<'a>(names: impl Iterator<Item = &'a String>) -> Sample {
    let names: Vec<_> = names.cloned().collect();
    Sample {
        count: names.len() as i64,
        sample: names.into_iter().take(100).collect(),
    }
}

/// Previews, changes, and compares.
async fn foretold(server: &TestServer, wanted: Program) -> Preview {
    let before = as_it_is(server).await;
    let preview = server.app.preview_program(wanted.clone()).await.unwrap();
    assert_eq!(as_it_is(server).await, before, "it wrote something");

    let tx = server.app.store.begin().await.unwrap();
    if wanted.no == 0 {
        tx.insert_program(wanted, AUTHOR).await.unwrap().unwrap();
    } else {
        let next = wanted.next(server.clock.now());
        tx.save_program(&next, AUTHOR).await.unwrap();
    }
    tx.commit().await.unwrap();
    let after = as_it_is(server).await;
    let all: BTreeSet<_> = (0..MERCHANTS - 1)
        .map(|n| merchant(n).to_string())
        .collect();
    let changed: BTreeSet<_> = &before.0 ^ &after.0;
    let expected = Preview {
        gained: sample(after.0.difference(&before.0)),
        lost: sample(before.0.difference(&after.0)),
        unchanged: sample(all.difference(&changed)),
        placements_appearing: sample(after.1.difference(&before.1)),
        placements_vanishing: sample(before.1.difference(&after.1)),
    };
    assert_eq!(preview, expected);
    preview
}

async fn a_preview_equals_what_the_change_does(engine: Engine) {
    let server = stage(engine).await;
    let higher = Program {
        threshold: Money(150_000),
        ..default(&server).await
    };
    let preview = foretold(&server, higher).await;
    assert!(preview.lost.count > 20 && preview.placements_vanishing.count > 5);
    assert_eq!(
        (preview.gained.count, preview.unchanged.sample.len()),
        (0, 100)
    );

    let smaller = Program {
        threshold: Money(50_000),
        share_permille: 400,
        ..default(&server).await
    };
    let preview = foretold(&server, smaller).await;
    assert!(preview.gained.count > 0 && preview.lost.count > 0);
    assert!(preview.placements_appearing.count > 0 && preview.placements_vanishing.count > 0);

    let wider = Program {
        window_days: 90,
        share_permille: 1000,
        serving_grace_days: 0,
        ..default(&server).await
    };
    foretold(&server, wider).await;
}

async fn a_preview_of_a_pause_and_of_a_new_program(engine: Engine) {
    let server = stage(engine).await;
    let new = Program {
        no: 0,
        name: ProgramName::new("second").unwrap(),
        threshold: Money(30_000),
        window_days: 7,
        ..default(&server).await
    };
    let preview = foretold(&server, new).await;
    assert!(preview.gained.count > 0 && preview.lost.count == 0);

    let paused = Program {
        state: ProgramState::Paused,
        ..default(&server).await
    };
    let preview = foretold(&server, paused).await;
    assert!(preview.gained.count == 0 && preview.placements_vanishing.count > 0);
}
