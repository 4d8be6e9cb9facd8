//! Screening: what texts and pictures are, once it is known whose they are.

mod official;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::{sync::Semaphore, task::spawn_blocking};

use self::official::{Owner, Seen};
use super::{App, Error, Principal, Result};
use crate::{
    domain::{FieldViolation, Merchant, Reason, Refusal},
    screening::{Broken, Category, Finding, RuleFiles, Rulebook, Verdict, picture},
};

/// Code points of an excerpt.
const MOST_EXCERPT: usize = 200;
/// Findings that are told of one item.
const MOST_FINDINGS: usize = 100;

/// The rules in force, and room for those who go by them.
#[derive(Debug)]
pub struct Screener {
    rulebook: ArcSwap<Rulebook>,
    files: RuleFiles,
    /// Items judged at once: it is work for processors, and pictures take memory.
    seats: Arc<Semaphore>,
}

/// What is to be judged, and whose it is.
#[derive(Debug)]
pub struct Item {
    pub content: Content,
    pub place: Place,
    pub merchant: Option<Merchant>,
    /// The conversation's id.
    pub conversation: Option<String>,
}

#[derive(Debug)]
pub enum Content {
    Text(String),
    Image(Vec<u8>),
}

/// Where it stands; the rules differ for cards alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Card,
    Elsewhere,
}

/// What one item is.
#[derive(Debug)]
pub struct Screened {
    pub verdict: Verdict,
    /// By place.
    pub findings: Vec<Finding>,
}

impl Screener {
    /// # Errors
    /// What is wrong with the rules.
    pub fn new(files: RuleFiles, seats: usize) -> Result<Self, Broken> {
        Ok(Self {
            rulebook: ArcSwap::from_pointee(files.read()?),
            files,
            seats: Arc::new(Semaphore::new(seats)),
        })
    }

    /// The rules in force.
    pub fn rulebook(&self) -> Arc<Rulebook> {
        self.rulebook.load_full()
    }
}

impl App {
    /// Takes the rules as they are in their files now, if those changed: their version. The ones
    /// in force stay where they are broken.
    pub async fn reload_rules(&self) -> Result<Option<String>> {
        let screener = Arc::clone(&self.screener);
        let changed = spawn_blocking(move || screener.files.changed());
        let Some(rulebook) = changed.await.map_err(Error::bug)?.map_err(Error::bug)? else {
            return Ok(None);
        };
        let version = rulebook.version().to_owned();
        self.screener.rulebook.store(Arc::new(rulebook));
        Ok(Some(version))
    }

    /// Judges each item; the version of the rules that did.
    pub async fn screen(
        &self,
        caller: &Principal,
        items: Vec<Item>,
    ) -> Result<(Vec<Screened>, String)> {
        let rulebook = self.screener.rulebook();
        let mut results = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let owner = Owner::of(&item);
            let place = item.place;
            let seen = self.look(&rulebook, index, item).await?;
            let owned = self.owned(caller, &owner, &seen).await?;
            results.push(Screened::of(place, owned));
        }
        Ok((results, rulebook.version().to_owned()))
    }

    /// What the rules find, away from the threads that answer calls.
    async fn look(&self, rulebook: &Arc<Rulebook>, index: usize, item: Item) -> Result<Seen> {
        let seat = self.screener.seats.clone().acquire_owned().await;
        let seat = seat.map_err(Error::bug)?;
        let (app, rulebook) = (self.clone(), Arc::clone(rulebook));
        let work = spawn_blocking(move || {
            let _seat = seat;
            match item.content {
                Content::Text(text) => Ok(app.seen_in_text(&rulebook, &text)),
                Content::Image(bytes) => {
                    let codes = picture::codes(&bytes);
                    let codes = codes.map_err(|error| {
                        Refusal::field(format!("items[{index}].image"), error.to_string())
                    })?;
                    Ok(app.seen_in_codes(&rulebook, codes))
                }
            }
        });
        Ok(work.await.map_err(Error::bug)??)
    }

    /// Refuses texts of a card that carry a contact past it. Asking to be added is what cards are
    /// for.
    pub(super) fn screen_card<'a>(
        &self,
        fields: impl IntoIterator<Item = (String, &'a str)>,
    ) -> Result<(), Refusal> {
        let rulebook = self.screener.rulebook();
        for (field, text) in fields {
            let found = rulebook.text(text);
            let Some(worst) = found.into_iter().find(|finding| breaks(Place::Card, finding)) else {
                continue;
            };
            let points = self.points(worst.category);
            let message = format!("{field} leads users off the platform");
            return Err(Refusal {
                violations: vec![FieldViolation {
                    field,
                    description: format!("breaks the rule {}; contacts go into contacts", worst.rule),
                }],
                ..Refusal::new(Reason::ContentDiversion, message)
            }
            .with("rule", worst.rule)
            .with("points", points.to_string()));
        }
        Ok(())
    }

    /// What the conduct table puts at stake.
    pub fn points(&self, category: Category) -> u8 {
        let rule = self.rules.conduct.rule(category.rule());
        rule.map_or(0, |rule| rule.points)
    }
}

impl Screened {
    fn of(place: Place, mut findings: Vec<Finding>) -> Self {
        if place == Place::Card {
            findings.retain(|finding| breaks(place, finding));
        }
        findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
        let verdict = findings.iter().map(|finding| finding.verdict).max();
        findings.truncate(MOST_FINDINGS);
        Self {
            verdict: verdict.unwrap_or(Verdict::Allow),
            findings,
        }
    }
}

/// Whether it counts there: on a card only what carries a contact past it.
fn breaks(place: Place, finding: &Finding) -> bool {
    place != Place::Card
        || (finding.verdict == Verdict::Block && finding.category != Category::Solicit)
}
