//! Why a merchant's cards are, or are not, shown: every gate with its word, now or as known
//! then.

use std::sync::Arc;

use super::{App, Result, placements};
use crate::{
    domain::{
        Arm, Card, Facts, Finding, Gate, LinkHealth, Merchant, Micros, Placement, PlacementName,
        ProgramName, Reason, Refusal, Standing, gate,
        serving::{self, Candidate},
    },
    serving::candidates,
    store::Shown,
};

/// What is asked about.
#[derive(Clone, Debug)]
pub enum Subject {
    /// A merchant's chat menu.
    Menu(Merchant),
    Placement(PlacementName),
}

/// One gate's word.
#[derive(Debug)]
pub struct Line {
    /// `None` where it is about the merchant alone.
    pub placement: Option<PlacementName>,
    /// `None` for the card's and the placement's own gates.
    pub program: Option<ProgramName>,
    pub finding: Finding,
}

/// Every gate's word.
#[derive(Debug)]
pub struct Explanation {
    /// Why nothing is shown.
    pub absence: Option<Reason>,
    pub lines: Vec<Line>,
    pub at: Micros,
}

impl App {
    /// Explains as of `at`, by what was known then, or now.
    /// A viewer may be held out.
    pub async fn explain(
        &self,
        subject: &Subject,
        viewer: Option<&str>,
        at: Option<Micros>,
    ) -> Result<Explanation> {
        let now = self.ambient.now();
        if at.is_some_and(|at| at > now) {
            return Err(Refusal::field("at", "must not be in the future").into());
        }
        let candidates = self.asked_about(subject, now, at).await?;
        let at = at.unwrap_or(now);
        let merchant = match subject {
            Subject::Menu(merchant) => merchant,
            Subject::Placement(name) => name.merchant(),
        };
        let shown: Vec<_> = candidates.iter().collect();
        let answer = match subject {
            Subject::Menu(_) => serving::menu(&shown, at),
            Subject::Placement(_) => serving::answer(&shown, at),
        };
        let mut lines = Vec::new();
        for candidate in &candidates {
            let Candidate {
                placement,
                card,
                standing,
                health,
            } = candidate;
            let facts = match card {
                Some(card) => Facts::placement(standing, card, placement).health(health.as_ref()),
                None => Facts::merchant(standing),
            };
            lines.extend(said(Some(&placement.name), facts, at));
        }
        if candidates.is_empty() {
            let standing = match at < now {
                true => self.standing_at(merchant, at).await?,
                false => self.standing_now(merchant, at).await?,
            };
            lines = said(None, Facts::merchant(&standing), at);
        }
        let mut absence = answer.absence;
        if let Some(line) = self.hold_out(merchant, viewer, at).await? {
            if line.finding.refusal.is_some() {
                absence = absence.or(Some(Reason::HeldOut));
            }
            lines.push(line);
        }
        Ok(Explanation { absence, lines, at })
    }

    /// On which side of the merchant's experiment a viewer is, or was; none where none runs.
    async fn hold_out(
        &self,
        merchant: &Merchant,
        viewer: Option<&str>,
        at: Micros,
    ) -> Result<Option<Line>> {
        let Some(viewer) = viewer else {
            return Ok(None);
        };
        let running = self.store.reads().running_experiments([merchant], at);
        Ok(running.await?.get(merchant).map(|experiment| {
            let held_out = experiment.arm(self.keys.viewer_hash(viewer)) == Arm::HeldOut;
            let refusal = held_out.then(|| {
                Refusal::new(Reason::HeldOut, "an experiment holds the viewer out")
                    .with("experiment", experiment.name.to_string())
            });
            Line {
                placement: None,
                program: None,
                finding: Finding::new(Gate::HoldOut, refusal),
            }
        }))
    }

    /// The placements that may be shown, now or as they stood then.
    async fn asked_about(
        &self,
        subject: &Subject,
        now: Micros,
        at: Option<Micros>,
    ) -> Result<Vec<Candidate>> {
        let reads = self.store.reads();
        let Some(at) = at else {
            let shown = match subject {
                Subject::Menu(merchant) => reads.menu(merchant).await?,
                Subject::Placement(name) => {
                    let shown = reads.shown(name).await?;
                    vec![shown.ok_or_else(|| placements::not_found(name))?]
                }
            };
            let calendar = &self.rules.calendar;
            return Ok(candidates(reads, calendar, shown, now).await?);
        };
        let shown = match subject {
            Subject::Menu(merchant) => reads.menu_at(merchant, at).await?,
            Subject::Placement(name) => {
                let placement = reads.placement(name).await?;
                let no = placement.ok_or_else(|| placements::not_found(name))?.no;
                let shown = reads.shown_at(no, at).await?;
                let shown = shown.map(|(placement, card)| (placement, Some(card)));
                shown.into_iter().collect()
            }
        };
        self.candidates_at(shown, at).await
    }

    /// The placements of one merchant as they stood then, with what was known of it then.
    async fn candidates_at(&self, shown: Vec<Shown>, at: Micros) -> Result<Vec<Candidate>> {
        let Some((first, _)) = shown.first() else {
            return Ok(Vec::new());
        };
        let standing = self.standing_at(first.name.merchant(), at).await?;
        let standing = Arc::new(standing);
        let mut candidates = Vec::new();
        for (placement, card) in shown {
            candidates.push(Candidate {
                health: self.link_health_at(card.as_ref(), at).await?,
                placement,
                card,
                standing: Arc::clone(&standing),
            });
        }
        Ok(candidates)
    }

    /// A placement as it stood then, with what was known of its merchant then.
    pub(super) async fn candidate_at(
        &self,
        placement: Placement,
        card: Option<Card>,
        at: Micros,
    ) -> Result<Candidate> {
        let standing = self.standing_at(placement.name.merchant(), at).await?;
        Ok(Candidate {
            health: self.link_health_at(card.as_ref(), at).await?,
            placement,
            card,
            standing: Arc::new(standing),
        })
    }

    async fn link_health_at(&self, card: Option<&Card>, at: Micros) -> Result<Option<LinkHealth>> {
        let Some(card) = card else { return Ok(None) };
        Ok(self.store.reads().link_health_at(card, at).await?)
    }

    /// The merchant's standing by all that is known.
    pub(super) async fn standing_now(&self, merchant: &Merchant, now: Micros) -> Result<Standing> {
        let (reads, calendar) = (self.store.reads(), &self.rules.calendar);
        Ok(reads.standing(merchant, calendar, now).await?)
    }

    /// The merchant's standing then, by what was known then.
    pub(super) async fn standing_at(&self, merchant: &Merchant, at: Micros) -> Result<Standing> {
        let (reads, calendar) = (self.store.reads(), &self.rules.calendar);
        Ok(reads.standing_at(merchant, calendar, at).await?)
    }
}

fn said(placement: Option<&PlacementName>, facts: Facts<'_>, at: Micros) -> Vec<Line> {
    let (programs, own) = gate::explain(facts, at);
    let programs = programs
        .into_iter()
        .map(|(program, finding)| (Some(program), finding));
    let own = own.into_iter().map(|finding| (None, finding));
    programs
        .chain(own)
        .map(|(program, finding)| Line {
            placement: placement.cloned(),
            program,
            finding,
        })
        .collect()
}
