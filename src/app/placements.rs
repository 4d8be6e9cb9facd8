//! Placements: create, read, change, pause, resume, delete, and send a card.

use super::{
    App, Call, Principal, Result, cards,
    write::{Begin, Write, etag_matches, no_transition, quota},
};
use crate::domain::{
    Card, CardName, ContactKind, Door, Facts, Merchant, Micros, Placement, PlacementName,
    PlacementState, Reason, Refusal, Surface, gate,
};

/// A placement as a caller wants it.
#[derive(Clone, Debug)]
pub struct PlacementDraft {
    pub card: CardName,
    pub kinds: Vec<ContactKind>,
    pub surface: Surface,
    pub start_time: Option<Micros>,
    pub end_time: Option<Micros>,
}

/// What is to change; the outer `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct PlacementChanges {
    pub kinds: Option<Vec<ContactKind>>,
    pub start_time: Option<Option<Micros>>,
    pub end_time: Option<Option<Micros>>,
    /// Only a chat menu's position may be another.
    pub surface: Option<Surface>,
    /// Must be what it is.
    pub card: Option<CardName>,
}

impl App {
    /// Places or sends a card.
    pub async fn create_placement(
        &self,
        call: &Call,
        name: PlacementName,
        draft: PlacementDraft,
    ) -> Result<Placement> {
        let write = match self.begin(call).await? {
            Begin::Answered(placement) => return Ok(placement),
            Begin::Fresh(write) => write,
        };
        write.tx.lock_merchant(name.merchant().id()).await?;
        let card = card_of(&write, &draft.card).await?;
        let placement = Placement {
            no: 0,
            name,
            card: draft.card,
            card_no: card.no,
            kinds: draft.kinds,
            surface: draft.surface,
            start_time: draft.start_time,
            end_time: draft.end_time,
            state: PlacementState::Live,
            version: 1,
            create_time: write.now,
            update_time: write.now,
            delete_time: None,
        };
        if write.tx.placement(&placement.name).await?.is_some() {
            return Err(exists(&placement.name).into());
        }
        let standing = self.standing(&write, placement.name.merchant()).await?;
        let facts = Facts::placement(&standing, &card, &placement).kinds(&placement.kinds);
        let clearance = gate::judge(Door::Configure, facts, write.now)?;
        self.room_for_a_placement(&write, placement.name.merchant())
            .await?;
        make_way(&write, &call.principal, &placement).await?;
        let name = placement.name.clone();
        let made = write
            .tx
            .insert_placement(&clearance, placement, write.author)
            .await?;
        match made {
            Some(placement) => write.finish(placement).await,
            // Another came first, since this one looked.
            None if write.tx.placement(&name).await?.is_some() => Err(exists(&name).into()),
            None => Err(slot_taken(&name, "").into()),
        }
    }

    pub async fn placement(&self, name: &PlacementName) -> Result<Placement> {
        let placement = self.store.reads().placement(name).await?;
        Ok(placement.ok_or_else(|| not_found(name))?)
    }

    /// At most `limit` placements after the id `after`.
    pub async fn placements(
        &self,
        merchant: &Merchant,
        after: &str,
        limit: u64,
        show_deleted: bool,
    ) -> Result<Vec<Placement>> {
        let reads = self.store.reads();
        Ok(reads
            .placements_page(merchant, after, limit, show_deleted)
            .await?)
    }

