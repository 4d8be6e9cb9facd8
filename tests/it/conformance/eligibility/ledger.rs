//! Figures written row by row, as an import leaves them.

use std::collections::{BTreeMap, BTreeSet};

use mingpian::domain::Day;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use super::{MERCHANTS, Open, Said, What};
use crate::conformance::Stage;

pub struct Ledger {
    db: DatabaseConnection,
    /// By merchant, day and source: the version and the amount.
    figures: BTreeMap<(&'static str, Day, &'static str), (i32, i64)>,
}

impl Ledger {
    pub async fn empty(stage: &Stage) -> Self {
        let ledger = Self {
            db: stage.raw().await,
            figures: BTreeMap::new(),
        };
        for table in ["spend", "spend_days", "openings", "transitions", "runs"] {
            ledger.execute(&format!("DELETE FROM {table}")).await;
        }
        ledger
    }

    pub async fn write(&mut self, said: &Said) {
        let Said {
            at,
            source,
            day,
            what,
        } = said;
        let (at, number) = (at.0, day.0);
        self.execute(&format!(
            "INSERT INTO spend_days (source, day, first_time) VALUES ('{source}', {number}, {at}) \
             ON CONFLICT DO NOTHING"
        ))
        .await;
        let What::Figure(merchant, amount) = *what else {
            return self
                .execute(&format!(
                    "UPDATE spend_days SET complete_time = {at}, completed_by = 'me' \
                     WHERE source = '{source}' AND day = {number} AND complete_time IS NULL"
                ))
                .await;
        };
        let last = self.figures.get(&(merchant, *day, source)).copied();
        let (version, before) = last.unwrap_or((0, 0));
        let (version, amount) = (version + 1, amount.0);
        if last.is_some() && before == amount {
            return;
        }
        self.figures
            .insert((merchant, *day, source), (version, amount));
        let delta = amount - before;
        self.execute(&format!(
            "INSERT INTO spend (merchant, day, source, version, amount, delta, import_no, time) \
             VALUES ('{merchant}', {number}, '{source}', {version}, {amount}, {delta}, 1, {at})"
        ))
        .await;
    }

    /// By program, in the order of their ids, and merchant.
    pub async fn openings(&self) -> Open {
        let sql = "SELECT p.id, o.merchant FROM openings o JOIN programs p ON p.no = o.program_no \
                   WHERE p.id <> 'default'";
        let rows = self.rows(sql).await.into_iter();
        rows.map(|row| {
            let [program, merchant] = [0, 1].map(|i| row.try_get_by_index(i).unwrap());
            (number(program), known(merchant))
        })
        .collect()
    }

    /// Of the last run: program, merchant, whether it opened, both totals.
    pub async fn last_transitions(&self) -> BTreeSet<(usize, &'static str, bool, i64, i64)> {
        let sql = "SELECT p.id, t.merchant, t.opened, t.total_before, t.total \
                   FROM transitions t JOIN programs p ON p.no = t.program_no \
                   WHERE p.id <> 'default' AND run_no = (SELECT MAX(no) FROM runs)";
        let rows = self.rows(sql).await.into_iter();
        rows.map(|row| {
            (
                number(row.try_get_by_index(0).unwrap()),
                known(row.try_get_by_index(1).unwrap()),
                row.try_get_by_index(2).unwrap(),
                row.try_get_by_index(3).unwrap(),
                row.try_get_by_index(4).unwrap(),
            )
        })
        .collect()
    }

    async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap();
    }

    async fn rows(&self, sql: &str) -> Vec<sea_orm::QueryResult> {
        let statement = Statement::from_string(self.db.get_database_backend(), sql);
        self.db.query_all_raw(statement).await.unwrap()
    }
}

fn number(program: String) -> usize {
    usize::from(program == "q")
}

fn known(merchant: String) -> &'static str {
    MERCHANTS.into_iter().find(|m| *m == merchant).unwrap()
}
