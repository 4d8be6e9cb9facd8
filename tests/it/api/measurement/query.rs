//! `QueryFunnel` and `ListMetrics`: rows, time bases, what is withheld, and as of when.

use std::time::Duration;

use mingpian::{
    api::pb::{
        self, TimeBasis, event::Origin, event::Type, query_funnel_request::Granularity,
        query_funnel_request::Scope, query_funnel_response::Row,
    },
    domain::Micros,
};
use sea_orm::ConnectionTrait;

use super::{
    ALL_TOLD, Api, DAY, HOUR, at, malformed, micros, placement_name, reached, rolled_up, time,
    whole,
};
use crate::{
    lifecycle::database,
    on_both_engines,
    support::{Engine, in_menu, on_note},
};

on_both_engines!(
    a_viewer_counts_once_a_window_by_either_basis,
    hours_add_up_to_days_and_to_the_whole,
    few_viewers_are_withheld,
    as_of_is_when_the_first_of_what_waits_came_in,
    what_nobody_can_read_keeps_no_others_waiting,
);

/// The first midnight of Shanghai after this.
fn midnight(after: Micros) -> Micros {
    let day = 86_400_000_000;
    let shanghai = 8 * 3_600_000_000;
    Micros((after.0 + shanghai) / day * day + day - shanghai)
}

/// The hours in which anybody was counted, from this one on.
fn by_hour(rows: &[Row], start: Micros) -> Vec<(i64, Vec<(Type, i64)>)> {
    let rows = rows.iter().filter(|row| !reached(row).is_empty());
    rows.map(|row| {
        let hour = (micros(row.start).0 - start.0) / 3_600_000_000;
        (hour, reached(row))
    })
    .collect()
}

async fn a_viewer_counts_once_a_window_by_either_basis(engine: Engine) {
    use Type::{Copy, Impression, Inbound, Lead, Opening};
    let mut api = Api::start_with(engine, ALL_TOLD).await;
    let start = api.long_ago();
    let said = |kind, minutes: u32| at(kind, "v-1", start + minutes * HOUR / 60);
    // The last comes in first.
    for event in [
        said(Lead, 1 + 7 * 24 * 60),
        said(Opening, 30 * 60),
        said(Lead, 29 * 60),
        said(Inbound, 25 * 60),
        said(Copy, 24 * 60 + 1),
        said(Opening, 24 * 60),
        said(Inbound, 3 * 60),
        said(Inbound, 2 * 60),
        said(Impression, 1),
    ] {
        api.tell(vec![event]).await;
        rolled_up(&api.server).await;
    }
    for (basis, wanted) in [
        (
            TimeBasis::Touch,
            vec![
                (
                    0,
                    vec![(Impression, 1), (Copy, 1), (Inbound, 1), (Opening, 1)],
                ),
                (25, vec![(Inbound, 1), (Opening, 1), (Lead, 1)]),
            ],
        ),
        (
            TimeBasis::Event,
            vec![
                (0, vec![(Impression, 1)]),
                (2, vec![(Inbound, 1)]),
                (24, vec![(Copy, 1), (Opening, 1)]),
                (25, vec![(Inbound, 1)]),
                (29, vec![(Lead, 1)]),
                (30, vec![(Opening, 1)]),
            ],
        ),
    ] {
        let request = pb::QueryFunnelRequest {
            granularity: Granularity::Hour.into(),
            time_basis: basis.into(),
            ..whole(start, 14 * 24)
        };
        let rows = api.funnel(request).await.rows;
        assert_eq!(by_hour(&rows, start), wanted, "{basis:?}");
    }
}

