//! T+1 while the last day may still be added to: who would close, and is open yet.

use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use super::{Error, Result, Tx, entity::transition};
use crate::domain::{Calendar, Day, Merchant, Micros, Program, eligibility::State};

/// Merchants looked at together, where the rule itself is asked.
const PAGE: u64 = 1000;

#[derive(FromQueryResult)]
struct Closing {
    no: i64,
    program_no: i64,
    merchant: String,
}

impl Tx {
    /// Who had a qualifying total when the day before ended, by what was known then, has
    /// lapsed today, and today's lapses wait for that day's figures. Nearly all are of this
    /// kind, and the store sees it by itself.
    pub(super) async fn keep_those_open_till_now(
        &self,
        run_no: i64,
        programs: &[Program],
        calendar: &Calendar,
        day: Day,
    ) -> Result<()> {
        let (end, midnight) = (day - 1, calendar.zone.start(day));
        for program in programs {
            let (no, threshold) = (program.no, program.threshold.0);
            let first = program.terms().first(end);
            self.execute(&format!(
                "DELETE FROM transitions \
                 WHERE run_no = {run_no} AND NOT opened AND program_no = {no} AND \
                 (SELECT SUM(s.delta) FROM spend s WHERE s.merchant = transitions.merchant \
                 AND s.day >= {} AND s.day < {} AND s.time < {}) > {threshold}",
                first.0, end.0, midnight.0
            ))
            .await?;
        }
        Ok(())
    }

    /// The rule itself is asked of those that are left; a page at a time, and they are few.
    pub(super) async fn keep_held(
        &self,
        run_no: i64,
        programs: &[Program],
        calendar: &Calendar,
        now: Micros,
    ) -> Result<()> {
        use transition::Column;
        let mut after = 0;
        loop {
            let page = transition::Entity::find()
                .select_only()
                .columns([Column::No, Column::ProgramNo, Column::Merchant])
                .filter(Column::RunNo.eq(run_no))
                .filter(Column::Opened.eq(false))
                .filter(Column::No.gt(after))
                .order_by_asc(Column::No)
                .limit(PAGE)
                .into_model::<Closing>()
                .all(&self.0)
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.no;
            let held = self.held(&page, programs, calendar, now).await?;
            transition::Entity::delete_many()
                .filter(Column::No.is_in(held))
                .exec(&self.0)
                .await?;
        }
    }

    /// The numbers of those that are open yet.
    async fn held(
        &self,
        page: &[Closing],
        programs: &[Program],
        calendar: &Calendar,
        now: Micros,
    ) -> Result<Vec<i64>> {
        let mut ids: Vec<_> = page.iter().map(|row| row.merchant.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let standings = self
            .judged(&ids, programs.to_vec(), Vec::new(), calendar, now, None)
            .await?;
        let mut held = Vec::new();
        for row in page {
            let merchant = Merchant::from_id(&row.merchant)
                .ok_or_else(|| Error::corrupt("transitions.merchant"))?;
            let open = standings.get(&merchant).is_some_and(|standing| {
                standing.chances.iter().any(|chance| {
                    chance.program.no == row.program_no && chance.decision.state == State::Open
                })
            });
            held.extend(open.then_some(row.no));
        }
        Ok(held)
    }
}
