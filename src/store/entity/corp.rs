//! Corps as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::{Corp, CorpName, Micros},
    store::{Error, history::json},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "corps")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub id: String,
    pub display_name: String,
    /// JSON: ids.
    pub merchants: String,
    pub corp_id: String,
    /// Sealed.
    pub secrets: Vec<u8>,
    /// When to look at WeCom again; no part of a version.
    pub sync_time: i64,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
    pub delete_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::quota::Entity",
        from = "Column::No",
        to = "super::quota::Column::No"
    )]
    Quota,
}

impl Related<super::quota::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Quota.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Corp> for Model {
    fn from(corp: &Corp) -> Self {
        Self {
            no: corp.no,
            id: corp.name.id().to_owned(),
            display_name: corp.display_name.clone(),
            merchants: json(&corp.merchants),
            corp_id: corp.corp_id.clone(),
            secrets: corp.secrets.clone(),
            sync_time: corp.create_time.0,
            version: corp.version,
            create_time: corp.create_time.0,
            update_time: corp.update_time.0,
            delete_time: corp.delete_time.map(|t| t.0),
        }
    }
}

impl TryFrom<Model> for Corp {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::corrupt(format!("corps.no {}: {what}", row.no));
        Ok(Self {
            no: row.no,
            name: CorpName::new(&row.id).map_err(|_| corrupt("id"))?,
            merchants: serde_json::from_str(&row.merchants).map_err(|_| corrupt("merchants"))?,
            display_name: row.display_name,
            corp_id: row.corp_id,
            secrets: row.secrets,
            version: row.version,
            create_time: Micros(row.create_time),
            update_time: Micros(row.update_time),
            delete_time: row.delete_time.map(Micros),
        })
    }
}
