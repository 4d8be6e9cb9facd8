//! Writes what was learned of contacts in one transaction.

use std::collections::{BTreeMap, HashMap};

use super::{App, Error, Result, Tally, count};
use crate::{
    app::events::{Touches, note},
    domain::{
        Card, ContactEvent, ContactKey, Corp, CorpName, Link, LinkState, Micros, Notice, Origin,
        Reason, TapToken, Telling, Unattributed,
        contact_event::{
            Credit, Event, EventKind, Fact, Known, Place, Source, State, Tapped, Verdict, judge,
        },
        telling::Pseudonyms,
    },
    store::{Learned, Shown, Tx},
    wecom::Customer,
};

/// Gathers facts, and with [`Self::finish`] makes events of them.
pub(super) struct Recorder<'a> {
    app: &'a App,
    tx: &'a Tx,
    now: Micros,
    corps: HashMap<i64, Corp>,
    shown: HashMap<i64, Option<Shown>>,
    links: HashMap<i64, Option<Link>>,
    facts: BTreeMap<ContactKey, (i64, Vec<Fact>)>,
    learned: Vec<Learned>,
    /// Whose funnels change.
    touches: Touches,
    /// Links by which somebody came, by corp, and when they last did.
    works: BTreeMap<(i64, String), Micros>,
}

impl<'a> Recorder<'a> {
    pub fn new(app: &'a App, tx: &'a Tx, now: Micros) -> Self {
        Self {
            app,
            tx,
            now,
            corps: HashMap::new(),
            shown: HashMap::new(),
            links: HashMap::new(),
            facts: BTreeMap::new(),
            learned: Vec::new(),
            touches: Touches::default(),
            works: BTreeMap::new(),
        }
    }

    /// What WeCom called back about.
    pub async fn called_back(&mut self, corp_no: i64, notice: &Notice) -> Result<()> {
        let corp = self.corp(corp_no).await?;
        self.app
            .apply_notice(self.tx, &corp, notice, self.now)
            .await?;
        let Some(kind) = EventKind::of(notice.kind) else {
            return Ok(());
        };
        if !notice.link_id.is_empty() && matches!(kind, EventKind::AddRequested | EventKind::Added)
        {
            let last = self.works.entry((corp_no, notice.link_id.clone()));
            let last = last.or_insert(notice.event_time);
            *last = (*last).max(notice.event_time);
        }
        let fact = Fact {
            kind,
            time: notice.event_time,
            source: Source::Callback,
            state: self
                .state(&corp.name, &notice.state, notice.event_time)
                .await?,
        };
        if notice.names_contact() {
            let (user, external) = (&notice.user_id, &notice.external_user_id);
            let key = self.app.contact_key(corp_no, user, external);
            self.learn(corp_no, key, fact);
        } else if kind != EventKind::Removed {
            self.learn_of_nobody(corp_no, fact);
        }
        Ok(())
    }

    /// Whom a link's listing has and no callback told of.
    pub async fn pulled(
        &mut self,
        corp: &Corp,
        key: ContactKey,
        customer: &Customer,
    ) -> Result<()> {
        let state = self.state(&corp.name, &customer.state, self.now).await?;
        let fact = |kind| Fact {
            kind,
            time: self.now,
            source: Source::Pull,
            state: state.clone(),
        };
        let added = fact(EventKind::Added);
        let opened = (customer.chatted == Some(true)).then(|| fact(EventKind::WecomOpening));
        for fact in [Some(added), opened].into_iter().flatten() {
            self.learn(corp.no, key, fact);
        }
        Ok(())
    }

