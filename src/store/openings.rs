//! T+1: who opens and who closes on a day, dated; one statement over one aggregate of the
//! ledger, whatever the number of merchants.
//!
//! `openings` is the state after the last run and `transitions` is how it came about. The gate
//! reads neither: what is open is derived (`domain/eligibility.rs`). A threshold below zero opens
//! to who never had a figure, too: nobody can list them, so they get no row.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, QueryFilter,
    QueryOrder, QuerySelect, Statement,
    sea_query::{Expr, Query},
};

use super::{
    Db, Result, Tx,
    entity::{opening, program, run, spend_day, spend_import, transition},
    totals::Totals,
};
use crate::domain::{Calendar, Day, Micros, Program};

/// What one run found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub day: Day,
    pub time: Micros,
    /// Merchants, each program counted by itself.
    pub opened: u64,
    pub closed: u64,
}

impl<C: ConnectionTrait> Db<C> {
    /// The last run.
    pub async fn last_run(&self) -> Result<Option<Run>> {
        let row = run::Entity::find().order_by_desc(run::Column::No);
        Ok(row.one(&self.0).await?.map(|row| Run {
            day: Day(row.day),
            time: Micros(row.time),
            opened: row.opened.cast_unsigned(),
            closed: row.closed.cast_unsigned(),
        }))
    }

    /// When something last came in that a run may decide by: an import, a completed day, a
    /// program's terms.
    pub async fn latest_news(&self) -> Result<Option<Micros>> {
        let import = spend_import::Entity::find()
            .select_only()
            .column_as(spend_import::Column::UpdateTime.max(), "latest")
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        let completed = spend_day::Entity::find()
            .select_only()
            .column_as(spend_day::Column::CompleteTime.max(), "latest")
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        let changed = program::Entity::find()
            .select_only()
            .column_as(program::Column::UpdateTime.max(), "latest")
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        let news = [import.flatten(), completed.flatten(), changed.flatten()];
        Ok(news.into_iter().flatten().max().map(Micros))
    }
}

impl Tx {
    /// Decides the day of `now` for every running program, and dates what changed since the
    /// last run. The caller sees to it that there is one run at a time.
    pub async fn run_openings(
        &self,
        calendar: &Calendar,
        now: Micros,
        holder: &str,
    ) -> Result<Run> {
        self.lift_statement_timeout().await?;
        let mut programs = self.unended_programs().await?;
        programs.retain(|program| program.runs(now));
        let day = calendar.zone.day(now);
        let run_no = self.begin_run(day, now, holder).await?;
        if !programs.is_empty() {
            let totals = Totals::new(day, &programs, true);
            let unspent = self.unspent(&totals);
            self.execute(&transitions(run_no, now, &programs, &totals, &unspent))
                .await?;
            let sources = self.reporting(&programs, calendar, now, None).await?;
            if calendar.firm_from(&sources, day) > now {
                self.keep_those_open_till_now(run_no, &programs, calendar, day)
                    .await?;
                self.keep_held(run_no, &programs, calendar, now).await?;
            }
        }
        let closed = self.remove_closed(run_no).await?;
        let opened = self.execute(&openings(run_no)).await?;
        self.end_run(run_no, opened, closed).await?;
        self.tell_transitions(run_no, day, now).await?;
        Ok(Run {
            day,
            time: now,
            opened,
            closed,
        })
    }

    async fn begin_run(&self, day: Day, now: Micros, holder: &str) -> Result<i64> {
        let row = run::ActiveModel {
            no: NotSet,
            day: Set(day.0),
            time: Set(now.0),
            holder: Set(holder.to_owned()),
            opened: Set(0),
            closed: Set(0),
        };
        Ok(row.insert(&self.0).await?.no)
    }

    async fn remove_closed(&self, run_no: i64) -> Result<u64> {
        use opening::Column;
        let closed = Query::select()
            .columns([transition::Column::ProgramNo, transition::Column::Merchant])
            .from(transition::Entity)
            .and_where(transition::Column::RunNo.eq(run_no))
            .and_where(transition::Column::Opened.eq(false))
            .to_owned();
        let key = Expr::tuple([Column::ProgramNo, Column::Merchant].map(Expr::col));
        let removed = opening::Entity::delete_many()
            .filter(key.in_subquery(closed))
            .exec(&self.0)
            .await?;
        Ok(removed.rows_affected)
    }

    async fn end_run(&self, run_no: i64, opened: u64, closed: u64) -> Result<()> {
        let row = run::ActiveModel {
            no: Set(run_no),
            opened: Set(opened.cast_signed()),
            closed: Set(closed.cast_signed()),
            ..Default::default()
        };
        row.update(&self.0).await?;
        Ok(())
    }
}

impl Db<DatabaseTransaction> {
    /// Runs a statement that has only numbers of ours in it; how many rows it wrote.
    pub(super) async fn execute(&self, sql: &str) -> Result<u64> {
        let statement = Statement::from_string(self.0.get_database_backend(), sql);
        Ok(self.0.execute_raw(statement).await?.rows_affected())
    }
}

/// Compares each merchant's total with its place in `openings`. A merchant without figures in
/// the window has a total of zero.
///
/// `unspent`: who of the openings `o` has no totals.
fn transitions(
    run_no: i64,
    now: Micros,
    programs: &[Program],
    totals: &Totals,
    unspent: &str,
) -> String {
    let day = totals.day.0;
    let changes: Vec<_> = programs
        .iter()
        .map(|program| {
            let (no, days) = (program.no, program.window_days);
            let threshold = program.threshold.0;
            let now = now.0;
            format!(
                "SELECT {run_no}, {no}, t.merchant, o.merchant IS NULL, {day}, \
                 t.before_{days}, t.total_{days}, {now} \
                 FROM totals t \
                 LEFT JOIN openings o ON o.program_no = {no} AND o.merchant = t.merchant \
                 WHERE (t.total_{days} > {threshold}) <> (o.merchant IS NOT NULL) \
                 UNION ALL \
                 SELECT {run_no}, {no}, o.merchant, 1 = 0, {day}, 0, 0, {now} \
                 FROM openings o \
                 WHERE o.program_no = {no} AND {threshold} >= 0 AND {unspent}"
            )
        })
        .collect();
    format!(
        "WITH totals AS ({}) INSERT INTO transitions \
         (run_no, program_no, merchant, opened, day, total_before, total, time) {}",
        totals.select(),
        changes.join(" UNION ALL "),
    )
}

fn openings(run_no: i64) -> String {
    format!(
        "INSERT INTO openings (program_no, merchant, since) \
         SELECT program_no, merchant, day FROM transitions WHERE run_no = {run_no} AND opened"
    )
}
