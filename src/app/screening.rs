//! Screening: what texts and pictures are, once it is known whose they are.

mod official;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::{sync::Semaphore, task::spawn_blocking};

use self::official::Owner;
use super::{App, Error, Principal, Result};
use crate::{
    domain::{Card, FieldViolation, Merchant, Reason, Refusal},
    screening::{
        Broken, Category, Finding, RuleFiles, Rulebook, Verdict,
        picture::{self, Code, Limits},
    },
};

/// The rule of a code that no other forbids.
const CODE: &str = "code-to-elsewhere";
/// Code points of an excerpt.
const MOST_EXCERPT: usize = 200;
/// Texts judged at once: each takes milliseconds.
const TEXTS: usize = 16;
/// Findings that are told of one item.
const MOST_FINDINGS: usize = 100;

/// The rules in force, and room for those who go by them.
#[derive(Debug)]
pub struct Screener {
    rulebook: ArcSwap<Rulebook>,
    files: RuleFiles,
    /// Pictures read at once: they take processors, and memory.
    pictures: Arc<Semaphore>,
    /// Texts judged at once. They are not kept waiting by pictures.
    texts: Arc<Semaphore>,
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
    pub fn new(files: RuleFiles, pictures: usize) -> Result<Self, Broken> {
        Ok(Self {
            rulebook: ArcSwap::from_pointee(files.read()?),
            files,
            pictures: Arc::new(Semaphore::new(pictures)),
            texts: Arc::new(Semaphore::new(TEXTS)),
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
        let changed = spawn_blocking(move || screener.files.changed()).await;
        let Some(rulebook) = changed.map_err(Error::bug)?.map_err(Error::bug)? else {
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
            let owner = Owner {
                caller,
                merchant: item.merchant,
                conversation: item.conversation,
            };
            let findings = match item.content {
                Content::Text(text) => self.screen_text(&rulebook, &owner, text).await?,
                Content::Image(bytes) => {
                    let decode = move || picture::codes(&bytes, Limits::default());
                    let codes = away(&self.screener.pictures, decode)
                        .await?
                        .map_err(|error| {
                            Refusal::field(format!("items[{index}].image"), error.to_string())
                        })?;
                    self.screen_codes(&rulebook, &owner, codes).await?
                }
            };
            results.push(Screened::of(item.place, findings));
        }
        Ok((results, rulebook.version().to_owned()))
    }

    /// The rules do not see official cards: those are judged by whose they are.
    async fn screen_text(
        &self,
        rulebook: &Arc<Rulebook>,
        owner: &Owner<'_>,
        text: String,
    ) -> Result<Vec<Finding>> {
        let (rest, mut findings) = self.without_official(owner, text).await?;
        let rulebook = Arc::clone(rulebook);
        findings.extend(away(&self.screener.texts, move || rulebook.text(&rest)).await?);
        Ok(findings)
    }

    /// Each code is a finding, unless it leads to the platform or to the owner's own card.
    async fn screen_codes(
        &self,
        rulebook: &Rulebook,
        owner: &Owner<'_>,
        codes: Vec<Code>,
    ) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for Code { content } in codes {
            let (rest, judged) = self.without_official(owner, content.clone()).await?;
            let elsewhere = match rest.trim() {
                "" => None,
                _ => elsewhere(rulebook, &content),
            };
            findings.extend(judged.into_iter().chain(elsewhere).map(|found| Finding {
                category: Category::QrCode,
                span: 0..0,
                excerpt: excerpt(&content),
                ..found
            }));
        }
        Ok(findings)
    }

    /// Refuses texts of a card that carry a contact past it, alone or together. Asking to be added
    /// is what cards are for.
    ///
    /// `old` is the card as it was: what stays is not judged again by newer rules.
    pub(super) fn screen_card(&self, card: &Card, old: Option<&Card>) -> Result<(), Refusal> {
        let rulebook = self.screener.rulebook();
        let known: Vec<_> = old.into_iter().flat_map(texts).collect();
        let news = texts(card).filter(|text| !known.contains(text));
        for (field, text) in news {
            let found = rulebook.text(text);
            if let Some(broken) = found.into_iter().find(|found| breaks(Place::Card, found)) {
                return Err(self.diverts(format!("card.{field}"), broken));
            }
        }
        let stands = old.map(|old| rulebook.text(&shown(old)));
        let stands = stands.unwrap_or_default();
        let stays = |found: &Finding| {
            let same = |s: &Finding| (&s.rule, &s.excerpt) == (&found.rule, &found.excerpt);
            stands.iter().any(same)
        };
        let mut together = rulebook.text(&shown(card)).into_iter();
        let breaks = |f: &Finding| breaks(Place::Card, f) && is_account(&f.excerpt) && !stays(f);
        match together.find(breaks) {
            Some(broken) => {
                let field = field_at(card, broken.span.start);
                Err(self.diverts(format!("card.{field}"), broken))
            }
            None => Ok(()),
        }
    }

    fn diverts(&self, field: String, broken: Finding) -> Refusal {
        let points = self.points(broken.category).to_string();
        let message = format!("{field} leads users off the platform; contacts go into `contacts`");
        let description = format!("breaks the rule {} of screening", broken.rule);
        Refusal {
            violations: vec![FieldViolation { field, description }],
            ..Refusal::new(Reason::ContentDiversion, message)
        }
        .with("rule", broken.rule)
        .with("points", points)
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

/// A card's own texts, by field, in the order in which they are shown.
fn texts(card: &Card) -> impl Iterator<Item = (&'static str, &str)> {
    let labels = card.contacts.iter();
    let labels = labels.map(|contact| ("contacts.label", contact.label.as_str()));
    let names = [
        ("display_name", card.display_name.as_str()),
        ("headline", card.headline.as_str()),
    ];
    names.into_iter().chain(labels)
}

/// A card's own texts as they are read: one after the other.
fn shown(card: &Card) -> String {
    let texts: Vec<_> = texts(card).map(|(_, text)| text).collect();
    texts.join(" ")
}

/// Whether a run with a digit is in it, long enough for an account, or the digits of a telephone
/// number. A name of letters alone is the merchant's: beside it most cards say 企业微信.
fn is_account(excerpt: &str) -> bool {
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let mut runs = excerpt.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    runs.any(|run| run.len() >= 5 && digits(run) > 0) || digits(excerpt) >= 10
}

/// The field in which a character of [`shown`] stands, or after which a blank does.
fn field_at(card: &Card, at: usize) -> &'static str {
    let mut next = 0;
    let mut fields = texts(card).skip_while(|(_, text)| {
        next += text.chars().count() + 1;
        next <= at
    });
    fields.next().map_or("display_name", |(field, _)| field)
}

/// Whether it counts there: on a card only what carries a contact past it.
fn breaks(place: Place, finding: &Finding) -> bool {
    place != Place::Card || (finding.verdict == Verdict::Block && finding.carries)
}

/// What the rules say of a code: nothing of one that leads to the platform.
fn elsewhere(rulebook: &Rulebook, content: &str) -> Option<Finding> {
    let found = rulebook.link(content).into_iter();
    let (verdict, rule) = match found.max_by_key(|finding| finding.verdict) {
        Some(worst) => (worst.verdict, worst.rule),
        None if rulebook.is_own(content) => return None,
        None => (Verdict::Review, CODE.to_owned()),
    };
    Some(Finding {
        category: Category::QrCode,
        rule,
        span: 0..0,
        excerpt: excerpt(content),
        verdict,
        carries: true,
    })
}

fn excerpt(text: &str) -> String {
    text.chars().take(MOST_EXCERPT).collect()
}

/// Work for a processor, away from the threads that answer calls, when there is a seat.
async fn away<T: Send + 'static>(
    seats: &Arc<Semaphore>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let seat = Arc::clone(seats)
        .acquire_owned()
        .await
        .map_err(Error::bug)?;
    let done = spawn_blocking(move || {
        let _seat = seat;
        work()
    });
    done.await.map_err(Error::bug)
}
