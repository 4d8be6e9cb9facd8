//! Violations as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::{Violation, credit::missing},
    store::{
        Error,
        history::{json, whole},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "violations")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub merchant: String,
    pub id: String,
    /// JSON: the whole; what is personal in it is sealed.
    pub body: String,
    pub state: i16,
    pub points: i16,
    /// From when on the points are missing.
    pub charge_time: Option<i64>,
    /// And until when, as far as is known.
    pub restore_time: Option<i64>,
    pub update_time: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Violation> for Model {
    fn from(violation: &Violation) -> Self {
        let (charge_time, restore_time) = missing(violation).unzip();
        Self {
            no: violation.no,
            merchant: violation.merchant().id().to_owned(),
            id: violation.name.id().to_owned(),
            body: json(violation),
            state: violation.state as i16,
            points: violation.points.into(),
            charge_time: charge_time.map(|t| t.0),
            restore_time: restore_time.flatten().map(|t| t.0),
            update_time: violation.update_time.0,
        }
    }
}

impl TryFrom<Model> for Violation {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        whole(row.no, &row.body)
    }
}
