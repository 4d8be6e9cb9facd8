//! How figures of ad spend reach each engine: in statements over many rows, the way that
//! was measured to be the fastest there (`benches/import.rs`).

use sea_orm::{ConnectionTrait, DbBackend, DbErr, SqlErr, Statement, TransactionTrait, Value};

use super::{Error, Result, Tx, array::array, backend::advisory_lock};
use crate::domain::{Micros, SpendCounts, SpendEntry};

/// Names the lock under which figures are imported: "ad spend" in ASCII.
const SPEND_LOCK: i64 = 0x6164_2073_7065_6e64;

/// Figures in one of SQLite's statements: more are no faster.
const SQLITE_ROWS: usize = 200;

impl Tx {
    /// One importer at a time; SQLite has one writer anyway. A conflict when another process
    /// keeps it for longer than a connection may wait for it.
    pub(super) async fn lock_spend(&self) -> Result<()> {
        if self.0.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        self.0.execute_unprepared(POSTGRES_SETTINGS).await?;
        advisory_lock(&self.0, SPEND_LOCK).await
    }

    /// Appends the figures that differ from the latest of their keys. No key comes twice.
    pub(super) async fn append_spend(
        &self,
        import_no: i64,
        entries: &[&SpendEntry],
        now: Micros,
    ) -> Result<SpendCounts> {
        let mut counts = SpendCounts::default();
        if self.0.get_database_backend() == DbBackend::Postgres {
            counts += self.append_postgres(import_no, entries, now).await?;
        } else {
            for entries in entries.chunks(SQLITE_ROWS) {
                counts += self.append_sqlite(import_no, entries, now).await?;
            }
        }
        Ok(counts)
    }

    /// As if every figure were the first of its key: that needs no look beside the one that
    /// writes it. Where one was not, nothing of it stays, and each key is looked up.
    /// `ON CONFLICT`, as on SQLite, costs as much here as looking up each.
    async fn append_postgres(
        &self,
        import_no: i64,
        entries: &[&SpendEntry],
        now: Micros,
    ) -> Result<SpendCounts> {
        let statement = |sql| {
            let values = [
                array(entries, |e| e.merchant.id().to_owned()),
                array(entries, |e| e.day.0),
                array(entries, |e| e.source.clone()),
                array(entries, |e| e.amount.0),
                import_no.into(),
                now.0.into(),
            ];
            Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
        };
        let savepoint = self.0.begin().await?;
        match savepoint.execute_raw(statement(POSTGRES_FIRST)).await {
            Ok(done) => {
                savepoint.commit().await?;
                return Ok(counts(entries, done.rows_affected(), 0));
            }
            Err(e) if is_taken(&e) => savepoint.rollback().await?,
            Err(e) => return Err(e.into()),
        }
        let row = self.0.query_one_raw(statement(POSTGRES_ANY)).await?;
        let row = row.ok_or_else(|| Error::corrupt("a count without a row"))?;
        let count = |index| Ok::<_, Error>(row.try_get_by_index::<i64>(index)?.unsigned_abs());
        let (accepted, appended) = (count(0)?, count(1)?);
        Ok(counts(entries, accepted, appended - accepted))
    }

    /// A first figure finds its key free in the look that writes it; only where one was not
    /// first are the figures before them looked at.
    async fn append_sqlite(
        &self,
        import_no: i64,
        entries: &[&SpendEntry],
        now: Micros,
    ) -> Result<SpendCounts> {
        let accepted = self
            .execute_sqlite(&first_figures(entries.len()), import_no, entries, now)
            .await?;
        if accepted == entries.len() as u64 {
            return Ok(counts(entries, accepted, 0));
        }
        let replaced = self
            .execute_sqlite(&later_figures(entries.len()), import_no, entries, now)
            .await?;
        Ok(counts(entries, accepted, replaced))
    }

    async fn execute_sqlite(
        &self,
        sql: &str,
        import_no: i64,
        entries: &[&SpendEntry],
        now: Micros,
    ) -> Result<u64> {
        let mut values: Vec<Value> = vec![import_no.into(), now.0.into()];
        for entry in entries {
            values.push(entry.merchant.id().into());
            values.push(entry.day.0.into());
            values.push(entry.source.as_str().into());
            values.push(entry.amount.0.into());
        }
        let statement = Statement::from_sql_and_values(DbBackend::Sqlite, sql, values);
        Ok(self.0.execute_raw(statement).await?.rows_affected())
    }
}

fn counts(entries: &[&SpendEntry], accepted: u64, replaced: u64) -> SpendCounts {
    SpendCounts {
        accepted,
        unchanged: entries.len() as u64 - accepted - replaced,
        replaced,
    }
}

/// Whether a key is there already.
pub(super) fn is_taken(e: &DbErr) -> bool {
    matches!(e.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

/// A chunk may take longer than a call's statement, and fits into memory; compiling its plan
/// would take longer than running it. A connection that waits for another importer is one that
/// calls do not have.
const POSTGRES_SETTINGS: &str = "\
SET LOCAL statement_timeout = '10min'; SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; \
SET LOCAL lock_timeout = '5s'";

const POSTGRES_FIRST: &str = "\
INSERT INTO spend (merchant, day, source, version, amount, delta, import_no, time)
SELECT e.merchant, e.day, e.source, 1, e.amount, e.amount, $5, $6
FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[]) AS e (merchant, day, source, amount)";

const POSTGRES_ANY: &str = "\
WITH written AS (
    INSERT INTO spend (merchant, day, source, version, amount, delta, import_no, time)
    SELECT e.merchant, e.day, e.source, coalesce(s.version, 0) + 1, e.amount,
           e.amount - coalesce(s.amount, 0), $5, greatest($6, s.time + 1)
    FROM unnest($1::text[], $2::int[], $3::text[], $4::bigint[])
         AS e (merchant, day, source, amount)
    LEFT JOIN LATERAL (
        SELECT version, amount, time FROM spend
        WHERE (merchant, day, source) = (e.merchant, e.day, e.source)
        ORDER BY version DESC LIMIT 1
    ) s ON true
    WHERE e.amount IS DISTINCT FROM s.amount
    RETURNING version
)
SELECT count(*) FILTER (WHERE version = 1), count(*) FROM written";

/// Of `rows` figures. The parameters are the import, the time, and each figure's merchant, day,
/// source and amount. They have no numbers: SQLite looks numbered ones up one by one.
fn first_figures(rows: usize) -> String {
    format!(
        "INSERT INTO spend (import_no, time, merchant, day, source, version, amount, delta) \
         SELECT ?, ?, column1, column2, column3, 1, column4, column4 FROM ({}) \
         WHERE true ON CONFLICT DO NOTHING",
        values(rows)
    )
}

/// Of keys that are there, likewise. `CROSS JOIN` makes SQLite look up each figure's key, and
/// not the other way round.
fn later_figures(rows: usize) -> String {
    format!(
        "INSERT INTO spend (import_no, time, merchant, day, source, version, amount, delta) \
         SELECT ?, max(?, s.time + 1), s.merchant, s.day, s.source, s.version + 1, e.column4, \
                e.column4 - s.amount \
         FROM ({}) AS e CROSS JOIN spend s \
         ON s.merchant = e.column1 AND s.day = e.column2 AND s.source = e.column3 \
         AND s.version = (SELECT max(version) FROM spend WHERE merchant = e.column1 \
                          AND day = e.column2 AND source = e.column3) \
         WHERE s.amount <> e.column4",
        values(rows)
    )
}

fn values(rows: usize) -> String {
    format!("VALUES {}", vec!["(?,?,?,?)"; rows].join(","))
}