/// Of 40 viewers over three days, by placement and note.
async fn scattered(api: &mut Api) -> Micros {
    api.create("main").await.unwrap();
    api.place("menu", in_menu(1)).await.unwrap();
    for n in [1, 2] {
        let surface = on_note(&format!("n-{n}"));
        api.place(&format!("capsule-{n}"), surface).await.unwrap();
    }
    let start = midnight(api.long_ago());
    let (mut events, mut random) = (Vec::new(), 7_u32);
    for n in 0..600 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let pick = |of: u32, shift: u32| (random >> shift) % of;
        let kind = [Type::Impression, Type::Inbound, Type::Opening, Type::Lead][n % 4];
        let placement = ["menu", "capsule-1", "capsule-2"].get(pick(4, 8) as usize);
        events.push(pb::Event {
            origin: placement.map(|id| Origin::Placement(placement_name(id))),
            ..at(
                kind,
                &format!("v-{}", pick(40, 16)),
                start + pick(72 * 60, 4) * HOUR / 60,
            )
        });
    }
    events.sort_by(|a, b| a.event_id.cmp(&b.event_id));
    events.dedup_by(|a, b| a.event_id == b.event_id);
    api.tell(events).await;
    start
}

/// The counts of all rows together, by stage.
fn sum<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<i64> {
    let mut sum = vec![0; 11];
    for row in rows {
        assert_eq!(row.counts.len(), sum.len());
        for (sum, count) in sum.iter_mut().zip(&row.counts) {
            *sum += count.viewers;
        }
    }
    sum
}

async fn hours_add_up_to_days_and_to_the_whole(engine: Engine) {
    let mut api = Api::start_with(engine, ALL_TOLD).await;
    let start = scattered(&mut api).await;
    for basis in [TimeBasis::Touch, TimeBasis::Event] {
        let mut of_placements = vec![0; 11];
        for scope in [
            None,
            Some(Scope::Placement(placement_name("menu"))),
            Some(Scope::Placement(placement_name("capsule-1"))),
            Some(Scope::Placement(placement_name("capsule-2"))),
            Some(Scope::Note("notes/n-1".into())),
        ] {
            let mut told = Vec::new();
            for (granularity, hours) in [
                (Granularity::Hour, 1_u32),
                (Granularity::Day, 24),
                (Granularity::All, 96),
            ] {
                let request = pb::QueryFunnelRequest {
                    scope: scope.clone(),
                    granularity: granularity.into(),
                    time_basis: basis.into(),
                    ..whole(start, 96)
                };
                let rows = api.funnel(request).await.rows;
                assert_eq!(rows.len() as u32, 96 / hours);
                for (n, row) in (0..).zip(&rows) {
                    let first = start + n * hours * HOUR;
                    assert_eq!(micros(row.start), first);
                    assert_eq!(micros(row.end), first + hours * HOUR);
                }
                told.push(rows);
            }
            let [hours, days, whole] = &told[..] else {
                panic!()
            };
            for (day, hours) in days.iter().zip(hours.chunks(24)) {
                assert_eq!(sum(hours), sum([day]));
            }
            assert_eq!(sum(days), sum(whole));
            assert!(sum(&whole[..]).iter().sum::<i64>() > 20, "{whole:?}");
            match &scope {
                Some(Scope::Placement(_)) => {
                    let of = sum(&whole[..]);
                    of_placements.iter_mut().zip(of).for_each(|(s, n)| *s += n);
                }
                Some(Scope::Note(_)) | Some(Scope::Channel(_)) | None => {}
            }
        }
        // Some was credited to none.
        let request = pb::QueryFunnelRequest {
            time_basis: basis.into(),
            ..whole(start, 96)
        };
        let all = sum(&api.funnel(request).await.rows);
        assert!(
            of_placements
                .iter()
                .zip(&all)
                .all(|(some, all)| some <= all)
        );
        assert_ne!(of_placements, all);
    }
}

