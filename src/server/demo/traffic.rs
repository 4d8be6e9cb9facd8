//! A day of made-up traffic: an experiment that held half of the sample merchant's viewers out,
//! and leads of which it is known how many more there were with cards.

use std::collections::BTreeMap;

use crate::{
    app::{App, Error, Result},
    domain::{Arm, ContactKind, Event, Experiment, ExperimentName, Merchant, Micros, Stage, Touch},
    store::{Exposure, Touched},
};

const EXPERIMENT: &str = "autumn";
/// So long ago that every window has closed.
const DAYS_AGO: i32 = 9;
const VIEWERS: u64 = 3000;
/// Of 1,000 viewers, those who leave a lead without cards, and with them: a lift of 50 %.
const LEADS: (u64, u64) = (200, 300);
const OPENINGS: u64 = 600;
const TAPS: u64 = 400;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;

/// Makes the day once.
pub async fn load(app: &App, merchant: &Merchant) -> Result<()> {
    let name = ExperimentName::new(merchant.clone(), EXPERIMENT).map_err(Error::bug)?;
    if app.store.reads().experiment(&name).await?.is_some() {
        return Ok(());
    }
    let (now, zone) = (app.ambient.now(), app.rules.calendar.zone);
    let day = zone.day(now) - DAYS_AGO;
    // Every viewer's window closes before the hold-out ends.
    let (start, end) = (zone.start(day), zone.start(day + DAYS_AGO - 1));
    let started = Experiment {
        no: 0,
        name,
        display_name: "Autumn 秋季".to_owned(),
        hold_out: 500,
        salt: EXPERIMENT.to_owned(),
        minimal_lift_percent: app.rules.minimal_lift_percent,
        version: 1,
        start_time: start,
        stop_time: None,
        update_time: start,
    };
    let tx = app.store.begin().await?;
    let made = tx.insert_experiment(started, "demo").await?;
    let made = made.ok_or_else(|| Error::bug("the demo's experiment was there"))?;
    let experiment = Experiment {
        version: 2,
        stop_time: Some(end),
        update_time: end,
        ..made
    };
    tx.save_experiment(&experiment, "demo").await?;
    let (mut exposures, mut events, mut viewers) = (Vec::new(), Vec::new(), BTreeMap::new());
    for n in 0..VIEWERS {
        let viewer = app.keys.viewer_hash(&format!("demo-{n}"));
        let arm = experiment.arm(viewer);
        // From eight in the morning on, one every 15 seconds.
        let time = Micros(start.0 + 8 * HOUR + n.cast_signed() * 15 * SECOND);
        exposures.push(Exposure {
            experiment_no: experiment.no,
            viewer,
            arm,
            time,
        });
        viewers.insert(viewer.cast_signed(), start);
        for (stage, after) in visit(viewer, arm) {
            let time = Micros(time.0 + after * SECOND);
            events.push(event(app, merchant, viewer, stage, time));
        }
    }
    tx.insert_exposures(&exposures).await?;
    tx.insert_events(&events, now).await?;
    let touched = Touched {
        merchant: merchant.clone(),
        viewers,
    };
    tx.queue_funnel(&[touched], now).await?;
    Ok(tx.commit().await?)
}

/// What a viewer does, and how many seconds after entering the chat.
fn visit(viewer: u64, arm: Arm) -> Vec<(Stage, i64)> {
    // Bits that the split does not depend on.
    let chance = |digit: u32| (viewer >> (16 * digit)) % 1000;
    let mut visit = vec![(Stage::Inbound, 1)];
    if chance(0) < OPENINGS {
        visit.push((Stage::Opening, 30));
    }
    let leads = match arm {
        Arm::HeldOut => LEADS.0,
        Arm::Treated => LEADS.1,
    };
    if chance(1) < leads {
        visit.push((Stage::Lead, 120));
    }
    if arm == Arm::Treated {
        visit.push((Stage::Impression, 2));
        if chance(2) < TAPS {
            visit.push((Stage::Tap, 20));
        }
    }
    visit
}

fn event(app: &App, merchant: &Merchant, viewer: u64, stage: Stage, time: Micros) -> Event {
    let of_card = matches!(stage, Stage::Impression | Stage::Tap);
    let touch = Touch {
        placement: if of_card { "menu" } else { "" }.to_owned(),
        ..Touch::default()
    };
    Event {
        id: app.ambient.uuid(),
        stage,
        merchant: merchant.clone(),
        viewer: Some(viewer),
        time,
        touch,
        kind: (stage == Stage::Tap).then_some(ContactKind::Wecom),
        conversation: String::new(),
        bot: false,
        attributes: String::new(),
    }
}
