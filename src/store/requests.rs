//! Answers kept by `request_id`, in the transaction of the effect (AIP-155).

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{
    Error, Result, Tx,
    entity::request::{ActiveModel, Column, Entity, Model},
    placements::padded,
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

/// A request that claims its id.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The caller's subject.
    pub caller: &'a str,
    pub id: Uuid,
    /// A keyed hash of method and body.
    pub fingerprint: [u8; 32],
}

impl Asked<'_> {
    /// What the row with its id says; one without an answer is this transaction's own.
    fn claim(&self, row: Model) -> Claim {
        if row.answer.is_empty() {
            Claim::Fresh
        } else if row.fingerprint == self.fingerprint {
            Claim::Answered(row.answer)
        } else {
            Claim::Reused
        }
    }

    fn row(&self, answer: Vec<u8>, now: Micros) -> ActiveModel {
        ActiveModel {
            caller: Set(self.caller.to_owned()),
            id: Set(self.id),
            fingerprint: Set(self.fingerprint.to_vec()),
            answer: Set(answer),
            time: Set(now.0),
        }
    }
}

impl Tx {
    /// Claims an id. Of two transactions that claim one at once, the second waits for the
    /// first and then has its answer. An answer older than `keep_since` is forgotten.
    pub async fn claim(&self, asked: Asked<'_>, now: Micros, keep_since: Micros) -> Result<Claim> {
        let mut claims = self.claims(&[Some(asked)], now, keep_since).await?;
        claims.pop().ok_or_else(|| Error::corrupt("no claim"))
    }

    /// Claims ids, each of them once; who asks without one is fresh.
    pub async fn claims(
        &self,
        asked: &[Option<Asked<'_>>],
        now: Micros,
        keep_since: Micros,
    ) -> Result<Vec<Claim>> {
        let mut some: Vec<_> = asked.iter().flatten().collect();
        // Who claims several does so in their order, so that nobody waits for another in a circle.
        some.sort_unstable_by_key(|asked| (asked.caller, asked.id));
        let free = self.insert_claims(&some, now, keep_since).await?;
        let all_free = free == some.len() as u64;
        let mut there = HashMap::new();
        if !all_free {
            let callers: BTreeSet<_> = some.iter().map(|asked| asked.caller).collect();
            let rows = Entity::find()
                .filter(Column::Caller.is_in(padded(callers.into_iter())))
                .filter(Column::Id.is_in(padded(some.iter().map(|asked| asked.id))))
                .all(&self.0)
                .await?;
            there.extend(
                rows.into_iter()
                    .map(|row| ((row.caller.clone(), row.id), row)),
            );
        }
        let claim = |asked: &Option<Asked<'_>>| match asked {
            Some(asked) if !all_free => {
                let row = there.remove(&(asked.caller.to_owned(), asked.id));
                let gone = || Error::conflict("a kept answer was forgotten meanwhile");
                Ok(asked.claim(row.ok_or_else(gone)?))
            }
            _ => Ok(Claim::Fresh),
        };
        asked.iter().map(claim).collect()
    }

    /// How many were free.
    async fn insert_claims(
        &self,
        asked: &[&Asked<'_>],
        now: Micros,
        keep_since: Micros,
    ) -> Result<u64> {
        if asked.is_empty() {
            return Ok(0);
        }
        let rows = asked.iter().map(|asked| asked.row(Vec::new(), now));
        let if_expired = OnConflict::columns([Column::Caller, Column::Id])
            .update_columns([Column::Fingerprint, Column::Answer, Column::Time])
            .action_and_where(Expr::col((Entity, Column::Time)).lt(keep_since.0))
            .to_owned();
        let inserting = Entity::insert_many(rows).on_conflict(if_expired);
        Ok(inserting.exec_without_returning(&self.0).await?)
    }

    /// Keeps the answers of claimed ids.
    pub async fn keep_answers(
        &self,
        answers: Vec<(Asked<'_>, Vec<u8>)>,
        now: Micros,
    ) -> Result<()> {
        if answers.is_empty() {
            return Ok(());
        }
        let rows = answers
            .into_iter()
            .map(|(asked, answer)| asked.row(answer, now));
        let instead = OnConflict::columns([Column::Caller, Column::Id])
            .update_column(Column::Answer)
            .to_owned();
        Entity::insert_many(rows)
            .on_conflict(instead)
            .exec_without_returning(&self.0)
            .await?;
        Ok(())
    }

    /// Frees those of these ids that this transaction claimed and did not answer.
    pub async fn forget_claims(&self, asked: &[Asked<'_>]) -> Result<()> {
        if asked.is_empty() {
            return Ok(());
        }
        let callers: BTreeSet<_> = asked.iter().map(|asked| asked.caller).collect();
        Entity::delete_many()
            .filter(Column::Caller.is_in(padded(callers.into_iter())))
            .filter(Column::Id.is_in(padded(asked.iter().map(|asked| asked.id))))
            .filter(Column::Answer.eq(Vec::<u8>::new()))
            .exec(&self.0)
            .await?;
        Ok(())
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