    pub async fn update_placement(
        &self,
        call: &Call,
        name: &PlacementName,
        etag: &str,
        changes: PlacementChanges,
    ) -> Result<Placement> {
        let write = match self.begin(call).await? {
            Begin::Answered(placement) => return Ok(placement),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        vouched(&call.principal, &old.surface)?;
        let placement = changed(&old, changes, write.now)?;
        let card = card_of(&write, &placement.card).await?;
        let standing = self.standing(&write, placement.name.merchant()).await?;
        let facts = Facts::placement(&standing, &card, &placement).kinds(&placement.kinds);
        let clearance = gate::judge(Door::Configure, facts, write.now)?;
        make_way(&write, &call.principal, &placement).await?;
        write
            .tx
            .change_placement(&clearance, &placement, write.author)
            .await?;
        write.finish(placement).await
    }

    pub async fn pause_placement(
        &self,
        call: &Call,
        name: &PlacementName,
        etag: &str,
    ) -> Result<Placement> {
        self.withdraw(call, name, etag, PlacementState::Paused)
            .await
    }

    pub async fn delete_placement(
        &self,
        call: &Call,
        name: &PlacementName,
        etag: &str,
    ) -> Result<Placement> {
        self.withdraw(call, name, etag, PlacementState::Deleted)
            .await
    }

    pub async fn resume_placement(
        &self,
        call: &Call,
        name: &PlacementName,
        etag: &str,
    ) -> Result<Placement> {
        let write = match self.begin(call).await? {
            Begin::Answered(placement) => return Ok(placement),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        if old.state != PlacementState::Paused {
            return Err(no_transition(name, old.state.as_str()).into());
        }
        vouched(&call.principal, &old.surface)?;
        let placement = old.to(PlacementState::Live, write.now);
        let card = card_of(&write, &placement.card).await?;
        let standing = self.standing(&write, placement.name.merchant()).await?;
        let facts = Facts::placement(&standing, &card, &placement).kinds(&placement.kinds);
        let clearance = gate::judge(Door::Configure, facts, write.now)?;
        make_way(&write, &call.principal, &placement).await?;
        write
            .tx
            .change_placement(&clearance, &placement, write.author)
            .await?;
        write.finish(placement).await
    }

    /// Pausing and deleting always work, whatever the gate says.
    async fn withdraw(
        &self,
        call: &Call,
        name: &PlacementName,
        etag: &str,
        state: PlacementState,
    ) -> Result<Placement> {
        let write = match self.begin(call).await? {
            Begin::Answered(placement) => return Ok(placement),
            Begin::Fresh(write) => write,
        };
        let old = locked(&write, name, etag).await?;
        if old.state == state || old.state == PlacementState::Deleted {
            return Err(no_transition(name, old.state.as_str()).into());
        }
        let placement = old.to(state, write.now);
        write
            .tx
            .withdraw_placement(&placement, write.author)
            .await?;
        write.finish(placement).await
    }

    /// Counted under the merchant's lock, or two writes would both be the last.
    async fn room_for_a_placement(&self, write: &Write<'_>, merchant: &Merchant) -> Result<()> {
        let limit = self.rules.placements_per_merchant;
        if write.tx.count_placements(merchant).await? >= limit {
            return Err(quota(merchant, "placements", limit, "withdraw one first").into());
        }
        Ok(())
    }
}

/// The slot is free, or its holder's time is over and it gives way.
async fn make_way(write: &Write<'_>, caller: &Principal, placement: &Placement) -> Result<()> {
    let Some(slot) = placement.slot() else {
        return Ok(());
    };
    let Some(holder) = write.tx.lock_holder(&slot).await? else {
        return Ok(());
    };
    if holder.no == placement.no {
        return Ok(());
    }
    if !holder.over(write.now) {
        let visible = caller.may(holder.name.merchant().id());
        let holder = visible.then(|| holder.name.to_string());
        return Err(slot_taken(&placement.name, holder.unwrap_or_default()).into());
    }
    let paused = holder.to(PlacementState::Paused, write.now);
    write.tx.withdraw_placement(&paused, write.author).await?;
    Ok(())
}

/// Who places on a note vouches for it, and a merchant cannot vouch for itself: neither may
/// it bring back, or prolong, what the platform placed.
fn vouched(caller: &Principal, surface: &Surface) -> Result<(), Refusal> {
    if matches!(surface, Surface::NoteCapsule { .. }) && caller.limited() {
        return Err(Refusal::new(
            Reason::PermissionDenied,
            "a caller limited to some merchants may not place on notes",
        ));
    }
    Ok(())
}

fn changed(old: &Placement, changes: PlacementChanges, now: Micros) -> Result<Placement> {
    if changes.card.is_some_and(|card| card != old.card) {
        return Err(fixed("placement.card").into());
    }
    let surface = changes.surface.unwrap_or_else(|| old.surface.clone());
    match (&surface, &old.surface) {
        (Surface::ChatMenu { .. }, Surface::ChatMenu { .. }) => {}
        (new, old) if new == old => {}
        (new, _) => return Err(fixed(field_of(new)).into()),
    }
    let placement = Placement {
        kinds: changes.kinds.unwrap_or_else(|| old.kinds.clone()),
        start_time: changes.start_time.unwrap_or(old.start_time),
        end_time: changes.end_time.unwrap_or(old.end_time),
        surface,
        ..old.next(now)
    };
    if placement.schedule_holds() {
        Ok(placement)
    } else {
        Err(Refusal::field("placement.end_time", "must be after start_time").into())
    }
}

fn fixed(field: &str) -> Refusal {
    Refusal::field(field, "does not change; leave it unset, or as it is")
}

fn field_of(surface: &Surface) -> &'static str {
    match surface {
        Surface::ChatMenu { .. } => "placement.chat_menu",
        Surface::NoteCapsule { .. } => "placement.note_capsule",
        Surface::CardMessage { .. } => "placement.card_message",
    }
}

/// The placement under a write's lock, as the caller knows it.
async fn locked(write: &Write<'_>, name: &PlacementName, etag: &str) -> Result<Placement> {
    let found = write.tx.lock_placement(name).await?;
    let placement = found.ok_or_else(|| not_found(name))?;
    etag_matches(etag, &placement.etag())?;
    Ok(placement)
}

async fn card_of(write: &Write<'_>, name: &CardName) -> Result<Card> {
    let card = write.tx.card(name).await?;
    Ok(card
        .filter(|c| !c.purged(write.now))
        .ok_or_else(|| cards::not_found(name))?)
}

pub(super) fn not_found(name: &PlacementName) -> Refusal {
    Refusal::new(Reason::PlacementNotFound, "no such placement").about(name)
}

fn exists(name: &PlacementName) -> Refusal {
    Refusal::new(
        Reason::PlacementExists,
        "a placement has this name; a deleted one keeps it",
    )
    .about(name)
}

fn slot_taken(name: &PlacementName, holder: impl Into<String>) -> Refusal {
    Refusal::new(
        Reason::SlotTaken,
        "another LIVE placement holds this menu position or note; pause or delete it first",
    )
    .about(name)
    .with("placement", holder)
}
