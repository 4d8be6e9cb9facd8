//! Acquisition links, and the errands to WeCom that are still to be run for them.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
    sea_query::Expr,
};

use super::{
    Db, Error, Result, Tx,
    entity::{
        acquisition_link::{ActiveModel, Column, Entity, Model},
        acquisition_link_version as version, corp,
    },
    history::Kept,
};
use crate::domain::{AcquisitionLink, AcquisitionLinkName, Corp, CorpName, LinkState, Micros};

/// When WeCom is asked again for a link; nothing of it is history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errand {
    /// How often it was asked in vain.
    pub attempts: i32,
    /// When to ask; none where nothing is pending.
    pub next: Option<Micros>,
    /// When it was last asked to make or change the link, where that may yet have an effect.
    pub asked: Option<Micros>,
}

impl<C: ConnectionTrait> Db<C> {
    /// The link with this number, be it deleted.
    pub async fn acquisition_link_by_no(&self, no: i64) -> Result<Option<AcquisitionLink>> {
        let row = Entity::find_by_id(no).find_also_related(corp::Entity);
        let row = row.one(&self.0).await?;
        row.map(|row| Ok(joined(row)?.0)).transpose()
    }

    /// A page of a corp's links by id, after this one.
    pub async fn acquisition_links_page(
        &self,
        corp: &Corp,
        after: &str,
        limit: u64,
    ) -> Result<Vec<AcquisitionLink>> {
        Entity::find()
            .filter(Column::CorpNo.eq(corp.no))
            .filter(Column::Id.gt(after))
            .filter(Column::DeleteTime.is_null())
            .order_by_asc(Column::Id)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(|row| row.link(&corp.name))
            .collect()
    }

    /// All links that a corp ever had, without those that WeCom refused at once.
    pub async fn every_acquisition_link(&self, corp: &Corp) -> Result<Vec<AcquisitionLink>> {
        Entity::find()
            .filter(Column::CorpNo.eq(corp.no))
            .order_by_asc(Column::No)
            .all(&self.0)
            .await?
            .into_iter()
            .map(|row| row.link(&corp.name))
            .collect()
    }

    /// How many links there are in each state, without those deleted.
    pub async fn acquisition_links_by_state(&self) -> Result<Vec<(LinkState, i64)>> {
        let rows: Vec<(i16, i64)> = Entity::find()
            .select_only()
            .column(Column::State)
            .column_as(Column::No.count(), "links")
            .filter(Column::DeleteTime.is_null())
            .group_by(Column::State)
            .into_tuple()
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|(state, links)| {
                let state = LinkState::from_number(state);
                let state = state.ok_or_else(|| Error::corrupt("acquisition_links.state"))?;
                Ok((state, links))
            })
            .collect()
    }

    /// How many links count against the corp's limit.
    pub async fn count_acquisition_links(&self, corp_no: i64) -> Result<u64> {
        Ok(Entity::find()
            .filter(Column::CorpNo.eq(corp_no))
            .filter(Column::DeleteTime.is_null())
            .count(&self.0)
            .await?)
    }

    /// Links that WeCom is to be asked for by now, those that wait longest first.
    pub async fn acquisition_links_due(
        &self,
        now: Micros,
        limit: u64,
    ) -> Result<Vec<(AcquisitionLink, Errand)>> {
        Entity::find()
            .find_also_related(corp::Entity)
            .filter(Column::NextTime.lte(now.0))
            .order_by_asc(Column::NextTime)
            .order_by_asc(Column::No)
            .limit(limit)
            .all(&self.0)
            .await?
            .into_iter()
            .map(joined)
            .collect()
    }
}

impl Tx {
    /// The link unless it or its corp was deleted, which nobody else changes until this
    /// transaction ends.
    pub async fn lock_acquisition_link(
        &self,
        name: &AcquisitionLinkName,
    ) -> Result<Option<(AcquisitionLink, Errand)>> {
        let Some(corp) = self.corp(&name.corp).await? else {
            return Ok(None);
        };
        Entity::find()
            .filter(Column::CorpNo.eq(corp.no))
            .filter(Column::Id.eq(name.id()))
            .filter(Column::DeleteTime.is_null())
            .lock_exclusive()
            .one(&self.0)
            .await?
            .map(|row| with_errand(row, &corp.name))
            .transpose()
    }

