//! What is known of merchants for the gate: programs, lists and spend, now or as known then. A
//! fixed number of queries, however many merchants.

use std::{collections::HashMap, sync::Arc};

use sea_orm::ConnectionTrait;

use super::{Db, Result, programs::Listed};
use crate::domain::{
    Calendar, Chance, Day, List, Merchant, Micros, Program, ProgramName, Sources, Spend, Standing,
    eligibility::{Terms, decide},
    ledger::SILENT_DAYS,
};

/// By merchant, to be given their sanctions.
pub(super) type Standings = HashMap<Merchant, Standing>;

/// What several merchants are judged by.
struct Known<'a> {
    programs: Vec<Program>,
    sources: Sources,
    calendar: &'a Calendar,
    now: Micros,
    /// By what was known then; `None` for by all that is.
    known: Option<Micros>,
}

impl<C: ConnectionTrait> Db<C> {
    /// One merchant's standing now.
    pub async fn standing(
        &self,
        merchant: &Merchant,
        calendar: &Calendar,
        now: Micros,
    ) -> Result<Standing> {
        let standings = self.standings([merchant], calendar, now).await?;
        Ok(only(standings, merchant))
    }

    /// One merchant's standing at an earlier moment, by what was known then.
    pub async fn standing_at(
        &self,
        merchant: &Merchant,
        calendar: &Calendar,
        at: Micros,
    ) -> Result<Standing> {
        let standings = self.standings_at([merchant], calendar, at).await?;
        Ok(only(standings, merchant))
    }

