//! What viewers see: an answer from memory, the viewer's side of the experiment, and a token for
//! each item.

use std::{
    hint,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{App, Principal, Result, placements};
use crate::{
    domain::{Arm, Lang, Merchant, Micros, Origin, PlacementName, Reason, TapToken, token},
    keys::Token,
    serving::{Entry, Freshness, Kept, Snapshot},
    store,
};

/// Who looks.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// The platform's pseudonym.
    pub id: String,
    pub lang: Lang,
}

/// What one viewer is shown of an answer: its items, to a viewer on this side of an experiment
/// where one runs, or why there are none.
#[derive(Debug)]
pub enum Shown<S> {
    Items(S, Option<Arm>),
    Absent(Reason),
}

/// Until when an answer holds, and whether it may be older than a second.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    pub until: Micros,
    pub stale: bool,
}

/// What a viewer is served.
#[derive(Debug)]
pub struct Served<T> {
    pub what: T,
    /// One for each item, in their order; of a note's capsule, for the first alone.
    pub tokens: Vec<Token>,
    pub validity: Validity,
}

/// A chat menu.
#[derive(Debug)]
pub struct Menu {
    /// `None` where the version that the client holds still holds.
    pub shown: Option<Shown<Kept<Snapshot>>>,
    pub version: String,
}

/// What all of one call has in common.
struct Call<'a> {
    app: &'a App,
    now: Micros,
    viewer: u64,
    stale: bool,
}

/// Stands for the content of every answer to who is held out.
const HELD_OUT: [u8; 8] = *b"held out";

impl App {
    pub async fn chat_menu(
        &self,
        merchant: &Merchant,
        viewer: &Viewer,
        known_version: &str,
    ) -> Result<Served<Menu>> {
        let call = self.serve(viewer)?;
        let menu = self.serving.menu(merchant, call.now).await?;
        let mut validity = call.validity(menu.until);
        let mut content = menu.value.content;
        let shown = call.shown(menu, |menu| &menu.value);
        if matches!(shown, Shown::Absent(Reason::HeldOut)) {
            content = HELD_OUT;
        }
        content[0] ^= viewer.lang as u8;
        if let Some(issued) = call.still_good(known_version, content) {
            validity.until = validity.until.min(issued);
            let version = known_version.to_owned();
            let shown = None;
            return Ok(Served {
                what: Menu { shown, version },
                tokens: Vec::new(),
                validity,
            });
        }
        let version = version(content, token::issued(call.now));
        let tokens = match &shown {
            Shown::Items(menu, arm) => {
                let items = menu.value.entries.iter();
                call.tokens(items.map(|item| (item, *arm)))
            }
            Shown::Absent(_) => Vec::new(),
        };
        let shown = Some(shown);
        Ok(Served {
            what: Menu { shown, version },
            tokens,
            validity,
        })
    }

    /// The capsules of notes given by id, in that order, and until when they all hold. A
    /// caller limited to some merchants sees nothing of others.
    pub async fn note_capsules(
        &self,
        caller: &Principal,
        notes: &[&str],
        viewer: &Viewer,
    ) -> Result<Served<Vec<Shown<Kept<Snapshot>>>>> {
        let call = self.serve(viewer)?;
        let capsules = match &caller.merchants {
            None => self.serving.capsules(notes, call.now).await?,
            Some(merchants) => {
                let of = self.serving.capsules_of(notes, merchants, call.now);
                of.await?
            }
        };
        let edges = capsules.iter().flatten().filter_map(|known| known.until);
        let validity = call.validity(edges.min());
        let shown = capsules.into_iter().map(|capsule| match capsule {
            None => Shown::Absent(Reason::PlacementNotFound),
            Some(capsule) => call.shown(capsule, |capsule| &capsule.value),
        });
        let shown: Vec<_> = shown.collect();
        let items = shown.iter().filter_map(|shown| match shown {
            Shown::Items(capsule, arm) => Some((capsule.value.entries.first()?, *arm)),
            Shown::Absent(_) => None,
        });
        Ok(Served {
            tokens: call.tokens(items),
            what: shown,
            validity,
        })
    }

