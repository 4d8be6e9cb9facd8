//! What is known of the WeCom links behind cards: now, for any number of cards in two queries;
//! `link_health/then.rs` has what was known at a time before.

mod then;

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
};

use super::{
    Db, Error, Result,
    entity::{acquisition_link as link, corp, quota},
    history::from_json,
    placements::padded,
};
use crate::domain::{
    AcquisitionLink, AcquisitionUri, Card, CorpName, LinkHealth, LinkState, Merchant, Wecom,
    WecomTarget,
    acquisition::{Cause, Level},
};

/// A corp from one card's side.
struct CorpFacts {
    no: i64,
    merchants: Vec<Merchant>,
    exhausted: bool,
}

/// A managed link from one card's side.
struct LinkFacts {
    uri: Option<AcquisitionUri>,
    state: LinkState,
    deleted: bool,
}

impl<C: ConnectionTrait> Db<C> {
    /// Of each card with a WeCom contact, by the card's number.
    pub async fn link_health<'a>(
        &self,
        cards: impl IntoIterator<Item = &'a Card>,
    ) -> Result<HashMap<i64, LinkHealth>> {
        let cards: Vec<_> = cards
            .into_iter()
            .filter_map(|card| Some((card, card.wecom()?)))
            .collect();
        let named: BTreeSet<_> = cards.iter().filter_map(|(_, w)| w.corp.as_ref()).collect();
        let corps = self.corp_facts(&named).await?;
        let links = self
            .link_facts(&corps, cards.iter().map(|(_, wecom)| *wecom))
            .await?;
        let health = cards.iter().map(|(card, wecom)| {
            let facts = wecom.corp.as_ref().map(|name| corps.get(name));
            let link = facts
                .flatten()
                .and_then(|corp| links.get(&(corp.no, key(wecom)?)));
            (card.no, judged(card.merchant(), wecom, facts, link))
        });
        Ok(health.collect())
    }

    async fn corp_facts(
        &self,
        named: &BTreeSet<&CorpName>,
    ) -> Result<HashMap<CorpName, CorpFacts>> {
        if named.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = corp::Entity::find()
            .filter(corp::Column::Id.is_in(padded(named.iter().map(|name| name.id()))))
            .filter(corp::Column::DeleteTime.is_null())
            .find_also_related(quota::Entity)
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|(row, quota)| {
                let name = CorpName::new(&row.id).map_err(|_| Error::corrupt("corps.id"))?;
                let facts = CorpFacts {
                    no: row.no,
                    merchants: from_json(&row.merchants)?,
                    exhausted: quota.is_some_and(|quota| quota.level == Level::Exhausted as i16),
                };
                Ok((name, facts))
            })
            .collect()
    }

    /// By corp, and by id or address, as cards name them.
    async fn link_facts<'a>(
        &self,
        corps: &HashMap<CorpName, CorpFacts>,
        contacts: impl Iterator<Item = &'a Wecom> + Clone,
    ) -> Result<HashMap<(i64, String), LinkFacts>> {
        let keys = |wanted: fn(&WecomTarget) -> Option<&str>| {
            contacts
                .clone()
                .filter_map(move |wecom| wanted(&wecom.target))
        };
        let ids = padded(keys(managed));
        let uris = padded(keys(plain));
        if corps.is_empty() || ids.is_empty() && uris.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = link::Entity::find()
            .filter(link::Column::CorpNo.is_in(corps.values().map(|corp| corp.no)))
            .filter(
                Condition::any()
                    .add(link::Column::Id.is_in(ids))
                    .add(link::Column::Uri.is_in(uris)),
            )
            .all(&self.0)
            .await?;
        let mut found = HashMap::new();
        for row in rows {
            for key in [Some(row.id.clone()), row.uri.clone()]
                .into_iter()
                .flatten()
            {
                found.insert((row.corp_no, key), LinkFacts::try_from(&row)?);
            }
        }
        Ok(found)
    }
}

impl Db<DatabaseTransaction> {
    /// Whether a merchant's card may name this corp and, with it, this link.
    pub async fn corp_opens(
        &self,
        name: &CorpName,
        target: &WecomTarget,
        merchant: &Merchant,
    ) -> Result<bool> {
        let corps = self.corp_facts(&[name].into()).await?;
        let Some(corp) = corps
            .get(name)
            .filter(|corp| corp.merchants.contains(merchant))
        else {
            return Ok(false);
        };
        let Some(id) = managed(target) else {
            return Ok(true);
        };
        let link = link::Entity::find()
            .filter(link::Column::CorpNo.eq(corp.no))
            .filter(link::Column::Id.eq(id))
            .filter(link::Column::DeleteTime.is_null())
            .one(&self.0)
            .await?;
        Ok(link.is_some())
    }
}

/// `corp`: `None` where the card names none, `Some(None)` where there is none of that name.
fn judged(
    merchant: &Merchant,
    wecom: &Wecom,
    corp: Option<Option<&CorpFacts>>,
    link: Option<&LinkFacts>,
) -> LinkHealth {
    let open = corp.is_none_or(|corp| corp.is_some_and(|c| c.merchants.contains(merchant)));
    if !open {
        return LinkHealth::Fails(Cause::Closed);
    }
    if corp.flatten().is_some_and(|corp| corp.exhausted) {
        return LinkHealth::Fails(Cause::Exhausted);
    }
    match (link, &wecom.target) {
        (Some(link), _) => link.health(),
        (None, WecomTarget::Acquisition(uri)) => LinkHealth::Works(uri.clone()),
        // A customer-service link asks for nothing; a managed one that is not there was purged.
        (None, _) => LinkHealth::Fails(Cause::Deleted),
    }
}

impl LinkFacts {
    fn health(&self) -> LinkHealth {
        match (&self.uri, self.state) {
            _ if self.deleted => LinkHealth::Fails(Cause::Deleted),
            (Some(uri), LinkState::Active) => LinkHealth::Works(uri.clone()),
            (_, LinkState::Refused) => LinkHealth::Fails(Cause::Refused),
            (_, LinkState::Unavailable) => LinkHealth::Fails(Cause::Unavailable),
            (_, LinkState::Creating | LinkState::Active) => LinkHealth::Fails(Cause::Creating),
        }
    }
}

impl TryFrom<&link::Model> for LinkFacts {
    type Error = Error;

    fn try_from(row: &link::Model) -> Result<Self> {
        let corrupt = || Error::corrupt("acquisition_links");
        let uri = row.uri.as_deref().map(AcquisitionUri::parse);
        Ok(Self {
            uri: uri.transpose().map_err(|_| corrupt())?,
            state: LinkState::from_number(row.state).ok_or_else(corrupt)?,
            deleted: row.delete_time.is_some(),
        })
    }
}

impl From<AcquisitionLink> for LinkFacts {
    fn from(link: AcquisitionLink) -> Self {
        Self {
            uri: link.made.map(|made| made.uri),
            state: link.state,
            deleted: link.delete_time.is_some(),
        }
    }
}

/// What names the link in its corp.
fn key(wecom: &Wecom) -> Option<String> {
    let key = managed(&wecom.target).or(plain(&wecom.target))?;
    Some(key.to_owned())
}

fn managed(target: &WecomTarget) -> Option<&str> {
    match target {
        WecomTarget::Link(name) => Some(name.id()),
        _ => None,
    }
}

fn plain(target: &WecomTarget) -> Option<&str> {
    match target {
        WecomTarget::Acquisition(uri) => Some(uri.as_str()),
        _ => None,
    }
}
