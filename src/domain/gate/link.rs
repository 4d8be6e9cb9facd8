//! Whether the WeCom link behind a card works, and what stands in for it.

use super::{
    super::{
        Card, ContactKind, LinkHealth, Micros, Reason, Refusal, Route, WecomTarget,
        acquisition::Cause,
    },
    Door, Facts, open_kinds,
};

/// The WeCom link leads somewhere, or something else is shown in its stead.
pub(super) fn link_works(
    door: Door,
    facts: &Facts<'_>,
    card: &Card,
    now: Micros,
) -> Result<(), Refusal> {
    let Some(cause) = facts.dead_end() else {
        return Ok(());
    };
    let needed = if facts.kinds.is_empty() {
        open_kinds(door, facts, now).is_empty()
    } else {
        facts.kinds.contains(&ContactKind::Wecom)
    };
    if !needed {
        return Ok(());
    }
    Err(link_unavailable(card, cause))
}

/// Where the card's WeCom contact leads, and why not to its link.
pub(super) fn led(facts: &Facts<'_>, card: &Card) -> Vec<(String, String)> {
    let Some((wecom, health)) = card.wecom().zip(facts.health) else {
        return Vec::new();
    };
    let leads_to = match wecom.route(health) {
        Ok(Route::Acquisition(_)) => "LINK",
        Ok(Route::Kf(_)) => "CHAT",
        Err(_) => "",
    };
    let mut told = vec![("leadsTo".to_owned(), leads_to.to_owned())];
    if let LinkHealth::Fails(cause) = health
        && !matches!(wecom.target, WecomTarget::Kf(_))
    {
        told.push(("cause".to_owned(), cause.as_str().to_owned()));
    }
    told
}

/// The refusal while a card's WeCom contact leads nowhere.
pub fn link_unavailable(card: &Card, cause: Cause) -> Refusal {
    Refusal::new(
        Reason::LinkUnavailable,
        "the WeCom link behind the card cannot be used now",
    )
    .about(&card.name)
    .with("cause", cause.as_str())
}
