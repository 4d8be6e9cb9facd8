//! Sanctions: as they stand, as they stood, and the feed of their changes.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    ExprTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::Expr,
};

use super::{
    Db, Result, Tx,
    entity::sanction::{self, Column, Entity},
    placements::padded,
};
use crate::domain::{
    Merchant, Micros, Sanction, SanctionKind, SanctionName, Telling, sanction::stopping,
};

/// The kinds that stop cards.
const STOPPING: [SanctionKind; 2] = [SanctionKind::CardsSuspended, SanctionKind::StoreFrozen];

/// Which sanctions are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sought<'a> {
    /// `None` for everybody's.
    pub merchant: Option<&'a Merchant>,
    /// None for all.
    pub kinds: &'a [SanctionKind],
    /// As known then; `None` for all, as known now.
    pub in_force_at: Option<Micros>,
}

impl<C: ConnectionTrait> Db<C> {
    pub async fn sanction(&self, name: &SanctionName) -> Result<Option<Sanction>> {
        let row = named(name).one(&self.0).await?;
        row.map(Sanction::try_from).transpose()
    }

    /// A page of sanctions, the latest first, from before this number.
    pub async fn sanctions_page(
        &self,
        sought: Sought<'_>,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Sanction>> {
        let mut query = Entity::find().filter(Column::No.lt(before.unwrap_or(i64::MAX)));
        if let Some(merchant) = sought.merchant {
            query = query.filter(Column::Merchant.eq(merchant.id()));
        }
        if !sought.kinds.is_empty() {
            let kinds = sought.kinds.iter().map(|kind| *kind as i16);
            query = query.filter(Column::Kind.is_in(padded(kinds)));
        }
        if let Some(at) = sought.in_force_at {
            query = query
                .filter(not_over(at, Some(at)))
                .filter(Column::StartTime.lte(at.0));
        }
        let sanctions = all(self, query.order_by_desc(Column::No).limit(limit)).await?;
        let known = |sanction: Sanction| match sought.in_force_at {
            Some(at) => sanction.known(at),
            None => sanction,
        };
        Ok(sanctions.into_iter().map(known).collect())
    }

    /// A merchant's sanctions in force or to come at a moment, the latest first; as known then,
    /// or now.
    pub async fn sanctions_not_over(
        &self,
        merchant: &Merchant,
        at: Micros,
        known: Option<Micros>,
        limit: u64,
    ) -> Result<Vec<Sanction>> {
        let query = Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(not_over(at, known))
            .order_by_desc(Column::No)
            .limit(limit);
        let sanctions = all(self, query).await?.into_iter();
        Ok(sanctions.map(|sanction| sanction.known(at)).collect())
    }

    /// How many sanctions count against the merchant's limit: those that are not over, and do
    /// something as long.
    pub async fn count_sanctions(&self, merchant: &Merchant, now: Micros) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(not_over(now, None))
            .filter(lasting())
            .count(&self.0)
            .await?)
    }

    /// How many sanctions follow from a violation, given by number, be they over.
    pub async fn count_sanctions_of(&self, violation_no: i64) -> Result<u64> {
        let of = Entity::find().filter(Column::ViolationNo.eq(violation_no));
        Ok(of.count(&self.0).await?)
    }

    /// Whether a sanction stops the merchant's cards now.
    pub async fn suspended(&self, merchant: &Merchant, now: Micros) -> Result<bool> {
        let mut of = self.stopping(&[merchant.id()], now, None).await?;
        let sanctions = of.remove(merchant).unwrap_or_default();
        Ok(stopping(&sanctions, now).is_some())
    }

    /// The sanctions that stop the cards of these merchants, now or later; as known then, or
    /// now. One query.
    pub(super) async fn stopping(
        &self,
        merchants: &[&str],
        at: Micros,
        known: Option<Micros>,
    ) -> Result<HashMap<Merchant, Vec<Sanction>>> {
        let query = Entity::find()
            .filter(Column::Merchant.is_in(padded(merchants.iter().copied())))
            .filter(Column::Kind.is_in(STOPPING.map(|kind| kind as i16)))
            .filter(not_over(at, known))
            .order_by_asc(Column::No);
        let mut of: HashMap<Merchant, Vec<Sanction>> = HashMap::new();
        for sanction in all(self, query).await? {
            let merchant = sanction.merchant().clone();
            of.entry(merchant).or_default().push(sanction.seen(at));
        }
        Ok(of)
    }
}

impl Tx {
    /// The sanction, which nobody else changes until this transaction ends.
    pub async fn lock_sanction(&self, name: &SanctionName) -> Result<Option<Sanction>> {
        let row = named(name).lock_exclusive().one(&self.0).await?;
        row.map(Sanction::try_from).transpose()
    }

    /// The sanctions that follow from a violation, given by number, likewise.
    pub async fn lock_sanctions_of(&self, violation_no: i64) -> Result<Vec<Sanction>> {
        let query = Entity::find()
            .filter(Column::ViolationNo.eq(violation_no))
            .order_by_asc(Column::No);
        all(self, query.lock_exclusive()).await
    }

    /// The sanction with its number, or `None` when its name is taken; `violation_no` is that of
    /// the violation it names.
    pub async fn insert_sanction(
        &self,
        mut sanction: Sanction,
        violation_no: Option<i64>,
        author: &str,
    ) -> Result<Option<Sanction>> {
        let mut row = sanction::Model::new(&sanction, violation_no).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        sanction.no = no;
        self.append_change(&sanction, author).await?;
        Ok(Some(sanction))
    }

    /// A new version.
    pub async fn save_sanction(&self, sanction: &Sanction, author: &str) -> Result<()> {
        let row = sanction::Model::new(sanction, None).into_active_model();
        let mut row = row.reset_all();
        // What it follows from stays.
        row.violation_no = NotSet;
        row.update(&self.0).await?;
        self.append_change(sanction, author).await
    }

    /// A version, and its place in the feed.
    async fn append_change(&self, sanction: &Sanction, author: &str) -> Result<()> {
        self.append(sanction, author).await?;
        self.feed_sanction(sanction).await?;
        self.tell([Telling::sanction(sanction)]).await
    }
}

/// In force or to come at a moment, as known then, or now.
fn not_over(at: Micros, known: Option<Micros>) -> Condition {
    let later = |column: Column| column.is_null().or(column.gt(at.0));
    let lifted = match known {
        Some(_) => later(Column::LiftTime),
        // Whatever the clock by which it was lifted.
        None => Column::LiftTime.is_null(),
    };
    Condition::all()
        .add(lasting().or(Column::StartTime.gt(at.0)))
        .add(later(Column::EndTime))
        .add(lifted)
        .add(Column::CreateTime.lte(known.unwrap_or(Micros::MAX).0))
}

/// Not over as soon as it begins.
fn lasting() -> Expr {
    Column::Kind.is_not_in(SanctionKind::MOMENTARY.map(|kind| kind as i16))
}

fn named(name: &SanctionName) -> Select<Entity> {
    Entity::find()
        .filter(Column::Merchant.eq(name.merchant().id()))
        .filter(Column::Id.eq(name.id()))
}

async fn all<C: ConnectionTrait>(db: &Db<C>, query: Select<Entity>) -> Result<Vec<Sanction>> {
    let rows = query.all(&db.0).await?.into_iter();
    rows.map(Sanction::try_from).collect()
}
