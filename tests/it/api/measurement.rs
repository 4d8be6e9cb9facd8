//! The funnel from the outside: events come in, and what is told of them.

mod ingest;
mod model;
mod query;
mod taps;

use std::time::Duration;

use mingpian::{
    api::pb::{self, event::Type, query_funnel_request::Granularity},
    domain::Micros,
};
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::{Api, DAY, cases::event, malformed, micros, placement_name, time};
use crate::support::TestServer;

const HOUR: Duration = Duration::from_secs(3600);
/// Tells of everybody.
const ALL_TOLD: &str = "[measurement]\nwithheld_under = 1\n";

impl Api {
    async fn ingest(&mut self, events: Vec<pb::Event>) -> Result<pb::IngestEventsResponse, Status> {
        let request = pb::IngestEventsRequest { events };
        let answer = self.measurement.ingest_events(request).await;
        answer.map(tonic::Response::into_inner)
    }

    /// That all of them go in.
    async fn tell(&mut self, events: Vec<pb::Event>) {
        let many = i32::try_from(events.len()).unwrap();
        let answer = self.ingest(events).await.unwrap();
        assert_eq!((answer.accepted, answer.rejected), (many, vec![]));
    }

    /// Once everything is in the roll-ups.
    async fn funnel(&mut self, request: pb::QueryFunnelRequest) -> pb::QueryFunnelResponse {
        rolled_up(&self.server).await;
        let answer = self.measurement.query_funnel(request).await;
        answer.unwrap().into_inner()
    }

    /// A whole hour, some 20 days ago.
    fn long_ago(&self) -> Micros {
        let now = self.server.clock.now().0;
        Micros(now - now % 3_600_000_000 - 20 * 86_400_000_000)
    }
}

/// Until nothing waits for the roll-ups.
pub async fn rolled_up(server: &TestServer) {
    let started = Instant::now();
    let reads = server.app.store.reads();
    while reads.funnel_waits_since().await.unwrap().is_some() {
        assert!(started.elapsed() < Duration::from_secs(60), "not rolled up");
        sleep(Duration::from_millis(20)).await;
    }
}

/// An event of a viewer of `klook` at this time; the id follows from what it says.
fn at(kind: Type, viewer: &str, when: Micros) -> pb::Event {
    pb::Event {
        r#type: kind.into(),
        viewer_id: viewer.into(),
        event_time: time(when),
        ..event("klook", &format!("{kind:?}-{viewer}-{}", when.0))
    }
}

/// All of these hours of `klook` in one row.
fn whole(start: Micros, hours: u32) -> pb::QueryFunnelRequest {
    pb::QueryFunnelRequest {
        merchant: "merchants/klook".into(),
        start: time(start),
        end: time(start + hours * HOUR),
        granularity: Granularity::All.into(),
        ..Default::default()
    }
}

/// The stages that anybody reached, by their words.
fn reached(row: &pb::query_funnel_response::Row) -> Vec<(Type, i64)> {
    let counts = row.counts.iter().filter(|count| count.viewers != 0);
    counts.map(|c| (c.r#type(), c.viewers)).collect()
}
