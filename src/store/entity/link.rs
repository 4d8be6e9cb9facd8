//! Links.

use sea_orm::entity::prelude::*;

use crate::{
    domain::{ContactKind, Link, LinkName, Merchant, Micros, PlacementName},
    store::Error,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "links")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub merchant: String,
    pub id: String,
    pub placement_id: String,
    pub kind: i16,
    pub channel: String,
    /// Empty within the transaction that makes the link: the token carries the row's number.
    pub token: String,
    pub version: i64,
    pub create_time: i64,
    pub expire_time: i64,
    pub revoke_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Link> for Model {
    fn from(link: &Link) -> Self {
        Self {
            no: link.no,
            merchant: link.name.merchant().id().to_owned(),
            id: link.name.id().to_owned(),
            placement_id: link.placement.id().to_owned(),
            kind: link.kind as i16,
            channel: link.channel.clone(),
            token: link.token.clone(),
            version: link.version,
            create_time: link.create_time.0,
            expire_time: link.expire_time.0,
            revoke_time: link.revoke_time.map(|t| t.0),
        }
    }
}

impl TryFrom<Model> for Link {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::corrupt(format!("links.no {}: {what}", row.no));
        let merchant = Merchant::from_id(&row.merchant).ok_or_else(|| corrupt("merchant"))?;
        Ok(Self {
            no: row.no,
            placement: PlacementName::new(merchant.clone(), &row.placement_id)
                .map_err(|_| corrupt("placement_id"))?,
            name: LinkName::new(merchant, &row.id).map_err(|_| corrupt("id"))?,
            kind: u8::try_from(row.kind)
                .ok()
                .and_then(ContactKind::from_number)
                .ok_or_else(|| corrupt("kind"))?,
            channel: row.channel,
            token: row.token,
            version: row.version,
            create_time: Micros(row.create_time),
            expire_time: Micros(row.expire_time),
            revoke_time: row.revoke_time.map(Micros),
        })
    }
}