async fn few_viewers_are_withheld(engine: Engine) {
    let mut api = Api::start(engine).await;
    let start = api.long_ago();
    let mut events = Vec::new();
    // Under five they could be told apart.
    for (kind, viewers) in [
        (Type::Inbound, 10),
        (Type::Opening, 5),
        (Type::Lead, 4),
        (Type::Copy, 1),
    ] {
        events.extend((0..viewers).map(|n| at(kind, &format!("v-{n}"), start)));
    }
    api.tell(events).await;
    let row = api.funnel(whole(start, 1)).await.rows.remove(0);
    let counts = row.counts.iter();
    let counts: Vec<_> = counts
        .map(|c| (c.r#type(), c.viewers, c.withheld))
        .collect();
    assert_eq!(
        counts,
        [
            (Type::Impression, 0, false),
            (Type::Tap, 0, false),
            (Type::Copy, 0, true),
            (Type::Dial, 0, false),
            (Type::Inbound, 10, false),
            (Type::Opening, 5, false),
            (Type::Lead, 0, true),
            (Type::AddRequested, 0, false),
            (Type::Added, 0, false),
            (Type::WecomOpening, 0, false),
            (Type::Removed, 0, false),
        ]
    );
    let figures = row.figures.iter();
    let figures: Vec<_> = figures
        .map(|f| {
            (
                f.metric.as_str(),
                f.numerator,
                f.denominator,
                f.rate,
                f.withheld,
            )
        })
        .collect();
    assert_eq!(
        figures,
        [
            ("tap_rate", 0, 0, None, false),
            ("opening_rate", 5, 10, Some(0.5), false),
            ("inbound_lead_rate", 0, 10, None, true),
            ("opening_lead_rate", 0, 5, None, true),
            ("adds_per_inbound", 0, 10, Some(0.0), false),
            ("adds_per_lead", 0, 0, None, true),
            ("adds_per_tap", 0, 0, None, false),
            ("wecom_opening_rate", 0, 0, None, false),
        ]
    );
}

async fn as_of_is_when_the_first_of_what_waits_came_in(engine: Engine) {
    let mut api = Api::start_with(engine, ALL_TOLD).await;
    let start = api.long_ago();
    let store = api.server.app.store.clone();
    let now = api.stop_clock();
    // Somebody else leads, and does nothing.
    let long = now + DAY;
    assert!(
        store
            .take_lease("funnel", "other", now, long)
            .await
            .unwrap()
    );
    let as_of = async |api: &mut Api| {
        let answer = api.measurement.query_funnel(whole(start, 1)).await;
        let answer = answer.unwrap().into_inner();
        (micros(answer.as_of), sum(&answer.rows)[4])
    };
    assert_eq!(as_of(&mut api).await, (now, 0));
    api.advance(HOUR);
    assert_eq!(as_of(&mut api).await, (now + HOUR, 0));
    for viewer in ["v-1", "v-2"] {
        api.tell(vec![at(Type::Inbound, viewer, start)]).await;
        api.advance(HOUR);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(as_of(&mut api).await, (now + HOUR, 0));
    store.release_lease("funnel", "other").await.unwrap();
    rolled_up(&api.server).await;
    assert_eq!(as_of(&mut api).await, (now + 3 * HOUR, 2));
}

/// More of it than one round takes.
async fn what_nobody_can_read_keeps_no_others_waiting(engine: Engine) {
    let mut api = Api::start_with(engine, ALL_TOLD).await;
    let start = api.long_ago();
    let db = database(&api.server.scratch).await;
    for time in 0..9 {
        let broken = format!("INSERT INTO funnel_queue (time, body) VALUES ({time}, '[{{')");
        db.execute_unprepared(&broken).await.unwrap();
    }
    api.tell(vec![at(Type::Inbound, "v-1", start)]).await;
    let rows = api.funnel(whole(start, 1)).await.rows;
    assert_eq!(reached(&rows[0]), [(Type::Inbound, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_malformed_names_its_fields() {
    let mut api = Api::start(Engine::Sqlite).await;
    let start = midnight(api.long_ago());
    let good = whole(start, 24);
    type Change = Box<dyn Fn(&mut pb::QueryFunnelRequest)>;
    let cases: Vec<(Change, &[&str])> = vec![
        (Box::new(|r| r.merchant = "klook".into()), &["merchant"]),
        (Box::new(|r| r.start = None), &["start"]),
        (Box::new(|r| r.end = None), &["end"]),
        (Box::new(move |r| r.end = time(start)), &["end"]),
        (
            Box::new(move |r| r.start = time(Micros(start.0 + 1))),
            &["start"],
        ),
        (
            Box::new(move |r| r.start = time(Micros(-3_600_000_000))),
            &["start"],
        ),
        (Box::new(|r| r.granularity = 9), &["granularity"]),
        (Box::new(|r| r.time_basis = 9), &["time_basis"]),
        (
            Box::new(|r| r.scope = Some(Scope::Note("n-1".into()))),
            &["note"],
        ),
        (
            Box::new(|r| r.scope = Some(Scope::Channel(String::new()))),
            &["channel"],
        ),
        (
            Box::new(|r| r.scope = Some(Scope::Placement("menu".into()))),
            &["placement"],
        ),
        (
            Box::new(|r| r.scope = Some(Scope::Placement("merchants/other/placements/m".into()))),
            &["placement"],
        ),
        // Of days, midnights.
        (
            Box::new(move |r| {
                r.granularity = Granularity::Day.into();
                r.start = time(start + HOUR);
                r.end = time(start + 2 * HOUR);
            }),
            &["start", "end"],
        ),
        (
            Box::new(|r| {
                r.end = None;
                r.time_basis = 9;
            }),
            &["end", "time_basis"],
        ),
    ];
    for (change, fields) in cases {
        let mut request = good.clone();
        change(&mut request);
        malformed(api.measurement.query_funnel(request).await, fields);
    }
    for (granularity, days) in [
        (Granularity::Hour, 31),
        (Granularity::Day, 400),
        (Granularity::All, 1100),
        (Granularity::Unspecified, 1100),
    ] {
        let most = pb::QueryFunnelRequest {
            granularity: granularity.into(),
            end: time(start + days * DAY),
            ..good.clone()
        };
        let more = pb::QueryFunnelRequest {
            end: time(start + (days + 1) * DAY),
            ..most.clone()
        };
        api.measurement.query_funnel(most).await.unwrap();
        malformed(api.measurement.query_funnel(more).await, &["end"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_one_of_the_registry() {
    let mut api = Api::start(Engine::Sqlite).await;
    let start = api.long_ago();
    let registry = api.measurement.list_metrics(pb::ListMetricsRequest {});
    let metrics = registry.await.unwrap().into_inner().metrics;
    let ids: Vec<_> = metrics.iter().map(|m| m.metric.as_str()).collect();
    assert_eq!(
        ids,
        [
            "tap_rate",
            "opening_rate",
            "inbound_lead_rate",
            "opening_lead_rate",
            "adds_per_inbound",
            "adds_per_lead",
            "adds_per_tap",
            "wecom_opening_rate",
        ]
    );
    for (basis, asked) in [
        (TimeBasis::Unspecified, TimeBasis::Touch),
        (TimeBasis::Event, TimeBasis::Event),
    ] {
        let request = pb::QueryFunnelRequest {
            time_basis: basis.into(),
            ..whole(start, 1)
        };
        let row = api.funnel(request).await.rows.remove(0);
        for (figure, metric) in row.figures.iter().zip(&metrics) {
            assert_eq!(figure.metric, metric.metric);
            assert_eq!((figure.version, metric.version), (1, 1));
            assert_eq!(figure.window, metric.window);
            assert_eq!(figure.time_basis(), asked);
            assert!(metric.time_bases.contains(&asked.into()));
        }
        assert_eq!(row.figures.len(), metrics.len());
    }
    let inbound_lead = &metrics[2];
    assert_eq!(inbound_lead.display_name_zh, "进线留资率");
    assert_eq!(
        (inbound_lead.numerator(), inbound_lead.denominator()),
        (Type::Lead, Type::Inbound)
    );
    let days = metrics.iter().map(|m| m.window.unwrap().seconds / 86_400);
    let days: Vec<_> = days.collect();
    assert_eq!(days, [7, 1, 7, 7, 7, 7, 7, 7]);
}
