//! What the gate is told.

use super::super::{Card, ContactKind, LinkHealth, Placement, Standing, acquisition::Cause};

/// What the gate judges by.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Of the merchant whose card it is.
    pub standing: &'a Standing,
    /// `None` while it is being created.
    pub card: Option<&'a Card>,
    /// `None` where none is asked about.
    pub placement: Option<&'a Placement>,
    /// Each must be open; where there are none, any that the placement offers.
    pub kinds: &'a [ContactKind],
    /// Of the card's WeCom link; `None` where it is not asked about.
    pub health: Option<&'a LinkHealth>,
}

impl<'a> Facts<'a> {
    pub fn merchant(standing: &'a Standing) -> Self {
        Self {
            standing,
            card: None,
            placement: None,
            kinds: &[],
            health: None,
        }
    }

    pub fn card(standing: &'a Standing, card: &'a Card) -> Self {
        Self {
            card: Some(card),
            ..Self::merchant(standing)
        }
    }

    pub fn placement(standing: &'a Standing, card: &'a Card, placement: &'a Placement) -> Self {
        Self {
            placement: Some(placement),
            ..Self::card(standing, card)
        }
    }

    pub fn kinds(self, kinds: &'a [ContactKind]) -> Self {
        Self { kinds, ..self }
    }

    pub fn health(self, health: Option<&'a LinkHealth>) -> Self {
        Self { health, ..self }
    }

    /// Why the card's WeCom contact leads nowhere, if so.
    pub(super) fn dead_end(&self) -> Option<Cause> {
        self.card?.wecom()?.route(self.health?).err()
    }
}
