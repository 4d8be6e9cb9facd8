//! The ledger of ad spend, and what sources have said of their days.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    QuerySelect,
    sea_query::{Alias, Expr, Func},
};

use super::{
    Db, Error, Result,
    entity::{spend, spend_day},
    placements::padded,
};
use crate::domain::{Change, Day, Merchant, Micros, Money, Said, Sources, Spend};

#[derive(FromQueryResult)]
struct Figure {
    merchant: String,
    day: i32,
    source: String,
    amount: i64,
}

#[derive(FromQueryResult)]
struct Added {
    merchant: String,
    day: i32,
    source: String,
    time: i64,
    delta: i64,
}

impl<C: ConnectionTrait> Db<C> {
    /// What these merchants are known to have spent on these days, by merchant; as known then,
    /// or now. One query.
    pub async fn spend(
        &self,
        merchants: &[&str],
        first: Day,
        last: Day,
        known: Option<Micros>,
    ) -> Result<HashMap<Merchant, Spend>> {
        use spend::Column;
        let sum = Func::cast_as(Expr::col(Column::Delta).sum(), Alias::new("bigint"));
        let mut query = spend::Entity::find()
            .select_only()
            .columns([Column::Merchant, Column::Day, Column::Source])
            .column_as(Expr::expr(sum), "amount")
            .filter(Column::Merchant.is_in(padded(merchants.iter().copied())))
            .filter(Column::Day.between(first.0, last.0));
        if let Some(at) = known {
            query = query.filter(Column::Time.lte(at.0));
        }
        let rows = query
            .group_by(Column::Merchant)
            .group_by(Column::Day)
            .group_by(Column::Source)
            .into_model::<Figure>()
            .all(&self.0)
            .await?;
        let mut of: HashMap<Merchant, Spend> = HashMap::new();
        for row in rows {
            let merchant =
                Merchant::from_id(&row.merchant).ok_or_else(|| Error::corrupt("spend.merchant"))?;
            let days = &mut of.entry(merchant).or_default().days;
            let day = days.entry(Day(row.day)).or_default();
            day.insert(row.source, Money(row.amount));
        }
        Ok(of)
    }

    /// What these merchants are known to have spent on these days, and what of it has come in
    /// since a moment; until `now`, by whatever clock it was written. Both of the same rows, so
    /// that no import comes between. One query.
    pub async fn spend_since(
        &self,
        merchants: &[&str],
        (first, last): (Day, Day),
        since: Micros,
        now: Micros,
        known: Option<Micros>,
    ) -> Result<HashMap<Merchant, Spend>> {
        use spend::Column;
        let mut query = spend::Entity::find()
            .select_only()
            .columns([Column::Merchant, Column::Day, Column::Source])
            .columns([Column::Time, Column::Delta])
            .filter(Column::Merchant.is_in(padded(merchants.iter().copied())))
            .filter(Column::Day.between(first.0, last.0));
        if let Some(at) = known {
            query = query.filter(Column::Time.lte(at.0));
        }
        let mut of: HashMap<Merchant, Spend> = HashMap::new();
        for row in query.into_model::<Added>().all(&self.0).await? {
            let merchant =
                Merchant::from_id(&row.merchant).ok_or_else(|| Error::corrupt("spend.merchant"))?;
            let spend = of.entry(merchant).or_default();
            let (day, delta) = (Day(row.day), Money(row.delta));
            let figures = spend.days.entry(day).or_default();
            figures.entry(row.source).or_default().0 += delta.0;
            if row.time > since.0 {
                let time = Micros(row.time).min(now);
                spend.changes.push(Change { time, day, delta });
            }
        }
        Ok(of)
    }

    /// The sources that have said anything of this day or a later one.
    pub async fn reporting_since(&self, first: Day) -> Result<BTreeSet<String>> {
        let names = spend_day::Entity::find()
            .select_only()
            .column(spend_day::Column::Source)
            .distinct()
            .filter(spend_day::Column::Day.gte(first.0))
            .into_tuple::<String>()
            .all(&self.0);
        Ok(names.await?.into_iter().collect())
    }

    /// What sources have said of these days; as known then, or now.
    pub async fn sources(&self, first: Day, last: Day, known: Option<Micros>) -> Result<Sources> {
        use spend_day::Column;
        let mut rows = spend_day::Entity::find().filter(Column::Day.between(first.0, last.0));
        if let Some(at) = known {
            rows = rows.filter(Column::FirstTime.lte(at.0));
        }
        let mut sources = Sources::default();
        for row in rows.all(&self.0).await? {
            let complete = row
                .complete_time
                .filter(|t| known.is_none_or(|at| *t <= at.0));
            let said = Said {
                first: Micros(row.first_time),
                complete: complete.map(Micros),
            };
            let source = sources.0.entry(row.source).or_default();
            source.0.insert(Day(row.day), said);
        }
        Ok(sources)
    }
}
