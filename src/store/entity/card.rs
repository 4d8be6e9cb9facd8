//! Cards as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::{Card, CardName, CardState, Merchant, Micros},
    store::{Error, history::json},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "cards")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub merchant: String,
    pub id: String,
    pub display_name: String,
    pub headline: String,
    pub avatar_uri: String,
    /// JSON; what is personal in it is sealed.
    pub contacts: String,
    pub deleted: bool,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
    pub delete_time: Option<i64>,
    pub purge_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Card> for Model {
    fn from(card: &Card) -> Self {
        Self {
            no: card.no,
            merchant: card.merchant().id().to_owned(),
            id: card.name.id().to_owned(),
            display_name: card.display_name.clone(),
            headline: card.headline.clone(),
            avatar_uri: card.avatar_uri.clone(),
            contacts: json(&card.contacts),
            deleted: card.state == CardState::Deleted,
            version: card.version,
            create_time: card.create_time.0,
            update_time: card.update_time.0,
            delete_time: card.delete_time.map(|t| t.0),
            purge_time: card.purge_time.map(|t| t.0),
        }
    }
}

impl TryFrom<Model> for Card {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::corrupt(format!("cards.no {}: {what}", row.no));
        let merchant = Merchant::from_id(&row.merchant).ok_or_else(|| corrupt("merchant"))?;
        Ok(Self {
            no: row.no,
            name: CardName::new(merchant, &row.id).map_err(|_| corrupt("id"))?,
            contacts: serde_json::from_str(&row.contacts).map_err(|_| corrupt("contacts"))?,
            display_name: row.display_name,
            headline: row.headline,
            avatar_uri: row.avatar_uri,
            state: if row.deleted {
                CardState::Deleted
            } else {
                CardState::Active
            },
            version: row.version,
            create_time: Micros(row.create_time),
            update_time: Micros(row.update_time),
            delete_time: row.delete_time.map(Micros),
            purge_time: row.purge_time.map(Micros),
        })
    }
}
