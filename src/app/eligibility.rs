//! What a merchant's ad spend says, program by program, now or as known then.

use super::{App, Result};
use crate::domain::{
    Asked, Chance, Door, Merchant, Micros, ProgramName, ProgramState, Reason, Refusal, Standing,
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
        let (standing, now) = self.as_of(merchant, as_of).await?;
        let asked = Asked {
            door: Door::Configure,
            surface: None,
            kind: None,
            now,
        };
        let chance = match program {
            Some(name) => standing.chances.iter().find(|c| c.program.name == *name),
            None => standing.nearest(&asked),
        };
        let chance = chance.cloned().ok_or_else(|| {
            let refusal = Refusal::new(Reason::ProgramNotFound, "no such program");
            match program {
                Some(name) => refusal.about(name),
                None => refusal,
            }
        })?;
        Ok((chance, now))
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
        let (standing, now) = self.as_of(merchant, as_of).await?;
        let chances = standing.chances.into_iter();
        let chances = chances
            .filter(|chance| chance.program.state != ProgramState::Ended)
            .filter(|chance| chance.program.name.id() > after)
            .take(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok((chances.collect(), now))
    }

    async fn as_of(
        &self,
        merchant: &Merchant,
        as_of: Option<Micros>,
    ) -> Result<(Standing, Micros)> {
        let now = self.ambient.now();
        if as_of.is_some_and(|at| at > now) {
            return Err(Refusal::field("as_of", "must not be in the future").into());
        }
        let at = as_of.unwrap_or(now);
        let standing = self.standing_at(merchant, at, as_of.is_some()).await?;
        Ok((standing, at))
    }
}
