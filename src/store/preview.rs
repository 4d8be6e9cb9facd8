//! What a preview reads: every merchant once, and every live placement once, in order.
//!
//! A row that passes from the engine to here costs more than the sums behind it, so of the
//! merchants only those pass whom the change may touch; the rest is counted where it lies.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use futures_util::TryStreamExt;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement, StreamTrait, TransactionTrait,
};

use super::{
    Db, Error, Reads, Result, Shown,
    entity::{card, enrollment, placement},
    programs::{Listed, listed},
    totals::Totals,
};
use crate::domain::{
    Calendar, Card, Day, List, Merchant, Micros, Money, PlacementName, Program, Standing,
};

/// One merchant with figures in a window, or on a list.
#[derive(Debug)]
pub struct Census {
    pub merchant: Merchant,
    /// By the number of days of the window.
    pub totals: Vec<(i32, Money)>,
    /// By the number of the program.
    pub lists: Vec<(i64, List)>,
}

impl Reads {
    /// How many merchants have figures in one of the programs' windows of `day`, or are on one
    /// of their lists. Calls, in any order, for each whom these programs may admit before and
    /// not after, or the other way round, and for the first `sample` others by id. One
    /// aggregate of the ledger, in one pass; of one program at least.
    pub async fn census(
        &self,
        before: &[&Program],
        after: &[&Program],
        day: Day,
        sample: usize,
        mut each: impl FnMut(Census),
    ) -> Result<i64> {
        let programs: Vec<_> = before.iter().chain(after).copied().collect();
        let tx = Db(self.0.begin().await?, self.1.fresh());
        tx.lift_statement_timeout().await?;
        let mut lists = tx.all_lists(&programs).await?;
        let totals = Totals::new(day, programs.iter().copied(), false);
        let windows: Vec<_> = totals.windows().collect();
        let counted = counted(&programs, &totals, &tx.unspent(&totals));
        let touched = touched(before, after);
        // The row without a name has the count.
        let zeros = zeros(windows.len() - 1);
        let sql = format!(
            "{counted} SELECT NULL, COUNT(*){zeros} FROM census \
             UNION ALL SELECT * FROM (SELECT * FROM census WHERE NOT ({touched}) \
             ORDER BY merchant LIMIT {sample}) AS others \
             UNION ALL SELECT * FROM census WHERE {touched}"
        );
        let statement = Statement::from_string(ConnectionTrait::get_database_backend(&tx.0), sql);
        let mut rows = tx.0.stream_raw(statement).await?;
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            let Some(id) = row.try_get_by_index::<Option<String>>(0)? else {
                count = row.try_get_by_index(1)?;
                continue;
            };
            let merchant =
                Merchant::from_id(&id).ok_or_else(|| Error::corrupt("spend.merchant"))?;
            let mut totals = Vec::with_capacity(windows.len());
            for (i, days) in windows.iter().enumerate() {
                totals.push((*days, Money(row.try_get_by_index(i + 1)?)));
            }
            each(Census {
                lists: lists.remove(&merchant).unwrap_or_default(),
                merchant,
                totals,
            });
        }
        drop(rows);
        tx.0.rollback().await?;
        Ok(count)
    }

    /// A page of LIVE placements by merchant and id, after this one.
    pub async fn live_placements(
        &self,
        after: Option<&PlacementName>,
        limit: u64,
    ) -> Result<Vec<Shown>> {
        use placement::{Column, Entity};
        let mut query = Entity::find().filter(Column::State.eq(placement::LIVE));
        if let Some(name) = after {
            let merchant = name.merchant().id();
            let same = Condition::all()
                .add(Column::Merchant.eq(merchant))
                .add(Column::Id.gt(name.id()));
            query = query.filter(Column::Merchant.gte(merchant)).filter(
                Condition::any()
                    .add(Column::Merchant.gt(merchant))
                    .add(same),
            );
        }
        let rows = query
            .find_also_related(card::Entity)
            .order_by_asc(Column::Merchant)
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|(placement, card)| {
                Ok((placement.try_into()?, card.map(Card::try_from).transpose()?))
            })
            .collect()
    }

    /// Each merchant's standing, were these the programs.
    pub async fn standings_under<'a>(
        &self,
        programs: &[Program],
        merchants: impl IntoIterator<Item = &'a Merchant>,
        calendar: &Calendar,
        now: Micros,
    ) -> Result<HashMap<Merchant, Arc<Standing>>> {
        let ids: Vec<_> = merchants.into_iter().map(Merchant::id).collect();
        let lists = self.lists(&ids).await?;
        let standings = self.judged(&ids, programs.to_vec(), lists, calendar, now, None);
        self.sanctioned(standings.await?, now, None).await
    }
}

/// `WITH census AS …`: a row for each merchant with figures or on a list, with a total for
/// each window.
fn counted(programs: &[&Program], totals: &Totals, unspent: &str) -> String {
    let numbers: Vec<_> = programs.iter().map(|p| p.no.to_string()).collect();
    let (numbers, zeros) = (numbers.join(", "), zeros(totals.windows().count()));
    format!(
        "WITH totals AS ({}), census AS MATERIALIZED (SELECT * FROM totals UNION ALL \
         SELECT DISTINCT o.merchant{zeros} FROM enrollments o \
         WHERE o.program_no IN ({numbers}) AND NOT o.deleted AND {unspent})",
        totals.select(),
    )
}

fn zeros(columns: usize) -> String {
    ", 0".repeat(columns)
}

/// Whom a change may touch, in SQL. Who is on a list or in a share is not asked there: while a
/// program's share stays as it is, so does who is in it.
fn touched(before: &[&Program], after: &[&Program]) -> String {
    let passes = |p: &Program| format!("total_{} > {}", p.window_days, p.threshold.0);
    let numbers: BTreeSet<_> = before.iter().chain(after).map(|p| p.no).collect();
    let touched =
        numbers
            .into_iter()
            .filter_map(|no| match (numbered(before, no), numbered(after, no)) {
                (Some(old), Some(new)) if old.share_permille == new.share_permille => {
                    let [old, new] = [passes(old), passes(new)];
                    (old != new).then(|| format!("({old}) <> ({new})"))
                }
                (old, new) => {
                    let either: Vec<_> = [old, new].into_iter().flatten().map(passes).collect();
                    Some(either.join(" OR "))
                }
            });
    let touched: Vec<_> = touched.collect();
    if touched.is_empty() {
        return "1 = 0".to_owned();
    }
    touched.join(" OR ")
}

fn numbered<'a>(programs: &[&'a Program], no: i64) -> Option<&'a Program> {
    programs.iter().copied().find(|program| program.no == no)
}

impl<C: ConnectionTrait> Db<C> {
    /// Who is on these programs' lists.
    async fn all_lists(
        &self,
        programs: &[&Program],
    ) -> Result<HashMap<Merchant, Vec<(i64, List)>>> {
        use enrollment::Column;
        let rows = enrollment::Entity::find()
            .filter(Column::ProgramNo.is_in(programs.iter().map(|program| program.no)))
            .filter(Column::Deleted.eq(false))
            .all(&self.0)
            .await?;
        let mut lists: HashMap<Merchant, Vec<(i64, List)>> = HashMap::new();
        for row in rows {
            let (program_no, merchant, list): Listed =
                listed(row.program_no, &row.merchant, row.list)?;
            lists.entry(merchant).or_default().push((program_no, list));
        }
        Ok(lists)
    }
}
