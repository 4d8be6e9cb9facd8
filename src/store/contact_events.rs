//! What came of taps at WeCom: what was said of each contact, and the events that follow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait,
    sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    Db, Error, Result, Tx,
    entity::{
        contact_event::{ActiveModel, Column, Entity, Model, Relation},
        contact_history, corp, link, placement,
    },
    history::{from_json, json},
    placements::padded,
};
use crate::domain::{
    ContactEvent, ContactKey, ContactKind, CorpName, Link, Merchant, Micros, Placement, Surface,
    Touch, Unattributed,
    contact_event::{Credit, Event, EventKind, History, Place, Source, Tapped, Verdict},
    funnel::Seen,
};

/// Rows of one insert: SQLite takes 32,766 values at once.
const ROWS: usize = 500;

/// Whose events are listed.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    Merchant(&'a Merchant),
    Corp { no: i64 },
}

/// An event that was learned of.
#[derive(Clone, Debug)]
pub struct Learned {
    pub id: Uuid,
    pub corp_no: i64,
    /// None where WeCom names nobody.
    pub contact: Option<ContactKey>,
    pub event: Event,
}

impl<C: ConnectionTrait> Db<C> {
    /// A page of events, the latest learned of first, from before this number.
    pub async fn contact_events_page(
        &self,
        of: Of<'_>,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<ContactEvent>> {
        let whose = match of {
            Of::Merchant(merchant) => Column::Merchant.eq(merchant.id()),
            Of::Corp { no } => Column::CorpNo.eq(no),
        };
        let rows = Entity::find()
            .filter(whose)
            .filter(Column::No.lt(before.unwrap_or(i64::MAX)))
            .order_by_desc(Column::No)
            .limit(limit)
            .all(&self.0)
            .await?;
        let names = self.names(&rows).await?;
        rows.into_iter().map(|row| names.name(row)).collect()
    }

    /// What is kept of these contacts.
    pub async fn contact_histories(
        &self,
        contacts: impl IntoIterator<Item = ContactKey>,
    ) -> Result<BTreeMap<ContactKey, History>> {
        let keys = padded(contacts.into_iter());
        let keys = keys.iter().map(|key| key.to_vec());
        let rows = contact_history::Entity::find()
            .filter(contact_history::Column::Contact.is_in(keys))
            .all(&self.0)
            .await?;
        rows.iter()
            .map(|row| {
                let key = ContactKey::try_from(row.contact.as_slice());
                let key = key.map_err(|_| Error::corrupt("contact_histories.contact"))?;
                Ok((key, from_json(&row.body)?))
            })
            .collect()
    }

    async fn names(&self, rows: &[Model]) -> Result<Names> {
        let nos = |of: fn(&Model) -> Option<i64>| {
            let distinct: BTreeSet<_> = rows.iter().filter_map(of).collect();
            padded(distinct.into_iter())
        };
        let corps = corp::Entity::find()
            .filter(corp::Column::No.is_in(nos(|row| Some(row.corp_no))))
            .all(&self.0)
            .await?;
        let placements = placement::Entity::find()
            .filter(placement::Column::No.is_in(nos(|row| row.placement_no)))
            .all(&self.0)
            .await?;
        let links = link::Entity::find()
            .filter(link::Column::No.is_in(nos(|row| row.link_no)))
            .all(&self.0)
            .await?;
        Ok(Names {
            corps: corps.into_iter().map(|row| (row.no, row.id)).collect(),
            placements: by_no(placements, |row| row.no)?,
            links: by_no(links, |row| row.no)?,
        })
    }
}

impl Tx {
    /// Keeps what is known of contacts. The caller sees to it that nobody else does.
    pub async fn save_contact_histories(
        &self,
        histories: &BTreeMap<ContactKey, History>,
    ) -> Result<()> {
        let rows: Vec<_> = histories
            .iter()
            .map(|(key, history)| contact_history::ActiveModel {
                contact: Set(key.to_vec()),
                body: Set(json(history)),
            })
            .collect();
        let again = OnConflict::column(contact_history::Column::Contact)
            .update_column(contact_history::Column::Body)
            .to_owned();
        for rows in rows.chunks(ROWS) {
            contact_history::Entity::insert_many(rows.to_vec())
                .on_conflict(again.clone())
                .exec_without_returning(&self.0)
                .await?;
        }
        Ok(())
    }

    /// New events, learned of now.
    pub async fn insert_contact_events(&self, events: &[Learned], now: Micros) -> Result<()> {
        for events in events.chunks(ROWS) {
            let rows = events.iter().map(|learned| row(learned, now));
            Entity::insert_many(rows)
                .exec_without_returning(&self.0)
                .await?;
        }
        Ok(())
    }

