//! Users who tap links, write, and leave. All of it is told to the corp.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use super::{Console, Customer, Link, event::Event, world::World};
use crate::domain::Micros;

/// WeCom cuts a `customer_channel` here, in bytes, and says nothing.
const MAX_STATE: usize = 64;
const SCHEME: &str = "weixin://biz/ww/profile/";

/// What came of a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Added,
    /// The user is a contact of a member of the link already: nothing is told.
    Known,
    /// No adds are left: nothing is told.
    Exhausted,
    /// The link does not work.
    Unavailable,
    /// There is no such link.
    NoLink,
}

/// A member of a corp and a user who knows him.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Friends {
    pub corp_id: String,
    pub user_id: String,
    pub external_user_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tap {
    pub outcome: Outcome,
    /// Who knows whom now.
    pub friends: Option<Friends>,
}

/// By which link two came to know each other.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    link_id: String,
    state: String,
}

impl Tap {
    const fn nothing(outcome: Outcome) -> Self {
        Self {
            outcome,
            friends: None,
        }
    }
}

impl Console {
    /// A user opens a link, or the scheme that has it in it. `user` is any name; WeCom's id of
    /// the user is made of it.
    pub fn tap(&self, uri: &str, user: &str) -> Tap {
        let Some((url, state)) = address(uri) else {
            return Tap::nothing(Outcome::NoLink);
        };
        let (now, codes) = (self.now(), [self.code(), self.code()]);
        let (tap, events) = self.world().tap(&url, state, external(user), codes, now);
        if let Some(friends) = &tap.friends {
            self.send(&friends.corp_id, events);
        }
        tap
    }

    /// The user writes for the first time.
    pub fn chat(&self, friends: &Friends) {
        let now = self.now();
        let event = self.world().chat(friends, now);
        self.send(&friends.corp_id, event.into_iter().collect());
    }

    /// The user ends the contact.
    pub fn leave(&self, friends: &Friends) {
        self.part(friends, "del_follow_user");
    }

    /// The member ends it.
    pub fn drop_contact(&self, friends: &Friends) {
        self.part(friends, "del_external_contact");
    }

    fn part(&self, friends: &Friends, change_type: &'static str) {
        let event = friends.told(Event::contact(change_type, self.now()));
        let corp = self.world().part(friends);
        if corp.is_some() {
            self.send(&friends.corp_id, vec![event]);
        }
    }

    fn code(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.ambient.random::<24>())
    }
}

impl World {
    /// What comes of it, and what the corp is told.
    fn tap(
        &mut self,
        url: &str,
        state: String,
        external_user_id: String,
        codes: [String; 2],
        now: Micros,
    ) -> (Tap, Vec<Event>) {
        let nothing = |outcome| (Tap::nothing(outcome), Vec::new());
        let Some(link) = self.links.iter_mut().find(|l| l.url == url) else {
            return nothing(Outcome::NoLink);
        };
        let Some(corp) = self.corps.get_mut(&link.corp_id) else {
            return nothing(Outcome::NoLink);
        };
        if !link.available {
            return nothing(Outcome::Unavailable);
        }
        link.clicks += 1;
        let knows = |f: &&Friends| f.external_user_id == external_user_id && link.has(&f.user_id);
        if let Some(friends) = corp.friends.keys().find(knows) {
            let friends = Some(friends.clone());
            let outcome = Outcome::Known;
            return (Tap { outcome, friends }, Vec::new());
        }
        if !corp.take_one(now) {
            return nothing(Outcome::Exhausted);
        }
        let friends = link.add(external_user_id, &state, now);
        let link_id = link.link_id.clone();
        let origin = Origin { link_id, state };
        let mut events = told_of_add(&friends, &origin, link.skip_verify, codes, now);
        events.extend(corp.told_of_balance(now));
        corp.friends.insert(friends.clone(), origin);
        let friends = Some(friends);
        let outcome = Outcome::Added;
        (Tap { outcome, friends }, events)
    }

