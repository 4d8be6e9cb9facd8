//! Acquisition links as they stand now.

use sea_orm::entity::prelude::*;

use crate::{
    domain::{
        AcquisitionLink, AcquisitionLinkName, AcquisitionUri, CorpName, LinkState, Micros,
        acquisition::{Made, Pending},
    },
    store::{Error, history::json},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "acquisition_links")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub no: i64,
    pub corp_no: i64,
    pub id: String,
    pub display_name: String,
    pub tag: String,
    /// JSON.
    pub range: String,
    pub skip_verify: bool,
    pub link_id: Option<String>,
    pub uri: Option<String>,
    pub state: i16,
    pub state_time: i64,
    pub gone: bool,
    pub pending: Option<i16>,
    pub attempts: i32,
    /// When to ask WeCom again, where something is pending.
    pub next_time: Option<i64>,
    /// When WeCom was last asked to make or change it, where that may yet have an effect.
    pub asked_time: Option<i64>,
    pub version: i64,
    pub create_time: i64,
    pub update_time: i64,
    pub delete_time: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "super::corp::Entity",
        from = "Column::CorpNo",
        to = "super::corp::Column::No"
    )]
    Corp,
}

impl Related<super::corp::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Corp.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl From<&AcquisitionLink> for Model {
    fn from(link: &AcquisitionLink) -> Self {
        let made = link.made.as_ref();
        Self {
            no: link.no,
            corp_no: link.corp_no,
            id: link.name.id().to_owned(),
            display_name: link.display_name.clone(),
            tag: link.tag.clone(),
            range: json(&link.range),
            skip_verify: link.skip_verify,
            link_id: made.map(|made| made.link_id.clone()),
            uri: made.map(|made| made.uri.as_str().to_owned()),
            state: link.state as i16,
            state_time: link.state_time.0,
            gone: link.gone,
            pending: link.pending.map(|pending| pending as i16),
            attempts: 0,
            next_time: None,
            asked_time: None,
            version: link.version,
            create_time: link.create_time.0,
            update_time: link.update_time.0,
            delete_time: link.delete_time.map(|t| t.0),
        }
    }
}

impl Model {
    /// The link; its corp's name stands in the corp's row.
    pub fn link(self, corp: &CorpName) -> Result<AcquisitionLink, Error> {
        let no = self.no;
        let corrupt = |what: &str| Error::corrupt(format!("acquisition_links.no {no}: {what}"));
        let made = match (self.link_id, self.uri) {
            (Some(link_id), Some(uri)) => Some(Made {
                link_id,
                uri: AcquisitionUri::parse(&uri).map_err(|_| corrupt("uri"))?,
            }),
            _ => None,
        };
        let pending = self.pending.map(Pending::from_number);
        Ok(AcquisitionLink {
            no,
            corp_no: self.corp_no,
            name: AcquisitionLinkName::new(corp.clone(), &self.id).map_err(|_| corrupt("id"))?,
            display_name: self.display_name,
            tag: self.tag,
            range: serde_json::from_str(&self.range).map_err(|_| corrupt("range"))?,
            skip_verify: self.skip_verify,
            made,
            state: LinkState::from_number(self.state).ok_or_else(|| corrupt("state"))?,
            state_time: Micros(self.state_time),
            gone: self.gone,
            pending: pending
                .map(|pending| pending.ok_or_else(|| corrupt("pending")))
                .transpose()?,
            version: self.version,
            create_time: Micros(self.create_time),
            update_time: Micros(self.update_time),
            delete_time: self.delete_time.map(Micros),
        })
    }
}
