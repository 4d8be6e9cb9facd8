//! What would change if a program read so: over all merchants, and over what they have placed.
//! Writes nothing.

use std::{collections::HashMap, sync::Arc};

use super::{App, Result};
use crate::{
    domain::{
        Card, Door, Merchant, Micros, Placement, PlacementName, Program, Standing,
        serving::{self, Candidate},
    },
    store::{Census, Shown},
};

/// Names in a sample.
const MOST: usize = 100;

/// Placements judged together.
const PAGE: u64 = 500;

/// What would change today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preview {
    pub gained: Sample,
    pub lost: Sample,
    /// Of those who spent or are on a list.
    pub unchanged: Sample,
    pub placements_appearing: Sample,
    pub placements_vanishing: Sample,
}

/// How many there are, and the full names of the first 100 by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub count: i64,
    pub sample: Vec<String>,
}

impl Sample {
    /// Names come in their order.
    fn push(&mut self, name: impl ToString) {
        self.count += 1;
        if self.sample.len() < MOST {
            self.sample.push(name.to_string());
        }
    }

    /// Merchants come in any order.
    fn add(&mut self, merchant: &Merchant) {
        self.count += 1;
        let name = merchant.to_string();
        let place = self.sample.partition_point(|earlier| *earlier < name);
        if place < MOST {
            self.sample.insert(place, name);
            self.sample.truncate(MOST);
        }
    }
}

impl App {
    /// What would change if the program read so; one with a name that is not there yet would
    /// be new.
    pub async fn preview_program(&self, program: Program) -> Result<Preview> {
        let now = self.ambient.now();
        let before = self.store.reads().programs(now).await?;
        let after = with(&before, program);
        let mut preview = Preview::default();
        self.preview_merchants(&before, &after, now, &mut preview)
            .await?;
        self.preview_placements(&before, &after, now, &mut preview)
            .await?;
        Ok(preview)
    }

    async fn preview_merchants(
        &self,
        before: &[Program],
        after: &[Program],
        now: Micros,
        preview: &mut Preview,
    ) -> Result<()> {
        let (before, after) = (running(before, now), running(after, now));
        if before.is_empty() && after.is_empty() {
            return Ok(());
        }
        let day = self.rules.calendar.zone.day(now);
        let each = |merchant: Census| {
            let sample = match (admits(&before, &merchant), admits(&after, &merchant)) {
                (false, true) => &mut preview.gained,
                (true, false) => &mut preview.lost,
                _ => &mut preview.unchanged,
            };
            sample.add(&merchant.merchant);
        };
        let reads = self.store.reads();
        let count = reads.census(&before, &after, day, MOST, each).await?;
        preview.unchanged.count = count - preview.gained.count - preview.lost.count;
        Ok(())
    }

    async fn preview_placements(
        &self,
        before: &[Program],
        after: &[Program],
        now: Micros,
        preview: &mut Preview,
    ) -> Result<()> {
        let mut last = None;
        loop {
            let reads = self.store.reads();
            let page = reads.live_placements(last.as_ref(), PAGE).await?;
            let Some((placement, _)) = page.last() else {
                return Ok(());
            };
            last = Some(placement.name.clone());
            let [before, after] = [
                self.shown_under(before, &page, now).await?,
                self.shown_under(after, &page, now).await?,
            ];
            for ((name, was), (_, is)) in before.into_iter().zip(after) {
                match (was, is) {
                    (false, true) => preview.placements_appearing.push(name),
                    (true, false) => preview.placements_vanishing.push(name),
                    _ => {}
                }
            }
        }
    }

    /// Whether the gate would show each placement, were these the programs.
    async fn shown_under(
        &self,
        programs: &[Program],
        page: &[Shown],
        now: Micros,
    ) -> Result<Vec<(PlacementName, bool)>> {
        let mut merchants: Vec<_> = page.iter().map(|(p, _)| p.name.merchant()).collect();
        merchants.dedup();
        let reads = self.store.reads();
        let standings = reads
            .standings_under(programs, merchants, &self.rules.calendar, now)
            .await?;
        let shown = page.iter().map(|(placement, card)| {
            let candidate = candidate(&standings, placement.clone(), card.clone());
            let shown = candidate.is_some_and(|c| serving::shown(Door::Serve, &c, now).is_ok());
            (placement.name.clone(), shown)
        });
        Ok(shown.collect())
    }
}

fn candidate(
    standings: &HashMap<Merchant, Arc<Standing>>,
    placement: Placement,
    card: Option<Card>,
) -> Option<Candidate> {
    let standing = standings.get(placement.name.merchant())?.clone();
    Some(Candidate {
        placement,
        card,
        standing,
        health: None,
    })
}

/// The programs with one of them reading so.
fn with(programs: &[Program], mut program: Program) -> Vec<Program> {
    let mut programs = programs.to_vec();
    match programs.iter_mut().find(|p| p.name == program.name) {
        Some(old) => {
            program.no = old.no;
            *old = program;
        }
        None => programs.push(program),
    }
    programs
}

fn running(programs: &[Program], now: Micros) -> Vec<&Program> {
    programs
        .iter()
        .filter(|program| program.runs(now))
        .collect()
}

/// Whether any of these running programs admits the merchant, graces aside.
fn admits(programs: &[&Program], merchant: &Census) -> bool {
    programs.iter().any(|program| {
        let window = |(days, _): &&(i32, _)| *days == program.window_days;
        let total = merchant.totals.iter().find(window);
        let list = merchant.lists.iter().find(|(no, _)| *no == program.no);
        total.is_some_and(|(_, total)| *total > program.threshold)
            && program
                .membership(&merchant.merchant, list.map(|(_, list)| *list))
                .is_in()
    })
}