    /// Each merchant's standing now.
    pub async fn standings<'a>(
        &self,
        merchants: impl IntoIterator<Item = &'a Merchant>,
        calendar: &Calendar,
        now: Micros,
    ) -> Result<HashMap<Merchant, Arc<Standing>>> {
        let programs = self.programs(now).await?;
        let ids = distinct(merchants);
        let lists = self.lists(&ids).await?;
        let standings = self.judged(&ids, programs, lists, calendar, now, None);
        self.sanctioned(standings.await?, now, None).await
    }

    /// Each merchant's standing at an earlier moment, by what was known then.
    pub async fn standings_at<'a>(
        &self,
        merchants: impl IntoIterator<Item = &'a Merchant>,
        calendar: &Calendar,
        at: Micros,
    ) -> Result<HashMap<Merchant, Arc<Standing>>> {
        let programs = self.programs_at(at).await?;
        let ids = distinct(merchants);
        let lists = self.lists_at(&ids, at).await?;
        let standings = self.judged(&ids, programs, lists, calendar, at, Some(at));
        self.sanctioned(standings.await?, at, Some(at)).await
    }

    /// One merchant's chance with one program, also one that has ended; by what was known
    /// then, or is now.
    pub async fn chance(
        &self,
        merchant: &Merchant,
        program: &ProgramName,
        calendar: &Calendar,
        at: Micros,
        known: Option<Micros>,
    ) -> Result<Option<Chance>> {
        let Some(program) = self.program_known(program, known).await? else {
            return Ok(None);
        };
        let ids = [merchant.id()];
        let lists = match known {
            Some(at) => self.lists_at(&ids, at).await?,
            None => self.lists(&ids).await?,
        };
        let programs = vec![program];
        let standings = self.judged(&ids, programs, lists, calendar, at, known);
        let standing = standings.await?.remove(merchant);
        Ok(standing.and_then(|mut standing| standing.chances.pop()))
    }

    /// With the sanctions that stop their cards.
    pub(super) async fn sanctioned(
        &self,
        mut standings: Standings,
        at: Micros,
        known: Option<Micros>,
    ) -> Result<HashMap<Merchant, Arc<Standing>>> {
        let merchants: Vec<_> = standings.keys().map(Merchant::id).collect();
        let sanctions = self.stopping(&merchants, at, known).await?;
        for (merchant, sanctions) in sanctions {
            if let Some(standing) = standings.get_mut(&merchant) {
                standing.sanctions = sanctions;
            }
        }
        let shared = |(merchant, standing)| (merchant, Arc::new(standing));
        Ok(standings.into_iter().map(shared).collect())
    }

    /// Each merchant's standing, were these the programs, but for its sanctions.
    pub(super) async fn judged(
        &self,
        ids: &[&str],
        programs: Vec<Program>,
        lists: Vec<Listed>,
        calendar: &Calendar,
        now: Micros,
        known: Option<Micros>,
    ) -> Result<Standings> {
        let known = Known {
            sources: self.reporting(&programs, calendar, now, known).await?,
            programs,
            calendar,
            now,
            known,
        };
        let mut spend = self.known_spend(ids, &known).await?;
        let lists: HashMap<(i64, Merchant), List> = lists
            .into_iter()
            .map(|(program_no, merchant, list)| ((program_no, merchant), list))
            .collect();
        let standing = |merchant: Merchant| {
            let spend = spend.remove(&merchant).unwrap_or_default();
            let standing = known.standing(merchant.clone(), &spend, &lists);
            (merchant, standing)
        };
        Ok(ids
            .iter()
            .filter_map(|id| Merchant::from_id(id))
            .map(standing)
            .collect())
    }

    /// What sources have said of the days that a decision on any of these terms reads; those
    /// that are awaited.
    pub(super) async fn reporting(
        &self,
        programs: &[Program],
        calendar: &Calendar,
        now: Micros,
        known: Option<Micros>,
    ) -> Result<Sources> {
        let today = calendar.zone.day(now);
        let read = programs
            .iter()
            .map(|program| program.terms().reads_from(today, calendar));
        let first = read.min().unwrap_or(today) - SILENT_DAYS;
        let mut sources = self.sources(first, today, known).await?;
        sources.0.retain(|name, _| calendar.sources.admit(name));
        Ok(sources)
    }

    /// The merchants' figures, with their history where the present ones do not suffice.
    async fn known_spend(
        &self,
        ids: &[&str],
        known: &Known<'_>,
    ) -> Result<HashMap<Merchant, Spend>> {
        let (terms, today) = (known.terms(), known.today());
        let read = terms
            .iter()
            .map(|terms| terms.reads_from(today, known.calendar));
        let first = read.min().unwrap_or(today);
        let mut spend = self.spend(ids, first, today, known.known).await?;
        let short = |spend: &Spend| {
            let total = |terms: &Terms| spend.between(terms.first(today), today);
            terms.iter().any(|terms| total(terms) <= terms.threshold)
        };
        let unsure: Vec<_> = spend
            .iter()
            .filter(|(_, spend)| short(spend))
            .map(|(merchant, _)| merchant.clone())
            .collect();
        if unsure.is_empty() {
            return Ok(spend);
        }
        let ids: Vec<_> = unsure.iter().map(Merchant::id).collect();
        let looked = terms
            .iter()
            .map(|terms| terms.looks_from(today, known.calendar));
        let since = known.calendar.zone.start(looked.min().unwrap_or(today));
        let whole = self.spend_since(&ids, (first, today), since, known.now, known.known);
        spend.extend(whole.await?);
        Ok(spend)
    }
}

impl Known<'_> {
    fn today(&self) -> Day {
        self.calendar.zone.day(self.now)
    }

    fn terms(&self) -> Vec<Terms> {
        self.programs.iter().map(Program::terms).collect()
    }

    fn standing(
        &self,
        merchant: Merchant,
        spend: &Spend,
        lists: &HashMap<(i64, Merchant), List>,
    ) -> Standing {
        let chances = self.programs.iter().map(|program| Chance {
            list: lists.get(&(program.no, merchant.clone())).copied(),
            decision: decide(
                &program.terms(),
                spend,
                &self.sources,
                self.calendar,
                self.now,
            ),
            program: program.clone(),
        });
        Standing {
            chances: chances.collect(),
            sanctions: Vec::new(),
            merchant,
        }
    }
}

fn distinct<'a>(merchants: impl IntoIterator<Item = &'a Merchant>) -> Vec<&'a str> {
    let mut ids: Vec<_> = merchants.into_iter().map(Merchant::id).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn only(mut standings: HashMap<Merchant, Arc<Standing>>, merchant: &Merchant) -> Standing {
    let none = || Standing {
        merchant: merchant.clone(),
        chances: Vec::new(),
        sanctions: Vec::new(),
    };
    standings
        .remove(merchant)
        .map_or_else(none, Arc::unwrap_or_clone)
}
