//! What viewers see: a fixed number of queries a call, then the gate, then a token for each item.

use std::collections::{BTreeSet, HashMap};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{App, Principal, Result, placements};
use crate::{
    domain::{
        Arm, Contact, ContactKind, Detail, Experiment, Lang, Merchant, Micros, Origin,
        PlacementName, Reason, Surface, TapToken,
        serving::{self, Answer, Candidate, Showing},
        token,
    },
    store::Shown,
};

/// Who looks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The platform's pseudonym.
    pub id: String,
    pub lang: Lang,
}

/// One button.
#[derive(Clone, Debug)]
pub struct Item {
    pub placement: PlacementName,
    pub kind: ContactKind,
    pub label: String,
    pub preview: String,
    pub tap_token: String,
    pub open_uri: String,
    pub display_name: String,
    pub headline: String,
    pub avatar_uri: String,
}

/// An item, or why there is none.
pub type Outcome = Result<Item, Reason>;

/// A chat menu.
#[derive(Clone, Debug)]
pub struct Menu {
    pub items: Vec<Item>,
    pub absence: Option<Reason>,
    pub valid_until: Micros,
    pub version: String,
    /// The version the client holds still holds; nothing else is said.
    pub not_modified: bool,
}

/// What all items of one call have in common.
struct Serving<'a> {
    app: &'a App,
    now: Micros,
    viewer: u64,
    lang: Lang,
    /// Those that run, of the merchants whose placements may be shown.
    experiments: HashMap<Merchant, Experiment>,
}

impl App {
    pub async fn chat_menu(
        &self,
        merchant: &Merchant,
        viewer: &Viewer,
        known_version: &str,
    ) -> Result<Menu> {
        let now = self.ambient.now();
        let shown = self.store.reads().menu(merchant).await?;
        let candidates = self.candidates(shown, now).await?;
        let serving = self.serving(viewer, &candidates, now).await?;
        let answer = serving.split(serving::menu(&candidates, now));
        let content = serving.content(&answer);
        if let Some(issued) = serving.still_good(known_version, content) {
            return Ok(Menu {
                items: Vec::new(),
                absence: None,
                valid_until: serving.valid_until(answer.edge).min(issued),
                version: known_version.to_owned(),
                not_modified: true,
            });
        }
        Ok(Menu {
            items: answer.items.iter().map(|item| serving.item(item)).collect(),
            absence: answer.absence,
            valid_until: serving.valid_until(answer.edge),
            version: version(content, token::issued(serving.now)),
            not_modified: false,
        })
    }

    /// The capsules of notes given by id, in that order, and until when they all hold. A
    /// caller limited to some merchants sees nothing of others.
    pub async fn note_capsules(
        &self,
        caller: &Principal,
        notes: &[String],
        viewer: &Viewer,
    ) -> Result<(Vec<Outcome>, Micros)> {
        let mut ids: Vec<_> = notes.iter().map(String::as_str).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut of_note: HashMap<String, Vec<Candidate>> = HashMap::new();
        let (now, reads) = (self.ambient.now(), self.store.reads());
        let shown = reads.capsules(&ids, caller.merchants.as_ref()).await?;
        let candidates = self.candidates(shown, now).await?;
        let serving = self.serving(viewer, &candidates, now).await?;
        for candidate in candidates {
            if let Surface::NoteCapsule { note } = &candidate.placement.surface {
                of_note.entry(note.clone()).or_default().push(candidate);
            }
        }
        let mut edge = None;
        let outcomes = notes
            .iter()
            .map(|note| {
                let candidates = of_note.get(note).map_or(&[][..], Vec::as_slice);
                let answer = serving.split(serving::answer(candidates, now));
                edge = [edge, answer.edge].into_iter().flatten().min();
                serving.outcome(&answer)
            })
            .collect();
        Ok((outcomes, serving.valid_until(edge)))
    }

    pub async fn card_message(
        &self,
        name: &PlacementName,
        viewer: &Viewer,
    ) -> Result<(Outcome, Micros)> {
        let now = self.ambient.now();
        let shown = self
            .store
            .reads()
            .shown(name)
            .await?
            .filter(|(placement, _)| matches!(placement.surface, Surface::CardMessage { .. }))
            .ok_or_else(|| placements::not_found(name))?;
        let candidates = self.candidates(vec![shown], now).await?;
        let serving = self.serving(viewer, &candidates, now).await?;
        let answer = serving.split(serving::answer(&candidates, now));
        Ok((serving.outcome(&answer), serving.valid_until(answer.edge)))
    }

    /// The placements with what is known of their merchants.
    pub(super) async fn candidates(
        &self,
        shown: Vec<Shown>,
        now: Micros,
    ) -> Result<Vec<Candidate>> {
        if shown.is_empty() {
            return Ok(Vec::new());
        }
        let merchants = shown.iter().map(|(placement, _)| placement.name.merchant());
        let reads = self.store.reads();
        let standings = reads
            .standings(merchants, &self.rules.calendar, now)
            .await?;
        let health = reads
            .link_health(shown.iter().filter_map(|(_, card)| card.as_ref()))
            .await?;
        let with = |(placement, card): Shown| {
            let standing = standings.get(placement.name.merchant())?.clone();
            Some(Candidate {
                placement,
                health: card.as_ref().and_then(|card| health.get(&card.no).cloned()),
                card,
                standing,
            })
        };
        Ok(shown.into_iter().filter_map(with).collect())
    }

