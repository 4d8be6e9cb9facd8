//! A year of one merchant's funnel, and the report of an experiment that many viewers met: with
//! the raw events that came in, and with as many as a busy merchant has.

use std::{fmt::Write, time::Instant};

use mingpian::{
    app::{Call, ExperimentDraft, Principal},
    domain::ExperimentName,
    store::{Basis, Scope, Stretch},
};
use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::Intake;

const HOURS_A_YEAR: i32 = 365 * 24;
/// Times that each question is asked; told is the median.
const ASKED: usize = 9;

impl Intake {
    /// The year's roll-ups are written as they stand: two placements, each with all stages in
    /// each hour, beside what came in.
    pub async fn year(&self, engine: &str, total: usize) {
        let end = self.app.ambient.now().hour();
        let year = format!(
            "WITH RECURSIVE h (h) AS (SELECT {} UNION ALL SELECT h + 1 FROM h WHERE h < {end}), \
             s (s) AS (SELECT 1 UNION ALL SELECT s + 1 FROM s WHERE s < 11) \
             INSERT INTO funnel_hours \
             SELECT 'klook', b.b, h, s, 'placement-' || p.p, 'note-' || p.p, '', 7 \
             FROM h, s, (SELECT 1 AS b UNION SELECT 2) b, (SELECT 1 AS p UNION SELECT 2) p \
             WHERE true ON CONFLICT DO NOTHING",
            end - HOURS_A_YEAR
        );
        self.db.execute_unprepared(&year).await.unwrap();
        self.asked(engine, end).await;
        if total > self.events {
            let started = Instant::now();
            self.multiply(total / self.events).await;
            println!(
                "{engine}: more raw events made in {:.1?}",
                started.elapsed()
            );
            self.asked(engine, end).await;
            self.report(engine).await;
        }
    }

    /// So many times the raw events that there are, of as many more viewers. They are not rolled
    /// up: the roll-ups are the same before and after.
    async fn multiply(&self, times: usize) {
        let postgres = self.db.get_database_backend() == DbBackend::Postgres;
        let id = ["randomblob(16)", "gen_random_uuid()"][usize::from(postgres)];
        let index = "CREATE INDEX events_viewer ON events (merchant, viewer, event_time)";
        let more = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {}) \
             INSERT INTO events SELECT e.day, {id}, e.stage, e.kind, e.merchant, e.viewer + n.n, \
             e.event_time, e.time, e.placement, e.note, e.channel, e.conversation, e.bot, \
             e.attributes FROM events e CROSS JOIN n",
            times - 1
        );
        for statement in ["DROP INDEX events_viewer", &more, index, "ANALYZE"] {
            self.db.execute_unprepared(statement).await.unwrap();
        }
    }

    async fn asked(&self, engine: &str, end: i32) {
        let mut line = format!("{engine}:");
        for table in ["events", "funnel_hours"] {
            write!(line, " {} {table},", self.count(table).await).unwrap();
        }
        for (what, hours, row) in [
            ("a year in one row", HOURS_A_YEAR, HOURS_A_YEAR),
            ("a year of days", HOURS_A_YEAR, 24),
            ("31 days of hours", 31 * 24, 1),
        ] {
            let stretch = Stretch {
                first: end - hours,
                end,
                hours: row,
            };
            let mut times = Vec::new();
            for _ in 0..ASKED {
                let started = Instant::now();
                let funnel = self
                    .app
                    .funnel(&self.merchant, &Scope::All, stretch, Basis::Touch);
                funnel.await.unwrap();
                times.push(started.elapsed());
            }
            times.sort();
            write!(line, " {what} {:.1?}", times[ASKED / 2]).unwrap();
        }
        println!("{line}");
    }

    /// Of an experiment that every viewer met with the first event, half of them held out.
    async fn report(&self, engine: &str) {
        let call = Call {
            principal: Principal::anonymous().into(),
            request: None,
            dry_run: false,
            until: None,
        };
        let name = ExperimentName::parse("merchants/klook/experiments/all").unwrap();
        let draft = ExperimentDraft {
            display_name: "All".to_owned(),
            hold_out: 500,
            salt: String::new(),
        };
        let experiment = self.app.create_experiment(&call, name.clone(), draft).await;
        let met = format!(
            "INSERT INTO exposures SELECT {}, viewer, 1 + CAST(abs(viewer % 2) AS smallint), \
             min(event_time) \
             FROM events GROUP BY viewer",
            experiment.unwrap().no
        );
        self.db.execute_unprepared(&met).await.unwrap();
        self.db.execute_unprepared("ANALYZE").await.unwrap();
        let mut times = Vec::new();
        for _ in 0..3 {
            let started = Instant::now();
            if let Err(error) = self.app.experiment_report(&name).await {
                let took = started.elapsed();
                println!("{engine}: no report of an experiment after {took:.1?}: {error}");
                return;
            }
            times.push(started.elapsed());
        }
        times.sort();
        println!(
            "{engine}: an experiment's report, {} exposures and {} events: {:.1?}",
            self.count("exposures").await,
            self.count("events").await,
            times[1]
        );
    }

    async fn count(&self, table: &str) -> i64 {
        let count = format!("SELECT count(*) AS n FROM {table}");
        let count = Statement::from_string(self.db.get_database_backend(), count);
        let row = self.db.query_one_raw(count).await.unwrap().unwrap();
        row.try_get("", "n").unwrap()
    }
}
