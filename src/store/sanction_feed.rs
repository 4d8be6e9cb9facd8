//! The feed of sanctions: their versions in the order in which they were committed.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait,
};

use super::{
    Db, Result, Tx,
    entity::{sanction_change, sanction_version},
    history::whole,
};
use crate::domain::{Sanction, SanctionKind};

impl<C: ConnectionTrait> Db<C> {
    /// The number of the last change; 0 where there was none.
    pub async fn last_sanction_change(&self) -> Result<i64> {
        use sanction_change::{Column, Entity};
        let last = Entity::find()
            .select_only()
            .column_as(Column::No.max(), "no")
            .into_tuple::<Option<i64>>()
            .one(&self.0)
            .await?;
        Ok(last.flatten().unwrap_or_default())
    }

    /// At most `limit` changes after this one, in order, each with its number and the sanction
    /// as it then read; of these kinds, or of all where there are none.
    pub async fn sanction_changes(
        &self,
        after: i64,
        kinds: &[SanctionKind],
        limit: u64,
    ) -> Result<Vec<(i64, Sanction)>> {
        use sanction_change::{Column, Entity, Relation};
        let mut query = Entity::find()
            .select_only()
            .columns([Column::No, Column::SanctionNo])
            .column(sanction_version::Column::Body)
            .join(JoinType::InnerJoin, Relation::Version.def())
            .filter(Column::No.gt(after));
        if !kinds.is_empty() {
            query = query.filter(Column::Kind.is_in(kinds.iter().map(|kind| *kind as i16)));
        }
        let rows = query
            .order_by_asc(Column::No)
            .limit(limit)
            .into_tuple::<(i64, i64, String)>()
            .all(&self.0)
            .await?;
        rows.into_iter()
            .map(|(revision, no, body)| Ok((revision, whole(no, &body)?)))
            .collect()
    }
}

impl Tx {
    /// Puts this version into the feed. The feed's lock is held until the transaction ends, so
    /// that numbers grow as changes are committed: who has seen one has seen all before it.
    pub(super) async fn feed_sanction(&self, sanction: &Sanction) -> Result<()> {
        self.lock_sanction_feed().await?;
        let row = sanction_change::ActiveModel {
            no: NotSet,
            sanction_no: Set(sanction.no),
            version: Set(sanction.version),
            kind: Set(sanction.kind as i16),
        };
        sanction_change::Entity::insert(row)
            .exec_without_returning(&self.0)
            .await?;
        Ok(())
    }
}