    /// Events of which more is known now.
    pub async fn change_contact_event(&self, id: Uuid, event: &Event) -> Result<()> {
        let mut row = ActiveModel {
            kind: Set(event.kind as i16),
            event_time: Set(event.time.0),
            source: Set(event.source as i16),
            ..Default::default()
        };
        set_credit(&mut row, &event.credit);
        Entity::update_many()
            .set(row)
            .filter(Column::Id.eq(id))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// Events that turned out to be others.
    pub async fn remove_contact_events(&self, ids: &[Uuid]) -> Result<()> {
        Entity::delete_many()
            .filter(Column::Id.is_in(padded(ids.iter().copied())))
            .exec(&self.0)
            .await?;
        Ok(())
    }
}

/// What came of these viewers' taps at a merchant since, by viewer.
pub(super) async fn of_viewers(
    db: &impl ConnectionTrait,
    merchant: &Merchant,
    viewers: &[i64],
    since: Micros,
) -> Result<Vec<(i64, Seen)>> {
    let rows = Entity::find()
        .select_only()
        .columns([Column::Viewer, Column::EventTime, Column::Kind, Column::Id])
        .columns([placement::Column::Id, placement::Column::Target])
        .column(placement::Column::Surface)
        .join(JoinType::InnerJoin, Relation::Placement.def())
        .filter(Column::Merchant.eq(merchant.id()))
        .filter(Column::Viewer.is_in(padded(viewers.iter().copied())))
        .filter(Column::EventTime.gte(since.0))
        .into_tuple::<(i64, i64, i16, Uuid, String, Option<String>, i16)>()
        .all(db)
        .await?;
    rows.into_iter()
        .map(|(viewer, time, kind, id, placement, target, surface)| {
            let kind = EventKind::from_number(kind);
            let kind = kind.ok_or_else(|| Error::corrupt("contact_events.kind"))?;
            let note = target.filter(|_| surface == placement::CAPSULE);
            let seen = Seen {
                time: Micros(time),
                stage: kind.stage(),
                id,
                touch: Touch {
                    placement,
                    note: note.unwrap_or_default(),
                    channel: String::new(),
                },
            };
            Ok((viewer, seen))
        })
        .collect()
}

fn row(learned: &Learned, now: Micros) -> ActiveModel {
    let event = &learned.event;
    let mut row = ActiveModel {
        no: NotSet,
        id: Set(learned.id),
        corp_no: Set(learned.corp_no),
        kind: Set(event.kind as i16),
        contact: Set(learned.contact.map(|key| key.to_vec())),
        event_time: Set(event.time.0),
        time: Set(now.0),
        source: Set(event.source as i16),
        ..Default::default()
    };
    set_credit(&mut row, &event.credit);
    row
}

fn set_credit(row: &mut ActiveModel, verdict: &Verdict) {
    let credit = verdict.as_ref().ok();
    let (mut link_no, mut viewer, mut tap) = (None, None, None);
    match credit.map(|credit| credit.tapped) {
        Some(Tapped::Item {
            viewer: by,
            tap: id,
        }) => {
            (viewer, tap) = (Some(by.cast_signed()), Some(id));
        }
        Some(Tapped::Link { no }) => link_no = Some(no),
        None => {}
    }
    row.unattributed = Set(verdict.as_ref().err().map(|why| *why as i16));
    row.merchant = Set(credit.map(|credit| credit.merchant.id().to_owned()));
    row.placement_no = Set(credit.map(|credit| credit.placement_no));
    row.contact_kind = Set(credit.map(|credit| credit.kind as i16));
    (row.link_no, row.viewer, row.tap) = (Set(link_no), Set(viewer), Set(tap));
}

/// What rows of a page name by number.
struct Names {
    corps: HashMap<i64, String>,
    placements: HashMap<i64, Placement>,
    links: HashMap<i64, Link>,
}

fn by_no<M, T: TryFrom<M, Error = Error>>(
    rows: Vec<M>,
    no: impl Fn(&M) -> i64,
) -> Result<HashMap<i64, T>> {
    rows.into_iter()
        .map(|row| Ok((no(&row), T::try_from(row)?)))
        .collect()
}

impl Names {
    fn name(&self, row: Model) -> Result<ContactEvent> {
        let corrupt = |what: &str| Error::corrupt(format!("contact_events.no {}: {what}", row.no));
        let corp = self.corps.get(&row.corp_no);
        let corp = corp.and_then(|id| CorpName::new(id).ok());
        let contact = row.contact.as_deref().map(ContactKey::try_from);
        let contact = contact.transpose().map_err(|_| corrupt("contact"))?;
        let event = event(&row).ok_or_else(|| corrupt("event"))?;
        let place = match &event.credit {
            Ok(credit) => Some(self.place(credit).ok_or_else(|| corrupt("place"))?),
            Err(_) => None,
        };
        Ok(ContactEvent {
            no: row.no,
            id: row.id,
            corp: corp.ok_or_else(|| corrupt("corp_no"))?,
            contact,
            event,
            place,
        })
    }

    /// Neither placements nor links are ever removed.
    fn place(&self, credit: &Credit) -> Option<Place> {
        let placement = self.placements.get(&credit.placement_no)?;
        let note = match &placement.surface {
            Surface::NoteCapsule { note } => Some(note.clone()),
            Surface::ChatMenu { .. } | Surface::CardMessage { .. } => None,
        };
        let link = match credit.tapped {
            Tapped::Item { .. } => None,
            Tapped::Link { no } => {
                let link = self.links.get(&no)?;
                Some((link.name.clone(), link.channel.clone()))
            }
        };
        Some(Place {
            placement: placement.name.clone(),
            note,
            link,
        })
    }
}

/// `None` for a row that does not read.
fn event(row: &Model) -> Option<Event> {
    let credit = match row.unattributed {
        Some(why) => Err(Unattributed::from_number(why)?),
        None => Ok(Credit {
            merchant: Merchant::from_id(row.merchant.as_deref()?)?,
            placement_no: row.placement_no?,
            kind: ContactKind::from_number(u8::try_from(row.contact_kind?).ok()?)?,
            tapped: match row.link_no {
                Some(no) => Tapped::Link { no },
                None => Tapped::Item {
                    viewer: row.viewer?.cast_unsigned(),
                    tap: row.tap?,
                },
            },
        }),
    };
    Some(Event {
        kind: EventKind::from_number(row.kind)?,
        time: Micros(row.event_time),
        source: Source::from_number(row.source)?,
        credit,
    })
}
