//! The funnel: whose is to be looked at again, what viewers reached, and the roll-ups.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
    sea_query::{Alias, Expr, Func, OnConflict, SimpleExpr},
};

use super::{
    Db, Error, Result, Tx,
    entity::{event, funnel_hour, funnel_queue, funnel_stage},
    events::Touched,
    history::from_json,
    placements::padded,
};
use crate::domain::{Merchant, Micros, Stage, Touch, funnel::Reached};

/// Rows of one insert: SQLite takes 32,766 values at once.
const ROWS: usize = 500;

/// Whose hour is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    Event = 1,
    Touch = 2,
}

impl Basis {
    pub const BOTH: &[Self] = &[Self::Event, Self::Touch];
}

/// A place in the roll-ups.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counted {
    pub merchant: Merchant,
    pub basis: Basis,
    /// Since the epoch.
    pub hour: i32,
    pub stage: Stage,
    pub touch: Touch,
}

/// Changes of the roll-ups.
pub type Tally = BTreeMap<Counted, i64>;

/// Work that waits.
#[derive(Clone, Debug)]
pub struct Queued {
    pub no: i64,
    /// `None`: nobody can read it.
    pub touched: Option<Vec<Touched>>,
}

/// What is asked of a merchant's roll-ups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    All,
    /// By id, as the next one.
    Placement(String),
    Note(String),
    Channel(String),
}

/// Hours in rows of so many each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The first, since the epoch.
    pub first: i32,
    /// The one after the last.
    pub end: i32,
    /// Of one row.
    pub hours: i32,
}

impl<C: ConnectionTrait> Db<C> {
    /// How many viewers reached each stage, by row of the stretch.
    pub async fn funnel(
        &self,
        merchant: &Merchant,
        scope: &Scope,
        stretch: Stretch,
        basis: Basis,
    ) -> Result<HashMap<(i32, Stage), i64>> {
        use funnel_hour::{Column, Entity};
        let row: SimpleExpr = Expr::col(Column::Hour)
            .sub(stretch.first)
            .div(stretch.hours);
        let viewers = Func::cast_as(Expr::col(Column::Viewers).sum(), Alias::new("bigint"));
        let mut query = Entity::find()
            .select_only()
            .column_as(row.clone(), "slot")
            .column(Column::Stage)
            .column_as(Expr::expr(viewers), "viewers")
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Basis.eq(basis as i16))
            .filter(Column::Hour.gte(stretch.first))
            .filter(Column::Hour.lt(stretch.end));
        query = match scope {
            Scope::All => query,
            Scope::Placement(id) => query.filter(Column::Placement.eq(id)),
            Scope::Note(id) => query.filter(Column::Note.eq(id)),
            Scope::Channel(channel) => query.filter(Column::Channel.eq(channel)),
        };
        let rows = query
            .group_by(Expr::col(Alias::new("slot")))
            .group_by(Column::Stage)
            .into_tuple::<(i32, i16, i64)>()
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|(row, stage, viewers)| Ok(((row, stage_of(stage)?), viewers)))
            .collect()
    }

    /// When the first of what waits came in; `None`: everything is in the roll-ups.
    pub async fn funnel_waits_since(&self) -> Result<Option<Micros>> {
        use funnel_queue::{Column, Entity};
        let first = Entity::find()
            .select_only()
            .column_as(Column::Time.min(), "time")
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        Ok(first.flatten().map(Micros))
    }

    /// What waits, the first first.
    pub async fn queued_funnel(&self, limit: u64) -> Result<Vec<Queued>> {
        use funnel_queue::{Column, Entity};
        let rows = Entity::find()
            .order_by_asc(Column::No)
            .limit(limit)
            .all(&self.0)
            .await?;
        let queued = rows.into_iter().map(|row| Queued {
            no: row.no,
            touched: from_json(&row.body).ok(),
        });
        Ok(queued.collect())
    }
}

