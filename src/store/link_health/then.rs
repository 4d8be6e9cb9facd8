//! What was known of the WeCom link behind a card at a time before, by the kept versions.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};

use super::{CorpFacts, LinkFacts, judged, key, managed};
use crate::{
    domain::{
        AcquisitionLink, Card, Corp, CorpName, LinkHealth, Micros, Quota, Wecom, acquisition::Level,
    },
    store::{
        Db, Result,
        entity::{
            acquisition_link as link, acquisition_link_version, corp, corp_version, quota_version,
        },
    },
};

impl<C: ConnectionTrait> Db<C> {
    /// Of one card, as it was known then; `None` where it had no WeCom contact.
    pub async fn link_health_at(&self, card: &Card, at: Micros) -> Result<Option<LinkHealth>> {
        let Some(wecom) = card.wecom() else {
            return Ok(None);
        };
        let Some(name) = &wecom.corp else {
            return Ok(Some(judged(card.merchant(), wecom, None, None)));
        };
        let corp = self.corp_at(name, at).await?;
        let link = match &corp {
            Some(corp) => self.link_at(corp.no, wecom, at).await?,
            None => None,
        };
        let health = judged(card.merchant(), wecom, Some(corp.as_ref()), link.as_ref());
        Ok(Some(health))
    }

    async fn corp_at(&self, name: &CorpName, at: Micros) -> Result<Option<CorpFacts>> {
        let row = corp::Entity::find().filter(corp::Column::Id.eq(name.id()));
        let Some(row) = row.one(&self.0).await? else {
            return Ok(None);
        };
        let then = self.version_at::<corp_version::Entity, Corp>(row.no, at);
        let Some(then) = then.await?.filter(|corp| corp.delete_time.is_none()) else {
            return Ok(None);
        };
        Ok(Some(CorpFacts {
            no: row.no,
            merchants: then.merchants,
            exhausted: self.exhausted_at(row.no, at).await?,
        }))
    }

    async fn exhausted_at(&self, corp_no: i64, at: Micros) -> Result<bool> {
        let quota = self.version_at::<quota_version::Entity, Quota>(corp_no, at);
        let quota = quota.await?;
        Ok(quota.is_some_and(|quota| quota.level == Level::Exhausted))
    }

    async fn link_at(&self, corp_no: i64, wecom: &Wecom, at: Micros) -> Result<Option<LinkFacts>> {
        let column = match managed(&wecom.target) {
            Some(_) => link::Column::Id,
            None => link::Column::Uri,
        };
        let Some(key) = key(wecom) else {
            return Ok(None);
        };
        let row = link::Entity::find()
            .filter(link::Column::CorpNo.eq(corp_no))
            .filter(column.eq(key))
            .one(&self.0)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let link = self.version_at::<acquisition_link_version::Entity, AcquisitionLink>(row.no, at);
        let link = link.await?;
        Ok(link.map(LinkFacts::from))
    }
}