    /// Writes what changed; what is new, counted.
    pub async fn finish(mut self) -> Result<Tally> {
        let keys: Vec<_> = self.facts.keys().copied().collect();
        let mut histories = self.tx.contact_histories(keys).await?;
        let mut saved = BTreeMap::new();
        let (mut changed, mut told) = (Vec::new(), Vec::new());
        for (key, (corp_no, facts)) in std::mem::take(&mut self.facts) {
            let mut history = histories.remove(&key).unwrap_or_default();
            let before = history.events();
            let changes = history.learn(facts, || self.app.ambient.uuid());
            if history.is_full() {
                tracing::warn!("a contact has more events than are kept");
            }
            let Some(changes) = changes else { continue };
            let others = changes.changed.iter().map(|(id, _)| id);
            for id in changes.gone.iter().chain(others) {
                if let Some(event) = before.get(id) {
                    self.touch(event);
                }
            }
            for (_, event) in changes.added.iter().chain(&changes.changed) {
                self.touch(event);
            }
            for id in &changes.gone {
                let corp = self.corp(corp_no).await?.name;
                told.push(Telling::withdrawn(&corp, *id, self.now));
            }
            if !changes.gone.is_empty() {
                self.tx.remove_contact_events(&changes.gone).await?;
            }
            for (id, event) in changes.changed {
                self.tx.change_contact_event(id, &event).await?;
                changed.push(Learned {
                    id,
                    corp_no,
                    contact: Some(key),
                    event,
                });
            }
            let learned = changes.added.into_iter().map(|(id, event)| Learned {
                id,
                corp_no,
                contact: Some(key),
                event,
            });
            self.learned.extend(learned);
            saved.insert(key, history);
        }
        for ((corp_no, link_id), at) in std::mem::take(&mut self.works) {
            let corp = self.corp(corp_no).await?;
            let works = LinkState::Active;
            self.app
                .hear_of_link(self.tx, &corp, &link_id, works, at)
                .await?;
        }
        self.tx.save_contact_histories(&saved).await?;
        self.tx
            .insert_contact_events(&self.learned, self.now)
            .await?;
        std::mem::take(&mut self.touches)
            .queue(self.tx, self.now)
            .await?;
        self.tell(changed, told).await?;
        let mut tally = Tally::new();
        for learned in &self.learned {
            count(&mut tally, &learned.event);
        }
        Ok(tally)
    }

    /// Tells outward how events that changed, and new ones, stand now; after what else there is
    /// to tell.
    async fn tell(&mut self, changed: Vec<Learned>, mut told: Vec<Telling>) -> Result<()> {
        if !self.tx.tells() {
            return Ok(());
        }
        for learned in changed.into_iter().chain(self.learned.clone()) {
            let (mut place, mut who) = (None, Pseudonyms::default());
            if let Ok(credit) = &learned.event.credit {
                place = self.place(credit).await?;
                who = self.pseudonyms(credit, learned.contact.as_ref());
            }
            let event = ContactEvent {
                no: 0,
                id: learned.id,
                corp: self.corp(learned.corp_no).await?.name,
                contact: learned.contact,
                event: learned.event,
                place,
            };
            told.push(Telling::contact(&event, who, self.now));
        }
        Ok(self.tx.tell(told).await?)
    }

    /// Where somebody tapped.
    async fn place(&mut self, credit: &Credit) -> Result<Option<Place>> {
        let link = match credit.tapped {
            Tapped::Item { .. } => None,
            Tapped::Link { no } => self.link(no).await?,
        };
        let shown = self.shown(credit.placement_no).await?;
        Ok(shown.map(|(placement, _)| Place {
            placement: placement.name.clone(),
            note: Some(note(placement)).filter(|note| !note.is_empty()),
            link: link.map(|link| (link.name, link.channel)),
        }))
    }

    /// Who it was, as the merchant is told.
    fn pseudonyms(&self, credit: &Credit, contact: Option<&ContactKey>) -> Pseudonyms {
        let (keys, merchant) = (&self.app.keys, credit.merchant.id());
        let viewer = match credit.tapped {
            Tapped::Item { viewer, .. } => Some(keys.viewer_of(merchant, viewer)),
            Tapped::Link { .. } => None,
        };
        let contact = contact.map(|key| u128::from_be_bytes(keys.contact_of(merchant, key)));
        Pseudonyms { viewer, contact }
    }

    /// The funnel of the viewer whom an event is credited to, or was, changes.
    fn touch(&mut self, event: &Event) {
        if let Ok(credit) = &event.credit
            && let Tapped::Item { viewer, .. } = credit.tapped
        {
            self.touches.add(&credit.merchant, viewer, event.time);
        }
    }

    fn learn(&mut self, corp_no: i64, key: ContactKey, fact: Fact) {
        let (_, facts) = self.facts.entry(key).or_insert((corp_no, Vec::new()));
        facts.push(fact);
    }

