//! From all facts of one contact to its events: what says the same is one event, and what has
//! no State takes the credit of what has. The order in which facts were learned says nothing.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::{super::Micros, Credit, Event, EventKind, Fact, Source, Unattributed, Verdict};

/// An add without a State so close to one with a State is the same add.
const BESIDE: Duration = Duration::from_secs(24 * 60 * 60);

/// Facts of one event, by their places.
type Group = Vec<usize>;

/// The events that these facts give, each with the places of its facts.
pub(super) fn fold(facts: &[Fact]) -> Vec<(Event, Group)> {
    let mut groups = called_back(facts);
    for i in ordered(facts, Source::Pull) {
        match joined(facts, &groups, i) {
            Some(found) => groups[found].push(i),
            None => groups.push(vec![i]),
        }
    }
    let mut events: Vec<_> = groups
        .into_iter()
        .map(|group| (event(facts, &group), group))
        .collect();
    credit(facts, &mut events);
    events.sort_by_key(|(event, _)| (event.time, event.kind));
    events
}

fn ordered(facts: &[Fact], source: Source) -> Vec<usize> {
    let mut places: Vec<_> = (0..facts.len())
        .filter(|&i| facts[i].source == source)
        .collect();
    places.sort_by_key(|&i| (facts[i].time, facts[i].kind, state(&facts[i])));
    places
}

fn state(fact: &Fact) -> Option<Uuid> {
    fact.state.as_ref().map(|state| state.id)
}

/// What WeCom called back about, from one removal to the next.
fn called_back(facts: &[Fact]) -> Vec<Group> {
    let mut groups = Vec::new();
    let mut spell = Vec::new();
    // Where the last removal stands among the groups.
    let mut removal = None;
    for i in ordered(facts, Source::Callback) {
        if facts[i].kind != EventKind::Removed {
            spell.push(i);
            continue;
        }
        let added = spell.iter().any(|&i| facts[i].kind == EventKind::Added);
        match removal {
            // The other side ended it too.
            Some(place) if !added => Vec::push(&mut groups[place], i),
            _ => {
                groups.extend(contact(facts, &std::mem::take(&mut spell)));
                removal = Some(groups.len());
                groups.push(vec![i]);
            }
        }
    }
    groups.extend(contact(facts, &spell));
    groups
}

/// What happened between two removals.
fn contact(facts: &[Fact], spell: &[usize]) -> Vec<Group> {
    let of = |kind| {
        spell
            .iter()
            .copied()
            .filter(move |&i| facts[i].kind == kind)
    };
    let mut requests: BTreeMap<_, Group> = BTreeMap::new();
    for i in of(EventKind::AddRequested) {
        requests.entry(state(&facts[i])).or_default().push(i);
    }
    let openings: Group = of(EventKind::WecomOpening).collect();
    let mut groups: Vec<_> = requests.into_values().collect();
    groups.extend(adds(facts, of(EventKind::Added)));
    groups.extend(Some(openings).filter(|openings| !openings.is_empty()));
    groups
}

/// Half and full adds: one for each State, and one for what is beside none.
fn adds(facts: &[Fact], adds: impl Iterator<Item = usize>) -> Vec<Group> {
    let (named, unnamed): (Group, Group) = adds.partition(|&i| facts[i].state.is_some());
    let mut by_state: BTreeMap<_, Group> = BTreeMap::new();
    for &i in &named {
        by_state.entry(state(&facts[i])).or_default().push(i);
    }
    let mut rest = Group::new();
    for i in unnamed {
        let apart = |j: usize| facts[i].time.0.abs_diff(facts[j].time.0);
        let nearest = named
            .iter()
            .copied()
            .min_by_key(|&j| (apart(j), facts[j].time, state(&facts[j])));
        match nearest.filter(|&j| beside(apart(j))) {
            Some(j) => by_state.entry(state(&facts[j])).or_default().push(i),
            None => rest.push(i),
        }
    }
    let mut groups: Vec<_> = by_state.into_values().collect();
    groups.extend(Some(rest).filter(|rest| !rest.is_empty()));
    groups
}

