//! Sanctions: as they stand, as they stood, and the feed of their changes.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder};

use super::{Db, Result, entity::sanction, placements::padded};
use crate::domain::{Merchant, Micros, Sanction, SanctionKind};

/// The kinds that stop cards.
const STOPPING: [SanctionKind; 2] = [SanctionKind::CardsSuspended, SanctionKind::StoreFrozen];

impl<C: ConnectionTrait> Db<C> {
    /// The sanctions that stop the cards of these merchants, now or later; as known then, or
    /// now. One query.
    pub(super) async fn stopping(
        &self,
        merchants: &[&str],
        at: Micros,
        known: Option<Micros>,
    ) -> Result<HashMap<Merchant, Vec<Sanction>>> {
        use sanction::{Column, Entity};
        let open = |column: Column| column.is_null().or(column.gt(at.0));
        let lifted = match known {
            Some(_) => open(Column::LiftTime),
            // Whatever the clock by which it was lifted.
            None => Column::LiftTime.is_null(),
        };
        let rows = Entity::find()
            .filter(Column::Merchant.is_in(padded(merchants.iter().copied())))
            .filter(Column::Kind.is_in(STOPPING.map(|kind| kind as i16)))
            .filter(open(Column::EndTime))
            .filter(lifted)
            .filter(Column::CreateTime.lte(known.unwrap_or(Micros::MAX).0))
            .order_by_asc(Column::No)
            .all(&self.0)
            .await?;
        let mut of: HashMap<Merchant, Vec<Sanction>> = HashMap::new();
        for row in rows {
            let sanction = Sanction::try_from(row)?.seen(at);
            let merchant = sanction.merchant().clone();
            of.entry(merchant).or_default().push(sanction);
        }
        Ok(of)
    }
}