    async fn serving(
        &self,
        viewer: &Viewer,
        candidates: &[Candidate],
        now: Micros,
    ) -> Result<Serving<'_>> {
        let merchants: BTreeSet<_> = candidates
            .iter()
            .map(|candidate| candidate.placement.name.merchant())
            .collect();
        let experiments = if merchants.is_empty() {
            HashMap::new()
        } else {
            let reads = self.store.reads();
            reads.running_experiments(merchants, now).await?
        };
        Ok(Serving {
            app: self,
            now,
            viewer: self.keys.viewer_hash(&viewer.id),
            lang: viewer.lang,
            experiments,
        })
    }
}

impl Serving<'_> {
    /// Where there is something to show, the viewer meets the merchant's experiment, on
    /// whichever side; who is held out is shown nothing.
    fn split<'a>(&self, mut answer: Answer<'a>) -> Answer<'a> {
        let Some(first) = answer.items.first() else {
            return answer;
        };
        let merchant = first.placement.name.merchant();
        if let Some(experiment) = self.experiments.get(merchant) {
            let arm = experiment.arm(self.viewer);
            let exposures = &self.app.exposures;
            exposures.note(experiment, self.viewer, arm, self.now);
            if arm == Arm::HeldOut {
                answer.items.clear();
                answer.absence = Some(Reason::HeldOut);
            }
        }
        answer
    }

    /// The number in a token: 0 where no experiment runs.
    fn arm(&self, merchant: &Merchant) -> u8 {
        let experiment = self.experiments.get(merchant);
        experiment.map_or(0, |e| e.arm(self.viewer) as u8)
    }

    fn outcome(&self, answer: &Answer<'_>) -> Outcome {
        let absent = answer.absence.unwrap_or(Reason::PlacementNotFound);
        answer
            .items
            .first()
            .map(|item| self.item(item))
            .ok_or(absent)
    }

    fn item(&self, showing: &Showing<'_>) -> Item {
        let Showing {
            placement,
            card,
            kind,
        } = showing;
        let contact = card.contact(*kind);
        let tap_token = self.app.keys.seal_token(&TapToken {
            placement_no: placement.no,
            kind: *kind,
            issued: token::issued(self.now),
            origin: Origin::Served {
                viewer: self.viewer,
                arm: self.arm(placement.name.merchant()),
            },
            nonce: self.app.ambient.random(),
        });
        Item {
            placement: placement.name.clone(),
            kind: *kind,
            label: label(contact, *kind, self.lang),
            preview: preview(contact, &card.display_name),
            open_uri: self.app.open_uri(&tap_token),
            tap_token,
            display_name: card.display_name.clone(),
            headline: card.headline.clone(),
            avatar_uri: card.avatar_uri.clone(),
        }
    }

    /// The next schedule edge, the token's end, or the longest an answer may hold.
    fn valid_until(&self, edge: Option<Micros>) -> Micros {
        let longest = self.now + self.app.rules.max_age;
        let token = Micros::from_seconds(self.now.seconds()) + self.app.rules.served_ttl;
        edge.map_or(longest, |edge| edge.min(longest)).min(token)
    }

    /// What makes one answer another, tokens aside.
    fn content(&self, answer: &Answer<'_>) -> [u8; 8] {
        let mut text = format!("{:?} {:?}", self.lang, answer.absence);
        for Showing {
            placement,
            card,
            kind,
        } in &answer.items
        {
            text += &format!(" {}/{}/{}", placement.etag(), card.etag(), kind.as_str());
        }
        let hash = self.app.keys.index_of("menu", text.as_bytes());
        [
            hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7],
        ]
    }

    /// Until when the tokens of a known version open, if its content is still this one and
    /// they have half their time left.
    fn still_good(&self, known: &str, content: [u8; 8]) -> Option<Micros> {
        let bytes: [u8; 12] = URL_SAFE_NO_PAD.decode(known).ok()?.try_into().ok()?;
        let (hash, issued) = bytes.split_at(8);
        let issued = Micros::from_seconds(u32::from_be_bytes(issued.try_into().ok()?).into());
        let ttl = self.app.rules.served_ttl;
        let fresh = issued <= self.now && self.now < issued + ttl / 2;
        (hash == content && fresh).then(|| issued + ttl)
    }
}

/// Eight bytes of content and four of issue time, as text.
fn version(content: [u8; 8], issued: u32) -> String {
    let mut bytes = content.to_vec();
    bytes.extend(issued.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn label(contact: Option<&Contact>, kind: ContactKind, lang: Lang) -> String {
    contact
        .map(|c| c.label.as_str())
        .filter(|label| !label.is_empty())
        .unwrap_or_else(|| lang.label(kind))
        .to_owned()
}

fn preview(contact: Option<&Contact>, display_name: &str) -> String {
    match contact.map(|c| &c.detail) {
        Some(Detail::Phone(sealed) | Detail::WechatId(sealed)) => sealed.mask.clone(),
        _ => display_name.to_owned(),
    }
}
