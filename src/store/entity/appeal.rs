//! Appeals as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::Appeal,
    store::{
        Error,
        history::{json, whole},
    },
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "appeals")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub merchant: String,
    pub id: String,
    /// JSON: the whole; what is personal in it is sealed.
    pub body: String,
    pub violation_no: Option<i64>,
    pub sanction_no: Option<i64>,
    pub decide_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// `violation_no` or `sanction_no` is that of the subject.
    pub fn new(appeal: &Appeal, violation_no: Option<i64>, sanction_no: Option<i64>) -> Self {
        Self {
            no: appeal.no,
            merchant: appeal.merchant().id().to_owned(),
            id: appeal.name.id().to_owned(),
            body: json(appeal),
            violation_no,
            sanction_no,
            decide_time: appeal.outcome.as_ref().map(|outcome| outcome.time.0),
        }
    }
}

impl TryFrom<Model> for Appeal {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        whole(row.no, &row.body)
    }
}