    fn chat(&mut self, friends: &Friends, now: Micros) -> Option<Event> {
        let origin = self.corps.get(&friends.corp_id)?.friends.get(friends)?;
        let origin = origin.clone();
        if let Some(link) = self.any_link(&origin.link_id) {
            let same = |c: &&mut Customer| c.external_userid == friends.external_user_id;
            link.customers
                .iter_mut()
                .filter(same)
                .for_each(|c| c.chat_status = 1);
        }
        let event = friends.told(Event::acquisition("customer_start_chat", now));
        // Older documents have the members' ids alone.
        if self.shape.start_chat_is_bare {
            return Some(event);
        }
        Some(
            event
                .with("LinkId", origin.link_id)
                .with("State", origin.state),
        )
    }

    fn part(&mut self, friends: &Friends) -> Option<Origin> {
        self.corps
            .get_mut(&friends.corp_id)?
            .friends
            .remove(friends)
    }

    pub(super) fn any_link(&mut self, link_id: &str) -> Option<&mut Link> {
        self.links.iter_mut().find(|l| l.link_id == link_id)
    }
}

impl Link {
    /// Whether it adds this member.
    fn has(&self, user_id: &str) -> bool {
        self.members().any(|member| member == user_id)
    }

    /// A department has one member here.
    fn members(&self) -> impl Iterator<Item = String> {
        let departments = self.departments.iter();
        let of_departments = departments.map(|id| format!("member-of-{id}"));
        self.users.iter().cloned().chain(of_departments)
    }

    /// The next member in turn gets to know the user.
    fn add(&mut self, external_user_id: String, state: &str, now: Micros) -> Friends {
        let members: Vec<_> = self.members().collect();
        // A link has one at least.
        let user_id = members[self.customers.len() % members.len()].clone();
        self.customers.push(Customer {
            external_userid: external_user_id.clone(),
            userid: user_id.clone(),
            chat_status: 0,
            state: state.to_owned(),
            time: now.seconds(),
        });
        Friends {
            corp_id: self.corp_id.clone(),
            user_id,
            external_user_id,
        }
    }
}

impl Friends {
    fn told(&self, event: Event) -> Event {
        event
            .with("UserID", &self.user_id)
            .with("ExternalUserID", &self.external_user_id)
    }
}

/// In the order in which they happen. Without `skip_verify` the member confirms at once.
fn told_of_add(
    friends: &Friends,
    origin: &Origin,
    skip_verify: bool,
    codes: [String; 2],
    now: Micros,
) -> Vec<Event> {
    let [half, full] = codes;
    let mut events = vec![
        Event::acquisition("friend_request", now)
            .with("LinkId", &origin.link_id)
            .with("State", &origin.state),
    ];
    let added = |change_type, code: String| {
        friends
            .told(Event::contact(change_type, now))
            .with("State", &origin.state)
            .with("WelcomeCode", code)
    };
    if skip_verify {
        events.push(added("add_half_external_contact", half));
    }
    events.push(added("add_external_contact", full));
    events
}

/// The link without its channel, and the channel as far as WeCom reads it.
fn address(uri: &str) -> Option<(String, String)> {
    let inner = match uri.strip_prefix(SCHEME) {
        Some(inner) => percent_decode_str(inner).decode_utf8().ok()?,
        None => uri.into(),
    };
    let mut url = Url::parse(&inner).ok()?;
    let channel = url.query_pairs().find(|(key, _)| key == "customer_channel");
    let mut state = channel.map(|(_, value)| value.into_owned());
    if let Some(state) = &mut state {
        state.truncate(state.floor_char_boundary(MAX_STATE));
    }
    url.set_query(None);
    Some((url.into(), state.unwrap_or_default()))
}

/// WeCom's id of a user.
fn external(user: &str) -> String {
    let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(user));
    format!("wm{}", &hash[..30])
}