fn beside(micros: u64) -> bool {
    u128::from(micros) <= BESIDE.as_micros()
}

/// The event that a pull found again: it says that there is one, not when it was.
fn joined(facts: &[Fact], groups: &[Group], found: usize) -> Option<usize> {
    let (kind, wanted) = (facts[found].kind, state(&facts[found]));
    let alike = |group: &Group| facts[group[0]].kind == kind;
    let named = |group: &Group| group.iter().any(|&i| facts[i].state.is_some());
    if kind != EventKind::Added || wanted.is_none() {
        return groups.iter().rposition(alike);
    }
    let same = |group: &Group| group.iter().any(|&i| state(&facts[i]) == wanted);
    let near = |group: &Group| {
        let apart = |&i: &usize| facts[i].time.0.abs_diff(facts[found].time.0);
        !named(group) && group.iter().map(apart).any(beside)
    };
    let last = |fits: &dyn Fn(&Group) -> bool| groups.iter().rposition(|g| alike(g) && fits(g));
    last(&same).or_else(|| last(&near))
}

/// What the facts of a group say by themselves.
fn event(facts: &[Fact], group: &Group) -> Event {
    let first = group
        .iter()
        .map(|&i| &facts[i])
        .min_by_key(|fact| (fact.source, fact.time));
    let (kind, time, source) = first.map_or((EventKind::Added, Micros::MIN, Source::Pull), |f| {
        (f.kind, f.time, f.source)
    });
    Event {
        kind,
        time,
        source,
        credit: own(facts, group).unwrap_or(Err(Unattributed::NoState)),
    }
}

/// The first credit that a State of theirs gives, else the first reason.
fn own(facts: &[Fact], group: &Group) -> Option<Verdict> {
    let mut said: Vec<_> = group.iter().map(|&i| &facts[i]).collect();
    said.sort_by_key(|fact| (fact.source, fact.time, state(fact)));
    let verdicts = || said.iter().filter_map(|f| Some(&f.state.as_ref()?.verdict));
    let credit = verdicts().find(|verdict| verdict.is_ok());
    credit.or_else(|| verdicts().next()).cloned()
}

/// Gives what has no State the credit of the rest, and a State that by now is too old the
/// credit that it once gave.
fn credit(facts: &[Fact], events: &mut [(Event, Group)]) {
    let named = |group: &Group| group.iter().any(|&i| facts[i].state.is_some());
    let mut said: Vec<_> = events
        .iter()
        .filter(|(_, group)| named(group))
        .map(|(event, _)| (event.time, event.kind, event.credit.clone()))
        .collect();
    // Only where there is no credit is there a reason.
    if said.iter().any(|(.., verdict)| verdict.is_ok()) {
        said.retain(|(.., verdict)| verdict.is_ok());
    }
    for (event, group) in events {
        if !named(group) {
            let nearest = said
                .iter()
                .min_by_key(|(time, kind, _)| nearness(event.time, *time, *kind));
            if let Some((.., verdict)) = nearest {
                event.credit = verdict.clone();
            }
        } else if event.credit.is_err()
            && let Some(credit) = once(facts, group)
        {
            event.credit = Ok(credit);
        }
    }
}

/// What a State of theirs credited first.
fn once(facts: &[Fact], group: &Group) -> Option<Credit> {
    let states: Vec<_> = group.iter().filter_map(|&i| state(&facts[i])).collect();
    facts
        .iter()
        .filter(|fact| state(fact).is_some_and(|id| states.contains(&id)))
        .filter_map(|fact| Some((fact, fact.state.as_ref()?.verdict.clone().ok()?)))
        .min_by_key(|(fact, _)| (fact.time, state(fact)))
        .map(|(_, credit)| credit)
}

/// The latest before it, else the first after; of those at once an add.
fn nearness(event: Micros, said: Micros, kind: EventKind) -> (bool, u64, bool) {
    let apart = event.0.abs_diff(said.0);
    (said > event, apart, kind != EventKind::Added)
}