    /// A request to add names no user: it stands for itself.
    fn learn_of_nobody(&mut self, corp_no: i64, fact: Fact) {
        let verdict = fact.state.map(|state| state.verdict);
        let event = Event {
            kind: fact.kind,
            time: fact.time,
            source: fact.source,
            credit: verdict.unwrap_or(Err(Unattributed::NoState)),
        };
        self.touch(&event);
        self.learned.push(Learned {
            id: self.app.ambient.uuid(),
            corp_no,
            contact: None,
            event,
        });
    }

    async fn state(&mut self, corp: &CorpName, state: &str, at: Micros) -> Result<Option<State>> {
        if state.is_empty() {
            return Ok(None);
        }
        Ok(Some(State {
            id: self.app.keys.tap_id(state),
            verdict: self.verdict(corp, state, at).await?,
        }))
    }

    async fn verdict(&mut self, corp: &CorpName, state: &str, at: Micros) -> Result<Verdict> {
        let token = match self.app.keys.open_token(state) {
            Ok(token) => token,
            Err(refusal) if refusal.reason == Reason::TokenForged => {
                return Ok(Err(Unattributed::StateForged));
            }
            Err(_) => return Ok(Err(Unattributed::StateMalformed)),
        };
        let shown = self.shown(token.placement_no).await?;
        let known = Known {
            merchant: shown.map(|(placement, _)| placement.name.merchant().clone()),
            link: match token.origin {
                Origin::Served { .. } => None,
                Origin::Link { no } => self.link(no).await?,
            },
            names_corp: self.names_corp(&token, corp, at).await?,
        };
        let tap = self.app.keys.tap_id(state);
        Ok(judge(&token, tap, known, at, self.app.rules.attribution))
    }

    /// Whether the card that was tapped named the corp, when the token was made or when the
    /// event happened. A published link's card may since have come to another.
    async fn names_corp(&mut self, token: &TapToken, corp: &CorpName, at: Micros) -> Result<bool> {
        let issued = matches!(token.origin, Origin::Served { .. }).then(|| token.issue_time());
        for time in [issued, Some(at)].into_iter().flatten() {
            // Both times are whole seconds: what came within counts.
            let time = Micros(time.0.saturating_add(999_999));
            let card = self.card(token.placement_no, time).await?;
            let wecom = card.as_ref().and_then(Card::wecom);
            if wecom.is_some_and(|wecom| wecom.corp.as_ref() == Some(corp)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The placement's card as it stood then.
    async fn card(&mut self, placement_no: i64, at: Micros) -> Result<Option<Card>> {
        match self.shown(placement_no).await? {
            None => return Ok(None),
            // It still stands so.
            Some((placement, Some(card)))
                if placement.update_time <= at && card.update_time <= at =>
            {
                return Ok(Some(card.clone()));
            }
            Some(_) => {}
        }
        let stood = self.tx.shown_at(placement_no, at).await?;
        Ok(stood.map(|(_, card)| card))
    }

    async fn shown(&mut self, no: i64) -> Result<Option<&Shown>> {
        if !self.shown.contains_key(&no) {
            let shown = self.tx.shown_by_no(no).await?;
            self.shown.insert(no, shown);
        }
        Ok(self.shown.get(&no).and_then(Option::as_ref))
    }

    async fn link(&mut self, no: i64) -> Result<Option<Link>> {
        if !self.links.contains_key(&no) {
            let link = self.tx.link_by_no(no).await?;
            self.links.insert(no, link);
        }
        Ok(self.links.get(&no).cloned().flatten())
    }

    async fn corp(&mut self, no: i64) -> Result<Corp> {
        if let Some(corp) = self.corps.get(&no) {
            return Ok(corp.clone());
        }
        let corp = self.tx.corp_by_no(no).await?;
        let corp = corp.ok_or_else(|| Error::bug("a callback of no corp"))?;
        self.corps.insert(no, corp.clone());
        Ok(corp)
    }
}

impl App {
    /// A contact as it is kept: nothing of it can be read back without the key.
    pub(super) fn contact_key(&self, corp_no: i64, user: &str, external: &str) -> ContactKey {
        // Neither id has a bar in it at WeCom; lengths keep any two apart.
        let contact = format!("{corp_no}|{}|{user}|{external}", user.len());
        let hash = self.keys.index_of("contact", contact.as_bytes());
        let mut key = ContactKey::default();
        key.copy_from_slice(&hash[..16]);
        key
    }
}