    pub async fn card_message(
        &self,
        name: &PlacementName,
        viewer: &Viewer,
    ) -> Result<Served<Shown<Snapshot>>> {
        let call = self.serve(viewer)?;
        let message = self.serving.message(name, call.now).await?;
        let snapshot = message.value.clone();
        let snapshot = snapshot.ok_or_else(|| placements::not_found(name))?;
        let shown = call.shown(snapshot, |snapshot| snapshot);
        let item = match &shown {
            Shown::Items(message, arm) => message.entries.first().map(|item| (item, *arm)),
            Shown::Absent(_) => None,
        };
        Ok(Served {
            tokens: call.tokens(item.into_iter()),
            what: shown,
            validity: call.validity(message.until),
        })
    }

    /// Begins a call, where what is in memory may be served at all.
    fn serve(&self, viewer: &Viewer) -> Result<Call<'_>> {
        let freshness = self.serving.feed.freshness();
        if freshness == Freshness::Lost {
            return Err(store::Error::unavailable("the feed was not seen for too long").into());
        }
        spin(self.rules.extra_work);
        Ok(Call {
            app: self,
            now: self.ambient.now(),
            viewer: self.keys.viewer_hash(&viewer.id),
            stale: freshness == Freshness::Stale,
        })
    }
}

impl Call<'_> {
    /// Where there is something to show, the viewer meets the merchant's experiment, on whichever
    /// side; who is held out is shown nothing.
    fn shown<S>(&self, kept: S, snapshot: impl Fn(&S) -> &Snapshot) -> Shown<S> {
        let of = snapshot(&kept);
        let arm = of.split.as_ref().map(|split| {
            let arm = split.arm(self.viewer);
            let exposures = &self.app.exposures;
            exposures.note(split.experiment_no, self.viewer, arm, self.now);
            arm
        });
        if arm == Some(Arm::HeldOut) {
            return Shown::Absent(Reason::HeldOut);
        }
        if of.entries.is_empty() {
            return Shown::Absent(of.absence.unwrap_or(Reason::PlacementNotFound));
        }
        Shown::Items(kept, arm)
    }

    /// A token for each item, which is shown to this side of an experiment.
    fn tokens<'a>(&self, items: impl Iterator<Item = (&'a Entry, Option<Arm>)>) -> Vec<Token> {
        let issued = token::issued(self.now);
        let mut nonce = u64::from_ne_bytes(self.app.ambient.random());
        let tokens = items.map(|(item, arm)| {
            nonce = nonce.wrapping_add(1);
            TapToken {
                placement_no: item.placement_no,
                kind: item.kind,
                issued,
                origin: Origin::Served {
                    viewer: self.viewer,
                    // The number in a token: 0 where no experiment runs.
                    arm: arm.map_or(0, |arm| arm as u8),
                },
                nonce: nonce.to_be_bytes(),
            }
        });
        self.app.keys.seal_tokens(tokens)
    }

    /// Until the next edge, the token's end, or the longest an answer may hold.
    fn validity(&self, edge: Option<Micros>) -> Validity {
        let longest = self.now + self.app.rules.max_age;
        let token = Micros::from_seconds(self.now.seconds()) + self.app.rules.served_ttl;
        Validity {
            until: edge.map_or(longest, |edge| edge.min(longest)).min(token),
            stale: self.stale,
        }
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

/// Work for a processor, as load tests want it.
fn spin(time: Duration) {
    if time.is_zero() {
        return;
    }
    let begun = Instant::now();
    while begun.elapsed() < time {
        hint::spin_loop();
    }
}

/// Eight bytes of content and four of issue time, as text.
fn version(content: [u8; 8], issued: u32) -> String {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&content);
    bytes[8..].copy_from_slice(&issued.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}
