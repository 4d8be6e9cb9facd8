//! Links.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait,
    IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};

use super::{
    Db, Result, Tx, cleared,
    entity::link::{self, Column, Entity},
    placements::padded,
};
use crate::domain::{Clearance, Link, LinkName, Merchant, Micros};

impl<C: ConnectionTrait> Db<C> {
    pub async fn link(&self, name: &LinkName) -> Result<Option<Link>> {
        named(name)
            .one(&self.0)
            .await?
            .map(Link::try_from)
            .transpose()
    }

    /// The link with this number.
    pub async fn link_by_no(&self, no: i64) -> Result<Option<Link>> {
        Entity::find_by_id(no)
            .one(&self.0)
            .await?
            .map(Link::try_from)
            .transpose()
    }

    /// The links with these numbers.
    pub async fn links_by_nos(&self, nos: &BTreeSet<i64>) -> Result<Vec<Link>> {
        if nos.is_empty() {
            return Ok(Vec::new());
        }
        Entity::find()
            .filter(Column::No.is_in(padded(nos.iter().copied())))
            .all(&self.0)
            .await?
            .into_iter()
            .map(Link::try_from)
            .collect()
    }

    /// How many links count against the merchant's limit: those that still open.
    pub async fn count_links(&self, merchant: &Merchant, now: Micros) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::ExpireTime.gt(now.0))
            .filter(Column::RevokeTime.is_null())
            .count(&self.0)
            .await?)
    }

    /// A page of a merchant's links by id, after this one.
    pub async fn links_page(
        &self,
        merchant: &Merchant,
        after: &str,
        limit: u64,
    ) -> Result<Vec<Link>> {
        Entity::find()
            .filter(Column::Merchant.eq(merchant.id()))
            .filter(Column::Id.gt(after))
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(Link::try_from)
            .collect()
    }
}

impl Tx {
    /// The link, which nobody else changes until this transaction ends.
    pub async fn lock_link(&self, name: &LinkName) -> Result<Option<Link>> {
        named(name)
            .lock_exclusive()
            .one(&self.0)
            .await?
            .map(Link::try_from)
            .transpose()
    }

    /// The link with its number, or `None` when its name is taken. Its token carries that
    /// number, so the caller saves it next, in the same transaction.
    pub async fn insert_link(&self, clearance: &Clearance, mut link: Link) -> Result<Option<Link>> {
        cleared(clearance, link.name.merchant())?;
        let mut row = link::Model::from(&link).into_active_model();
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        link.no = no;
        Ok(Some(link))
    }

    pub async fn save_link(&self, link: &Link) -> Result<()> {
        link::Model::from(link)
            .into_active_model()
            .reset_all()
            .update(&self.0)
            .await?;
        Ok(())
    }
}

fn named(name: &LinkName) -> Select<Entity> {
    Entity::find()
        .filter(Column::Merchant.eq(name.merchant().id()))
        .filter(Column::Id.eq(name.id()))
}
