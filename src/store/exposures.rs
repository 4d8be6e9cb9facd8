//! Who met an experiment.

use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use super::{Result, Tx, array::array};
use crate::domain::{Arm, Micros};

/// Rows of one of SQLite's statements: more are no faster.
const SQLITE_ROWS: usize = 100;

/// A viewer who met an experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposure {
    pub experiment_no: i64,
    pub viewer: u64,
    pub arm: Arm,
    pub time: Micros,
}

impl Tx {
    /// Keeps who met an experiment, each by the first time on each side.
    pub async fn insert_exposures(&self, exposures: &[Exposure]) -> Result<()> {
        let backend = self.0.get_database_backend();
        if backend == DbBackend::Postgres {
            let statement = Statement::from_sql_and_values(backend, postgres(), columns(exposures));
            self.0.execute_raw(statement).await?;
            return Ok(());
        }
        for exposures in exposures.chunks(SQLITE_ROWS) {
            let statement = Statement::from_sql_and_values(
                backend,
                sqlite(exposures.len()),
                exposures.iter().flat_map(row),
            );
            self.0.execute_raw(statement).await?;
        }
        Ok(())
    }
}

const FIRST: &str = "ON CONFLICT (experiment_no, viewer, arm) DO UPDATE SET time = excluded.time \
                     WHERE excluded.time < exposures.time";

/// `OR FAIL`: what a broken statement wrote goes with its transaction, so SQLite need not copy
/// each page before it changes it.
fn sqlite(rows: usize) -> String {
    let rows = vec!["(?,?,?,?)"; rows].join(",");
    format!(
        "INSERT OR FAIL INTO exposures (experiment_no, viewer, arm, time) VALUES {rows} {FIRST}"
    )
}

fn row(exposure: &Exposure) -> [Value; 4] {
    [
        exposure.experiment_no.into(),
        exposure.viewer.cast_signed().into(),
        (exposure.arm as i16).into(),
        exposure.time.0.into(),
    ]
}

fn postgres() -> String {
    format!(
        "INSERT INTO exposures (experiment_no, viewer, arm, time) \
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[]) {FIRST}"
    )
}

fn columns(exposures: &[Exposure]) -> [Value; 4] {
    [
        array(exposures, |e| e.experiment_no),
        array(exposures, |e| e.viewer.cast_signed()),
        array(exposures, |e| e.arm as i16),
        array(exposures, |e| e.time.0),
    ]
}
