//! What merchants counted themselves.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter,
    QuerySelect, QueryTrait, sea_query::Expr,
};

use super::{
    Db, Result, Tx,
    entity::{
        reported_add::{ActiveModel, Column, Entity, Model},
        reported_viewer,
    },
};
use crate::domain::{Day, Merchant, Micros, reported::ReportedDay};

/// The merchant's last word on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reported {
    pub version: i32,
    pub adds: i64,
    pub copied: Option<i64>,
    /// Every add has its viewer.
    pub complete: bool,
}

impl<C: ConnectionTrait> Db<C> {
    /// What a merchant last said of these days, both included.
    pub async fn reported(
        &self,
        merchant: &Merchant,
        (first, last): (Day, Day),
    ) -> Result<BTreeMap<Day, Reported>> {
        let of = Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Day.between(first.0, last.0));
        let latest = of
            .clone()
            .select_only()
            .column(Column::Day)
            .column_as(Column::Version.max(), "version")
            .group_by(Column::Day)
            .into_query();
        let key = Expr::tuple([Column::Day, Column::Version].map(Expr::col));
        let rows = of.filter(key.in_subquery(latest)).all(&self.0).await?;
        Ok(rows
            .into_iter()
            .map(|row| (Day(row.day), row.into()))
            .collect())
    }

    /// Who added on a day, by the merchant's last word.
    pub async fn reported_viewers(&self, merchant: &Merchant, day: Day) -> Result<BTreeSet<u64>> {
        use reported_viewer::{Column, Entity};
        let rows = Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Day.eq(day.0))
            .all(&self.0)
            .await?;
        Ok(rows.iter().map(|row| row.viewer.cast_unsigned()).collect())
    }
}

impl Tx {
    /// The merchant's word on a day, which replaces the one before.
    pub async fn append_report(
        &self,
        merchant: &Merchant,
        report: &ReportedDay,
        version: i32,
        author: &str,
        now: Micros,
    ) -> Result<()> {
        let row = ActiveModel {
            merchant: Set(merchant.id().to_owned()),
            day: Set(report.day.0),
            version: Set(version),
            adds: Set(report.adds),
            copied: Set(report.copied),
            complete: Set(report.complete()),
            time: Set(now.0),
            author: Set(author.to_owned()),
        };
        Entity::insert(row).exec_without_returning(&self.0).await?;
        reported_viewer::Entity::delete_many()
            .filter(reported_viewer::Column::Merchant.eq(merchant.id()))
            .filter(reported_viewer::Column::Day.eq(report.day.0))
            .exec(&self.0)
            .await?;
        let viewers = report.viewers.iter();
        let rows: Vec<_> = viewers
            .map(|viewer| reported_viewer::ActiveModel {
                merchant: Set(merchant.id().to_owned()),
                viewer: Set(viewer.cast_signed()),
                day: Set(report.day.0),
            })
            .collect();
        if !rows.is_empty() {
            reported_viewer::Entity::insert_many(rows)
                .exec_without_returning(&self.0)
                .await?;
        }
        Ok(())
    }
}

impl From<Model> for Reported {
    fn from(row: Model) -> Self {
        Self {
            version: row.version,
            adds: row.adds,
            copied: row.copied,
            complete: row.complete,
        }
    }
}
