//! Sanctions as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::Sanction,
    store::{
        Error,
        history::{json, whole},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sanctions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub merchant: String,
    pub id: String,
    /// JSON: the whole; what is personal in it is sealed.
    pub body: String,
    pub kind: i16,
    pub violation_no: Option<i64>,
    pub start_time: i64,
    pub end_time: Option<i64>,
    pub lift_time: Option<i64>,
    pub create_time: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// `violation_no` is that of the violation it names.
    pub fn new(sanction: &Sanction, violation_no: Option<i64>) -> Self {
        Self {
            no: sanction.no,
            merchant: sanction.merchant().id().to_owned(),
            id: sanction.name.id().to_owned(),
            body: json(sanction),
            kind: sanction.kind as i16,
            violation_no,
            start_time: sanction.start_time.0,
            end_time: sanction.end_time.map(|t| t.0),
            lift_time: sanction.lift.as_ref().map(|lift| lift.time.0),
            create_time: sanction.create_time.0,
        }
    }
}

impl TryFrom<Model> for Sanction {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        whole(row.no, &row.body)
    }
}
