//! What is known of the WeCom links behind cards: now, for any number of cards in three queries;
//! `link_health/then.rs` has what was known at a time before,
//! `link_health/opened.rs` what a merchant may put on a card.

mod opened;
mod then;

use std::collections::{BTreeSet, HashMap};

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

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
        let mut found = HashMap::new();
        for (column, keys) in [
            (link::Column::Id, padded(keys(managed))),
            (link::Column::Uri, padded(keys(plain))),
        ] {
            if corps.is_empty() || keys.is_empty() {
                continue;
            }
            let rows = link::Entity::find()
                .select_only()
                .column(link::Column::CorpNo)
                .column_as(column, "key")
                .columns([link::Column::Uri, link::Column::State])
                .column_as(link::Column::DeleteTime.is_not_null(), "deleted")
                .filter(link::Column::CorpNo.is_in(padded(corps.values().map(|corp| corp.no))))
                .filter(column.is_in(keys))
                .into_tuple::<(i64, String, Option<String>, i16, bool)>()
                .all(&self.0)
                .await?;
            for (corp_no, key, uri, state, deleted) in rows {
                found.insert(
                    (corp_no, key),
                    LinkFacts::new(uri.as_deref(), state, deleted)?,
                );
            }
        }
        Ok(found)
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
        (Some(link), target) => link.health(target),
        (None, WecomTarget::Acquisition(uri)) => LinkHealth::Works(uri.clone()),
        // A customer-service link asks for nothing; a managed one that is not there was purged.
        (None, _) => LinkHealth::Fails(Cause::Deleted),
    }
}

impl LinkFacts {
    fn new(uri: Option<&str>, state: i16, deleted: bool) -> Result<Self> {
        let corrupt = || Error::corrupt("acquisition_links");
        let uri = uri.map(AcquisitionUri::parse);
        Ok(Self {
            uri: uri.transpose().map_err(|_| corrupt())?,
            state: LinkState::from_number(state).ok_or_else(corrupt)?,
            deleted,
        })
    }

    /// By the address that the card itself gives, if it does: that one may have a scene.
    fn health(&self, target: &WecomTarget) -> LinkHealth {
        let uri = match target {
            WecomTarget::Acquisition(uri) => Some(uri),
            _ => self.uri.as_ref(),
        };
        match (uri, self.state) {
            _ if self.deleted => LinkHealth::Fails(Cause::Deleted),
            (Some(uri), LinkState::Active) => LinkHealth::Works(uri.clone()),
            (_, LinkState::Refused) => LinkHealth::Fails(Cause::Refused),
            (_, LinkState::Unavailable) => LinkHealth::Fails(Cause::Unavailable),
            (_, LinkState::Creating | LinkState::Active) => LinkHealth::Fails(Cause::Creating),
        }
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
        WecomTarget::Acquisition(uri) => Some(uri.without_scene()),
        _ => None,
    }
}
