//! What a preview reads: every merchant once, and every live placement once, in order.

use std::{collections::HashMap, sync::Arc};

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
    /// Calls for each merchant that has figures in one of the programs' windows of `day`, or is
    /// on one of their lists, by id. One aggregate of the ledger, in one pass.
    pub async fn census(
        &self,
        programs: &[&Program],
        day: Day,
        mut each: impl FnMut(Census),
    ) -> Result<()> {
        let tx = Db(self.0.begin().await?);
        tx.lift_statement_timeout().await?;
        let mut lists = tx.all_lists(programs).await?.into_iter().peekable();
        let totals = Totals::new(day, programs.iter().copied(), false);
        let windows: Vec<_> = totals.windows().collect();
        let sql = format!("{} ORDER BY merchant", totals.select());
        let statement = Statement::from_string(ConnectionTrait::get_database_backend(&tx.0), sql);
        let mut rows = tx.0.stream_raw(statement).await?;
        while let Some(row) = rows.try_next().await? {
            let id: String = row.try_get_by_index(0)?;
            let mut census = Census {
                merchant: Merchant::from_id(&id).ok_or_else(|| Error::corrupt("spend.merchant"))?,
                totals: Vec::with_capacity(windows.len()),
                lists: Vec::new(),
            };
            for (i, days) in windows.iter().enumerate() {
                let total = Money(row.try_get_by_index(i + 1)?);
                census.totals.push((*days, total));
            }
            while let Some(listed) = lists.next_if(|listed| listed.0.id() < id.as_str()) {
                each(unspent(listed, &windows));
            }
            if let Some((_, on)) = lists.next_if(|listed| listed.0 == census.merchant) {
                census.lists = on;
            }
            each(census);
        }
        drop(rows);
        lists.for_each(|listed| each(unspent(listed, &windows)));
        tx.0.rollback().await?;
        Ok(())
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
        self.judged(&ids, programs.to_vec(), lists, calendar, now, None)
            .await
    }
}

type OfMerchant = (Merchant, Vec<(i64, List)>);

fn unspent((merchant, lists): OfMerchant, windows: &[i32]) -> Census {
    Census {
        merchant,
        totals: windows.iter().map(|days| (*days, Money(0))).collect(),
        lists,
    }
}

impl<C: ConnectionTrait> Db<C> {
    /// Who is on these programs' lists, by merchant.
    async fn all_lists(&self, programs: &[&Program]) -> Result<Vec<OfMerchant>> {
        use enrollment::Column;
        let rows = enrollment::Entity::find()
            .filter(Column::ProgramNo.is_in(programs.iter().map(|program| program.no)))
            .filter(Column::Deleted.eq(false))
            .order_by_asc(Column::Merchant)
            .all(&self.0)
            .await?;
        let mut lists: Vec<OfMerchant> = Vec::new();
        for row in rows {
            let (program_no, merchant, list): Listed =
                listed(row.program_no, &row.merchant, row.list)?;
            match lists.last_mut().filter(|last| last.0 == merchant) {
                Some(last) => last.1.push((program_no, list)),
                None => lists.push((merchant, vec![(program_no, list)])),
            }
        }
        Ok(lists)
    }
}
