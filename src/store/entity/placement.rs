//! Placements as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::{
        CardName, ContactKind, Merchant, Micros, Placement, PlacementName, PlacementState, Surface,
    },
    store::Error,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "placements")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub merchant: String,
    pub id: String,
    pub card_no: i64,
    pub card_id: String,
    /// Bit n for the kind with number n; 0 for all.
    pub kinds: i16,
    pub surface: i16,
    /// A menu's.
    pub position: Option<i32>,
    /// A note's or conversation's id.
    pub target: Option<String>,
    /// What a LIVE one holds; unique.
    pub slot: Option<String>,
    pub start_time: Option<i64>,
    pub end_time: Option<i64>,
    /// 1 LIVE, 2 PAUSED, 3 DELETED, so that what may be shown comes first.
    pub state: i16,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
    pub delete_time: Option<i64>,
}

pub const MENU: i16 = 1;
pub const CAPSULE: i16 = 2;
pub const MESSAGE: i16 = 3;

pub const LIVE: i16 = 1;
pub const PAUSED: i16 = 2;
pub const DELETED: i16 = 3;

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::card::Entity",
        from = "Column::CardNo",
        to = "super::card::Column::No"
    )]
    Card,
}

impl Related<super::card::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Card.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl From<&Placement> for Model {
    fn from(placement: &Placement) -> Self {
        let (surface, position, target) = match &placement.surface {
            Surface::ChatMenu { position } => (MENU, Some(*position), None),
            Surface::NoteCapsule { note } => (CAPSULE, None, Some(note.clone())),
            Surface::CardMessage { conversation } => (MESSAGE, None, Some(conversation.clone())),
        };
        Self {
            no: placement.no,
            merchant: placement.name.merchant().id().to_owned(),
            id: placement.name.id().to_owned(),
            card_no: placement.card_no,
            card_id: placement.card.id().to_owned(),
            kinds: placement.kinds.iter().map(|k| 1 << *k as u8).sum(),
            surface,
            position,
            target,
            slot: placement.slot(),
            start_time: placement.start_time.map(|t| t.0),
            end_time: placement.end_time.map(|t| t.0),
            state: match placement.state {
                PlacementState::Live => LIVE,
                PlacementState::Paused => PAUSED,
                PlacementState::Deleted => DELETED,
            },
            version: placement.version,
            create_time: placement.create_time.0,
            update_time: placement.update_time.0,
            delete_time: placement.delete_time.map(|t| t.0),
        }
    }
}

impl TryFrom<Model> for Placement {
    type Error = Error;

    fn try_from(row: Model) -> Result<Self, Error> {
        let corrupt = |what: &str| Error::corrupt(format!("placements.no {}: {what}", row.no));
        let merchant = Merchant::from_id(&row.merchant).ok_or_else(|| corrupt("merchant"))?;
        let surface = match (row.surface, row.position, row.target) {
            (MENU, Some(position), None) => Surface::ChatMenu { position },
            (CAPSULE, None, Some(note)) => Surface::NoteCapsule { note },
            (MESSAGE, None, Some(conversation)) => Surface::CardMessage { conversation },
            _ => return Err(corrupt("surface")),
        };
        Ok(Self {
            no: row.no,
            card: CardName::new(merchant.clone(), &row.card_id).map_err(|_| corrupt("card_id"))?,
            card_no: row.card_no,
            name: PlacementName::new(merchant, &row.id).map_err(|_| corrupt("id"))?,
            kinds: ContactKind::ALL
                .into_iter()
                .filter(|k| row.kinds & (1 << *k as u8) != 0)
                .collect(),
            surface,
            start_time: row.start_time.map(Micros),
            end_time: row.end_time.map(Micros),
            state: match row.state {
                LIVE => PlacementState::Live,
                PAUSED => PlacementState::Paused,
                DELETED => PlacementState::Deleted,
                _ => return Err(corrupt("state")),
            },
            version: row.version,
            create_time: Micros(row.create_time),
            update_time: Micros(row.update_time),
            delete_time: row.delete_time.map(Micros),
        })
    }
}
