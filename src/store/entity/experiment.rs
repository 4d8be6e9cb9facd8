//! Experiments as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::Experiment,
    store::{
        Error,
        history::{json, whole},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "experiments")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub merchant: String,
    pub id: String,
    /// JSON: the whole.
    pub body: String,
    pub start_time: i64,
    pub stop_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Experiment> for Model {
    fn from(experiment: &Experiment) -> Self {
        Self {
            no: experiment.no,
            merchant: experiment.merchant().id().to_owned(),
            id: experiment.name.id().to_owned(),
            body: json(experiment),
            start_time: experiment.start_time.0,
            stop_time: experiment.stop_time.map(|t| t.0),
        }
    }
}

impl TryFrom<Model> for Experiment {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        whole(row.no, &row.body)
    }
}
