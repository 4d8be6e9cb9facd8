//! What viewers of a merchant did, and what they reached by it: looked up viewer by viewer.
//!
//! PostgreSQL is not left to choose how. What it knows of a table is old while the table grows
//! fast, and it would read all that the merchant has.

use std::collections::HashMap;

use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, TryGetableMany, Value};
use uuid::Uuid;

use super::{
    Db, Error, Result, array::array, contact_events::of_viewers, events::day, funnel::stage_of,
    history::json,
};
use crate::domain::{
    Merchant, Micros, Stage, Touch,
    funnel::{Reached, Seen, Windows},
};

impl<C: ConnectionTrait> Db<C> {
    /// What these viewers of a merchant are known to have done since; machines left out.
    pub async fn seen(
        &self,
        merchant: &Merchant,
        viewers: &[i64],
        since: Micros,
    ) -> Result<HashMap<i64, Vec<Seen>>> {
        const EVENTS: Rows = Rows {
            columns: "viewer, event_time, stage, id, placement, note, channel",
            table: "events",
            since: "event_time >= $3 AND day >= $4 AND NOT bot",
        };
        let from = [since.0.into(), day(since).into()];
        let mut seen: HashMap<i64, Vec<Seen>> = HashMap::new();
        for row in self.rows_of(EVENTS, merchant, viewers, from).await? {
            type Row = (i64, i64, i16, Uuid, String, String, String);
            let (viewer, time, stage, id, placement, note, channel) = read::<Row>(&row)?;
            seen.entry(viewer).or_default().push(Seen {
                time: Micros(time),
                stage: stage_of(stage)?,
                id,
                touch: Touch {
                    placement,
                    note,
                    channel,
                },
            });
        }
        for (viewer, at_wecom) in of_viewers(&self.0, merchant, viewers, since).await? {
            seen.entry(viewer).or_default().push(at_wecom);
        }
        Ok(seen)
    }

    /// What these viewers of a merchant reached in windows that opened since, as it is counted.
    pub async fn reached(
        &self,
        merchant: &Merchant,
        viewers: &[i64],
        since: Micros,
    ) -> Result<HashMap<i64, Windows>> {
        const STAGES: Rows = Rows {
            columns: "viewer, opened, stage, time, placement, note, channel",
            table: "funnel_stages",
            since: "opened >= $3",
        };
        let mut of: HashMap<i64, Windows> = HashMap::new();
        let from = [since.0.into()];
        for row in self.rows_of(STAGES, merchant, viewers, from).await? {
            type Row = (i64, i64, i16, i64, String, String, String);
            let (viewer, opened, stage, time, placement, note, channel) = read::<Row>(&row)?;
            let key: (Micros, Stage) = (Micros(opened), stage_of(stage)?);
            let reached = Reached {
                time: Micros(time),
                touch: Touch {
                    placement,
                    note,
                    channel,
                },
            };
            of.entry(viewer).or_default().insert(key, reached);
        }
        Ok(of)
    }

    async fn rows_of(
        &self,
        rows: Rows,
        merchant: &Merchant,
        viewers: &[i64],
        from: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<QueryResult>> {
        let db = self.0.get_database_backend();
        let Rows {
            columns,
            table,
            since,
        } = rows;
        let (sql, viewers) = match db {
            // `OFFSET 0` makes the look at each viewer one of its own.
            DbBackend::Postgres => (
                format!(
                    "SELECT r.* FROM unnest($2::bigint[]) AS v (who) CROSS JOIN LATERAL \
                     (SELECT {columns} FROM {table} WHERE merchant = $1 AND viewer = v.who \
                     AND {since} OFFSET 0) AS r"
                ),
                array(viewers, |viewer| *viewer),
            ),
            _ => (
                format!(
                    "SELECT {columns} FROM {table} WHERE merchant = $1 \
                     AND viewer IN (SELECT value FROM json_each($2)) AND {since}"
                ),
                json(&viewers).into(),
            ),
        };
        let values = [merchant.id().into(), viewers].into_iter().chain(from);
        let statement = Statement::from_sql_and_values(db, sql, values);
        Ok(self.0.query_all_raw(statement).await?)
    }
}

/// Of a table with an index that begins with the merchant and the viewer.
struct Rows {
    columns: &'static str,
    table: &'static str,
    /// With `$3` and on.
    since: &'static str,
}

fn read<T: TryGetableMany>(row: &QueryResult) -> Result<T> {
    T::try_get_many_by_index(row).map_err(|e| Error::from(sea_orm::DbErr::from(e)))
}