impl Tx {
    /// What waited is done.
    pub async fn funnel_done(&self, nos: &[i64]) -> Result<()> {
        use funnel_queue::{Column, Entity};
        Entity::delete_many()
            .filter(Column::No.is_in(padded(nos.iter().copied())))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// What a viewer reached is counted no longer.
    pub async fn forget_reached(
        &self,
        merchant: &Merchant,
        viewer: i64,
        (opened, stage): (Micros, Stage),
    ) -> Result<()> {
        let key = (merchant.id().to_owned(), viewer, opened.0, stage as i16);
        funnel_stage::Entity::delete_by_id(key)
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// What viewers of a merchant reached is counted as this from now on.
    pub async fn save_reached(
        &self,
        merchant: &Merchant,
        reached: &[(i64, (Micros, Stage), Reached)],
    ) -> Result<()> {
        use funnel_stage::{ActiveModel, Column, Entity};
        let rows = reached.iter().map(|(viewer, (opened, stage), reached)| {
            let touch = reached.touch.clone();
            ActiveModel {
                merchant: Set(merchant.id().to_owned()),
                viewer: Set(*viewer),
                opened: Set(opened.0),
                stage: Set(*stage as i16),
                time: Set(reached.time.0),
                placement: Set(touch.placement),
                note: Set(touch.note),
                channel: Set(touch.channel),
            }
        });
        let rows: Vec<_> = rows.collect();
        let again = OnConflict::columns([
            Column::Merchant,
            Column::Viewer,
            Column::Opened,
            Column::Stage,
        ])
        .update_columns([
            Column::Time,
            Column::Placement,
            Column::Note,
            Column::Channel,
        ])
        .to_owned();
        for rows in rows.chunks(ROWS) {
            Entity::insert_many(rows.to_vec())
                .on_conflict(again.clone())
                .exec_without_returning(&self.0)
                .await?;
        }
        Ok(())
    }

    /// Adds to the roll-ups.
    pub async fn count_viewers(&self, tally: &Tally) -> Result<()> {
        use funnel_hour::{ActiveModel, Column, Entity};
        let changed = tally.iter().filter(|(_, viewers)| **viewers != 0);
        let rows = changed.map(|(counted, viewers)| ActiveModel {
            merchant: Set(counted.merchant.id().to_owned()),
            basis: Set(counted.basis as i16),
            hour: Set(counted.hour),
            stage: Set(counted.stage as i16),
            placement: Set(counted.touch.placement.clone()),
            note: Set(counted.touch.note.clone()),
            channel: Set(counted.touch.channel.clone()),
            viewers: Set(*viewers),
        });
        let rows: Vec<_> = rows.collect();
        let sum = Expr::col((Entity, Column::Viewers))
            .add(Expr::col((Alias::new("excluded"), Column::Viewers)));
        let add = OnConflict::columns([
            Column::Merchant,
            Column::Basis,
            Column::Hour,
            Column::Stage,
            Column::Placement,
            Column::Note,
            Column::Channel,
        ])
        .value(Column::Viewers, sum)
        .to_owned();
        for rows in rows.chunks(ROWS) {
            Entity::insert_many(rows.to_vec())
                .on_conflict(add.clone())
                .exec_without_returning(&self.0)
                .await?;
        }
        Ok(())
    }

    /// Counts nothing of the windows that opened since, nor of any hour since.
    pub async fn clear_funnel(&self, first: Micros) -> Result<()> {
        self.lift_statement_timeout().await?;
        funnel_hour::Entity::delete_many()
            .filter(funnel_hour::Column::Hour.gte(first.hour()))
            .exec(&self.0)
            .await?;
        funnel_stage::Entity::delete_many()
            .filter(funnel_stage::Column::Opened.gte(first.0))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// What was reached since in windows that opened before.
    pub async fn reached_late(
        &self,
        first: Micros,
    ) -> Result<Vec<(Merchant, (Micros, Stage), Reached)>> {
        use funnel_stage::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::Opened.lt(first.0))
            .filter(Column::Time.gte(first.0))
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|row| {
                let key = (Micros(row.opened), stage_of(row.stage)?);
                Ok((merchant_of(&row.merchant)?, key, row.into()))
            })
            .collect()
    }

    /// Viewers of whom something is known since, in order, after this one.
    pub async fn viewers_since(
        &self,
        first: Micros,
        last: Option<&(Merchant, i64)>,
        limit: usize,
    ) -> Result<Vec<(Merchant, i64)>> {
        use event::{Column, Entity};
        let mut query = Entity::find()
            .select_only()
            .columns([Column::Merchant, Column::Viewer])
            .distinct()
            .filter(Column::EventTime.gte(first.0))
            .filter(Column::Viewer.is_not_null());
        if let Some((merchant, viewer)) = last {
            let key = Expr::tuple([Column::Merchant, Column::Viewer].map(Expr::col));
            let last = Expr::tuple([merchant.id().into(), (*viewer).into()]);
            query = query.filter(key.gt(last));
        }
        let rows = query
            .order_by_asc(Column::Merchant)
            .order_by_asc(Column::Viewer)
            .limit(limit as u64)
            .into_tuple::<(String, i64)>()
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|(merchant, viewer)| Ok((merchant_of(&merchant)?, viewer)))
            .collect()
    }

    /// Forgets what was reached in windows that opened before, which no event can change any
    /// more; the roll-ups stay. How many rows, of at most `limit`, there were.
    pub async fn forget_windows(&self, before: Micros, limit: u64) -> Result<u64> {
        use funnel_stage::{Column, Entity};
        let key = [
            Column::Merchant,
            Column::Viewer,
            Column::Opened,
            Column::Stage,
        ];
        let old = Entity::find()
            .select_only()
            .columns(key)
            .filter(Column::Opened.lt(before.0))
            .limit(limit)
            .into_query();
        let forgotten = Entity::delete_many()
            .filter(Expr::tuple(key.map(Expr::col)).in_subquery(old))
            .exec(&self.0)
            .await?;
        Ok(forgotten.rows_affected)
    }
}

impl From<funnel_stage::Model> for Reached {
    fn from(row: funnel_stage::Model) -> Self {
        Self {
            time: Micros(row.time),
            touch: Touch {
                placement: row.placement,
                note: row.note,
                channel: row.channel,
            },
        }
    }
}

fn merchant_of(id: &str) -> Result<Merchant> {
    Merchant::from_id(id).ok_or_else(|| Error::corrupt("a merchant"))
}

pub(super) fn stage_of(number: i16) -> Result<Stage> {
    Stage::from_number(number).ok_or_else(|| Error::corrupt("a stage"))
}
