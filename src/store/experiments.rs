//! Experiments.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select,
};

use super::{
    Db, Result, Tx,
    entity::experiment::{self, Column, Entity},
    placements::padded,
};
use crate::domain::{Experiment, ExperimentName, Merchant, Micros};

impl<C: ConnectionTrait> Db<C> {
    pub async fn experiment(&self, name: &ExperimentName) -> Result<Option<Experiment>> {
        one(self, named(name)).await
    }

    /// A page of a merchant's experiments, the latest first, from before this number.
    pub async fn experiments_page(
        &self,
        merchant: &Merchant,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Experiment>> {
        let query = Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::No.lt(before.unwrap_or(i64::MAX)))
            .order_by_desc(Column::No)
            .limit(limit);
        all(self, query).await
    }

    /// Of each merchant the latest, the latest first.
    pub async fn latest_experiments(&self, limit: u64) -> Result<Vec<Experiment>> {
        let latest = Entity::find()
            .select_only()
            .column_as(Column::No.max(), "no")
            .group_by(Column::Merchant)
            .into_query();
        let query = Entity::find()
            .filter(Column::No.in_subquery(latest))
            .order_by_desc(Column::No)
            .limit(limit);
        all(self, query).await
    }

    /// How many a merchant has made.
    pub async fn count_experiments(&self, merchant: &Merchant) -> Result<u64> {
        let of = Entity::find().filter(Column::Merchant.eq(merchant.id()));
        Ok(of.count(&self.0).await?)
    }

    /// The experiments of these merchants that run at this moment: one each.
    pub async fn running_experiments(
        &self,
        merchants: impl IntoIterator<Item = &Merchant>,
        at: Micros,
    ) -> Result<HashMap<Merchant, Experiment>> {
        let ids = padded(merchants.into_iter().map(Merchant::id));
        let unstopped = Condition::any()
            .add(Column::StopTime.is_null())
            .add(Column::StopTime.gt(at.0));
        let query = Entity::find()
            .filter(Column::Merchant.is_in(ids))
            .filter(Column::StartTime.lte(at.0))
            .filter(unstopped);
        let running = all(self, query).await?.into_iter();
        Ok(running.map(|e| (e.merchant().clone(), e)).collect())
    }
}

impl Tx {
    /// The experiment, which nobody else changes until this transaction ends.
    pub async fn lock_experiment(&self, name: &ExperimentName) -> Result<Option<Experiment>> {
        one(self, named(name).lock_exclusive()).await
    }

    /// The experiment with its number, or `None` when its name is taken.
    pub async fn insert_experiment(
        &self,
        mut experiment: Experiment,
        author: &str,
    ) -> Result<Option<Experiment>> {
        let mut row = experiment::Model::from(&experiment).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        experiment.no = no;
        self.append(&experiment, author).await?;
        Ok(Some(experiment))
    }

    /// A new version.
    pub async fn save_experiment(&self, experiment: &Experiment, author: &str) -> Result<()> {
        experiment::Model::from(experiment)
            .into_active_model()
            .reset_all()
            .update(&self.0)
            .await?;
        self.append(experiment, author).await
    }
}

fn named(name: &ExperimentName) -> Select<Entity> {
    Entity::find()
        .filter(Column::Merchant.eq(name.merchant().id()))
        .filter(Column::Id.eq(name.id()))
}

async fn one<C: ConnectionTrait>(db: &Db<C>, query: Select<Entity>) -> Result<Option<Experiment>> {
    let row = query.one(&db.0).await?;
    row.map(Experiment::try_from).transpose()
}

async fn all<C: ConnectionTrait>(db: &Db<C>, query: Select<Entity>) -> Result<Vec<Experiment>> {
    let rows = query.all(&db.0).await?.into_iter();
    rows.map(Experiment::try_from).collect()
}