    /// Likewise by its number, be it deleted.
    pub async fn lock_acquisition_link_by_no(
        &self,
        no: i64,
    ) -> Result<Option<(AcquisitionLink, Errand)>> {
        let row = Entity::find_by_id(no).lock_exclusive().one(&self.0).await?;
        let Some(row) = row else { return Ok(None) };
        let corp = self.corp_by_no(row.corp_no).await?;
        let corp = corp.ok_or_else(orphan)?;
        Ok(Some(with_errand(row, &corp.name)?))
    }

    /// Likewise by WeCom's id, unless it was deleted.
    pub async fn lock_acquisition_link_of(
        &self,
        corp: &Corp,
        link_id: &str,
    ) -> Result<Option<(AcquisitionLink, Errand)>> {
        Entity::find()
            .filter(Column::CorpNo.eq(corp.no))
            .filter(Column::LinkId.eq(link_id))
            .filter(Column::DeleteTime.is_null())
            .lock_exclusive()
            .one(&self.0)
            .await?
            .map(|row| with_errand(row, &corp.name))
            .transpose()
    }

    /// The link with its number, or `None` when its name is taken, be it by a deleted one.
    pub async fn insert_acquisition_link(
        &self,
        mut link: AcquisitionLink,
        errand: Errand,
        author: &str,
    ) -> Result<Option<AcquisitionLink>> {
        let mut row = row(&link, errand);
        row.no = NotSet;
        let Some(no) = self.insert_unless_taken(row).await? else {
            return Ok(None);
        };
        link.no = no;
        self.append(&link, author).await?;
        Ok(Some(link))
    }

    /// A new version.
    pub async fn save_acquisition_link(
        &self,
        link: &AcquisitionLink,
        errand: Errand,
        author: &str,
    ) -> Result<()> {
        row(link, errand).update(&self.0).await?;
        self.append(link, author).await
    }

    /// The same version, another time to ask WeCom.
    pub async fn save_errand(&self, link_no: i64, errand: Errand) -> Result<()> {
        let mut row = ActiveModel {
            no: Set(link_no),
            ..Default::default()
        };
        set_errand(&mut row, errand);
        row.update(&self.0).await?;
        Ok(())
    }

    /// What waits for WeCom in this corp's name is tried again now.
    pub async fn wake_errands(&self, corp_no: i64, now: Micros) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::NextTime, Expr::val(now.0))
            .filter(Column::CorpNo.eq(corp_no))
            .filter(Column::NextTime.gt(now.0))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// WeCom says of this time what it said before: the same version.
    pub async fn save_state_time(&self, link_no: i64, said: Micros) -> Result<()> {
        let row = ActiveModel {
            no: Set(link_no),
            state_time: Set(said.0),
            ..Default::default()
        };
        row.update(&self.0).await?;
        Ok(())
    }

    /// A link that never was one: nothing of it stays.
    pub async fn forget_acquisition_link(&self, link: &AcquisitionLink) -> Result<()> {
        version::Entity::delete_many()
            .filter(version::Column::No.eq(link.no))
            .exec(&self.0)
            .await?;
        Entity::delete_by_id(link.no).exec(&self.0).await?;
        self.changes_too(link.changes());
        Ok(())
    }
}

fn row(link: &AcquisitionLink, errand: Errand) -> ActiveModel {
    let mut row = Model::from(link).into_active_model().reset_all();
    set_errand(&mut row, errand);
    row
}

fn set_errand(row: &mut ActiveModel, errand: Errand) {
    row.attempts = Set(errand.attempts);
    row.next_time = Set(errand.next.map(|t| t.0));
    row.asked_time = Set(errand.asked.map(|t| t.0));
}

fn joined((row, corp): (Model, Option<corp::Model>)) -> Result<(AcquisitionLink, Errand)> {
    let corp = corp.ok_or_else(orphan)?;
    let corp = CorpName::new(&corp.id).map_err(|_| Error::corrupt("corps.id"))?;
    with_errand(row, &corp)
}

fn with_errand(row: Model, corp: &CorpName) -> Result<(AcquisitionLink, Errand)> {
    let errand = Errand {
        attempts: row.attempts,
        next: row.next_time.map(Micros),
        asked: row.asked_time.map(Micros),
    };
    Ok((row.link(corp)?, errand))
}

fn orphan() -> Error {
    Error::corrupt("an acquisition link without its corp")
}
