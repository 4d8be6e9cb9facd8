//! Which WeCom links a merchant's card may carry, and where they lead.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, JoinType, QueryFilter, QueryOrder,
    QuerySelect, RelationTrait, sea_query::SimpleExpr,
};

use super::{CorpFacts, managed, plain};
use crate::{
    domain::{
        AcquisitionUri, CorpName, LinkHealth, Merchant, Wecom, WecomTarget, acquisition::Cause,
    },
    store::{
        Db, Error, Result,
        entity::{acquisition_link as link, corp},
        placements::padded,
    },
};

impl Db<DatabaseTransaction> {
    /// The contact with the corp whose link it is, where that is known; `None` where a merchant's
    /// card may not carry it: its link is not there, or the corp is not the link's, not there or
    /// does not name the merchant.
    pub async fn wecom_opened(&self, wecom: &Wecom, merchant: &Merchant) -> Result<Option<Wecom>> {
        let opened = self.wecoms_opened(&[(wecom, merchant)]).await?;
        Ok(opened.into_iter().next().flatten())
    }

    /// Of each contact and merchant, in this order.
    pub async fn wecoms_opened(
        &self,
        wecoms: &[(&Wecom, &Merchant)],
    ) -> Result<Vec<Option<Wecom>>> {
        let owners = self
            .owners(wecoms.iter().map(|(wecom, _)| &wecom.target))
            .await?;
        let owned = wecoms.iter().map(|(wecom, _)| {
            let mut wecom = (*wecom).clone();
            match owned_by(&wecom.target).and_then(|key| owners.get(&key)) {
                Some((owner, deleted)) => {
                    let named = wecom.corp.get_or_insert_with(|| owner.clone());
                    (!deleted && named == owner).then_some(wecom)
                }
                None => managed(&wecom.target).is_none().then_some(wecom),
            }
        });
        let mut owned: Vec<_> = owned.collect();
        let named = owned
            .iter()
            .flatten()
            .filter_map(|wecom| wecom.corp.as_ref());
        let corps = self.corp_facts(&named.collect()).await?;
        for (owned, (_, merchant)) in owned.iter_mut().zip(wecoms) {
            let corp = owned.as_ref().and_then(|wecom| wecom.corp.as_ref());
            let opens = |corp| {
                let facts = corps.get(corp);
                facts.is_some_and(|corp: &CorpFacts| corp.merchants.contains(merchant))
            };
            if !corp.is_none_or(opens) {
                *owned = None;
            }
        }
        Ok(owned)
    }

    /// The corps of managed links, also where only their addresses are given; and whether each is
    /// deleted. By name, or by address.
    async fn owners<'a>(
        &self,
        targets: impl Iterator<Item = &'a WecomTarget> + Clone,
    ) -> Result<HashMap<String, (CorpName, bool)>> {
        let uris: BTreeSet<_> = targets.clone().filter_map(plain).collect();
        let ids: BTreeSet<_> = targets.clone().filter_map(managed).collect();
        let corps: BTreeSet<_> = targets.filter_map(corp_of).collect();
        let by_uri = link::Column::Uri.is_in(padded(uris.iter().copied()));
        let by_id = link::Column::Id.is_in(padded(ids.iter().copied()));
        let by_id = by_id.and(corp::Column::Id.is_in(padded(corps.iter().copied())));
        let mut owners = HashMap::new();
        if !uris.is_empty() {
            for (corp, _, uri, deleted) in self.owner_rows(by_uri).await? {
                let uri = uri.unwrap_or_default();
                owners.entry(uri).or_insert((corp, deleted));
            }
        }
        if !ids.is_empty() {
            for (corp, id, _, deleted) in self.owner_rows(by_id).await? {
                owners.insert(by_name(&corp, &id), (corp, deleted));
            }
        }
        Ok(owners)
    }

    /// Corp, id, address, and whether it is deleted; those that are not come first.
    async fn owner_rows(
        &self,
        sought: SimpleExpr,
    ) -> Result<Vec<(CorpName, String, Option<String>, bool)>> {
        let rows = link::Entity::find()
            .select_only()
            .column_as(corp::Column::Id, "corp")
            .columns([link::Column::Id, link::Column::Uri])
            .column_as(link::Column::DeleteTime.is_not_null(), "deleted")
            .join(JoinType::InnerJoin, link::Relation::Corp.def())
            .filter(sought)
            .order_by_asc(link::Column::DeleteTime.is_not_null())
            .order_by_asc(link::Column::No)
            .into_tuple::<(String, String, Option<String>, bool)>()
            .all(&self.0)
            .await?;
        let named = |(corp, id, uri, deleted): (String, _, _, _)| {
            let corp = CorpName::new(&corp).map_err(|_| Error::corrupt("corps.id"))?;
            Ok((corp, id, uri, deleted))
        };
        rows.into_iter().map(named).collect()
    }

    /// Where a contact's link leads, whatever its health; that of one that is still to be made
    /// is not known.
    pub async fn link_address(&self, wecom: &Wecom) -> Result<LinkHealth> {
        let WecomTarget::Link(name) = &wecom.target else {
            return Ok(match &wecom.target {
                WecomTarget::Acquisition(uri) => LinkHealth::Works(uri.clone()),
                _ => LinkHealth::Fails(Cause::Deleted),
            });
        };
        let uri = link::Entity::find()
            .select_only()
            .column(link::Column::Uri)
            .join(JoinType::InnerJoin, link::Relation::Corp.def())
            .filter(corp::Column::Id.eq(name.corp.id()))
            .filter(link::Column::Id.eq(name.id()))
            .into_tuple::<Option<String>>()
            .one(&self.0)
            .await?;
        let uri = uri
            .flatten()
            .map(|uri| AcquisitionUri::parse(&uri))
            .transpose();
        let uri = uri.map_err(|_| Error::corrupt("acquisition_links.uri"))?;
        Ok(uri.map_or(LinkHealth::Fails(Cause::Creating), LinkHealth::Works))
    }
}

/// What a target's owner is found by.
fn owned_by(target: &WecomTarget) -> Option<String> {
    match target {
        WecomTarget::Link(name) => Some(by_name(&name.corp, name.id())),
        target => plain(target).map(str::to_owned),
    }
}

fn by_name(corp: &CorpName, id: &str) -> String {
    format!("{corp}/{id}")
}

fn corp_of(target: &WecomTarget) -> Option<&str> {
    match target {
        WecomTarget::Link(name) => Some(name.corp.id()),
        _ => None,
    }
}
