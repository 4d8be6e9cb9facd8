//! What a merchant's ad spend says, program by program, now or as known then.

use super::{App, Result};
use crate::domain::{
    Asked, Chance, Door, Merchant, Micros, ProgramName, Reason, Refusal, Standing,
};

impl App {
    /// The decision of one program, or of the one that admits the merchant or comes nearest;
    /// as of when.
    pub async fn eligibility(
        &self,
        merchant: &Merchant,
        program: Option<&ProgramName>,
        as_of: Option<Micros>,
    ) -> Result<(Chance, Micros)> {
        let at = self.as_of(as_of)?;
        let chance = match program {
            Some(name) => {
                let (reads, calendar) = (self.store.reads(), &self.rules.calendar);
                let chance = reads.chance(merchant, name, calendar, at, as_of);
                chance.await?
            }
            None => {
                let standing = self.standing_as_of(merchant, as_of, at).await?;
                let asked = Asked {
                    door: Door::Configure,
                    surface: None,
                    kind: None,
                    now: at,
                };
                standing.nearest(&asked).cloned()
            }
        };
        let chance = chance.ok_or_else(|| {
            let refusal = Refusal::new(Reason::ProgramNotFound, "no such program");
            match program {
                Some(name) => refusal.about(name),
                None => refusal,
            }
        })?;
        Ok((chance, at))
    }

    /// At most `limit` decisions of programs that have not ended, after the program id
    /// `after`; as of when.
    pub async fn eligibilities(
        &self,
        merchant: &Merchant,
        after: &str,
        limit: u64,
        as_of: Option<Micros>,
    ) -> Result<(Vec<Chance>, Micros)> {
        let at = self.as_of(as_of)?;
        let standing = self.standing_as_of(merchant, as_of, at).await?;
        let chances = standing.chances.into_iter();
        let chances = chances
            .filter(|chance| chance.program.ended_at(at).is_none())
            .filter(|chance| chance.program.name.id() > after)
            .take(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((chances.collect(), at))
    }

    /// By what was known then, or is `now`.
    async fn standing_as_of(
        &self,
        merchant: &Merchant,
        as_of: Option<Micros>,
        now: Micros,
    ) -> Result<Standing> {
        match as_of {
            Some(at) => self.standing_at(merchant, at).await,
            None => self.standing_now(merchant, now).await,
        }
    }

    fn as_of(&self, as_of: Option<Micros>) -> Result<Micros> {
        let now = self.ambient.now();
        if as_of.is_some_and(|at| at > now) {
            return Err(Refusal::field("as_of", "must not be in the future").into());
        }
        Ok(as_of.unwrap_or(now))
    }
}
