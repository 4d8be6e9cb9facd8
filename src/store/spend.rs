//! The ledger of ad spend, and what sources have said of their days.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, FromQueryResult, QueryFilter,
    QuerySelect,
    sea_query::{Alias, Expr, Func},
};

use super::{
    Db, Error, Result,
    entity::{spend, spend_day},
};
use crate::domain::{Day, Merchant, Micros, Money, Source, Sources, Spend};

#[derive(FromQueryResult)]
struct Figure {
    merchant: String,
    day: i32,
    source: String,
    amount: i64,
}

#[derive(FromQueryResult)]
struct SinceRow {
    source: String,
    since: i32,
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
            .filter(Column::Merchant.is_in(merchants.iter().copied()))
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
            let days = &mut of.entry(merchant).or_default().0;
            let day = days.entry(Day(row.day)).or_default();
            day.insert(row.source, Money(row.amount));
        }
        Ok(of)
    }

    /// The sources that report, and which of these days they have completed; as known then, or
    /// now.
    pub async fn sources(&self, first: Day, last: Day, known: Option<Micros>) -> Result<Sources> {
        use spend_day::Column;
        let mut since = spend_day::Entity::find()
            .select_only()
            .column(Column::Source)
            .column_as(Column::Day.min(), "since")
            .group_by(Column::Source);
        let mut complete = spend_day::Entity::find()
            .filter(Column::Day.between(first.0, last.0))
            .filter(Column::CompleteTime.is_not_null());
        if let Some(at) = known {
            since = since.filter(Column::FirstTime.lte(at.0));
            complete = complete.filter(Column::CompleteTime.lte(at.0));
        }
        let mut sources = Sources::default();
        for row in since.into_model::<SinceRow>().all(&self.0).await? {
            let source = Source {
                since: Day(row.since),
                complete: Default::default(),
            };
            sources.0.insert(row.source, source);
        }
        for row in complete.all(&self.0).await? {
            if let Some(source) = sources.0.get_mut(&row.source) {
                source.complete.insert(Day(row.day));
            }
        }
        Ok(sources)
    }
}
