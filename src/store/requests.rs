//! Answers kept by `request_id`, in the transaction of the effect (AIP-155).

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, TryInsertResult,
};
use uuid::Uuid;

use super::{
    Error, Result, Tx,
    entity::request::{ActiveModel, Column, Entity},
};
use crate::domain::Micros;

/// What became of a claim to a `request_id`.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is this transaction's; its answer is to be kept before the commit.
    Fresh,
    /// It was answered before: this, still sealed.
    Answered(Vec<u8>),
    /// It was used for another request.
    Reused,
}

impl Tx {
    /// Claims an id. Of two transactions that claim one at once, the second waits for the
    /// first and then has its answer. An answer older than `keep_since` is forgotten.
    pub async fn claim(
        &self,
        caller: &str,
        id: Uuid,
        fingerprint: &[u8],
        now: Micros,
        keep_since: Micros,
    ) -> Result<Claim> {
        Entity::delete_by_id((caller.to_owned(), id))
            .filter(Column::Time.lt(keep_since.0))
            .exec(&self.0)
            .await?;
        let row = ActiveModel {
            caller: Set(caller.to_owned()),
            id: Set(id),
            fingerprint: Set(fingerprint.to_owned()),
            answer: Set(Vec::new()),
            time: Set(now.0),
        };
        let outcome = Entity::insert(row)
            .on_conflict_do_nothing()
            .exec_without_returning(&self.0)
            .await?;
        if matches!(outcome, TryInsertResult::Inserted(1)) {
            return Ok(Claim::Fresh);
        }
        let earlier = Entity::find_by_id((caller.to_owned(), id))
            .one(&self.0)
            .await?
            .ok_or_else(|| Error::conflict("a kept answer was forgotten meanwhile"))?;
        Ok(if earlier.fingerprint == fingerprint {
            Claim::Answered(earlier.answer)
        } else {
            Claim::Reused
        })
    }

    /// Keeps the answer of a claimed id.
    pub async fn keep_answer(&self, caller: &str, id: Uuid, answer: Vec<u8>) -> Result<()> {
        ActiveModel {
            caller: Set(caller.to_owned()),
            id: Set(id),
            answer: Set(answer),
            ..Default::default()
        }
        .update(&self.0)
        .await?;
        Ok(())
    }

    /// Frees an id whose request turned out to have no effect.
    pub async fn forget_answer(&self, caller: &str, id: Uuid) -> Result<()> {
        Entity::delete_by_id((caller.to_owned(), id))
            .exec(&self.0)
            .await?;
        Ok(())
    }

    /// Forgets answers older than this; how many there were.
    pub async fn forget_answers(&self, keep_since: Micros) -> Result<u64> {
        Ok(Entity::delete_many()
            .filter(Column::Time.lt(keep_since.0))
            .exec(&self.0)
            .await?
            .rows_affected)
    }
}
