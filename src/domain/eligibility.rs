//! Whether a merchant's ad spend opens cards: a pure function of ledger, terms and clock.
//!
//! For day D the window is the days before it. The total must be greater than the threshold.
//! Opening needs only that the known total is; closing waits until the last day is complete
//! for every source that reports, or has been over for `closing_wait`. What follows from
//! dates, lapse and graces among it, is derived here and stored nowhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Micros, Money,
    day::{Day, Zone},
};

/// When days begin, and how long closing waits for figures.
#[derive(Clone, Copy, Debug)]
pub struct Calendar {
    pub zone: Zone,
    /// From the end of a day that is not complete.
    pub closing_wait: Duration,
}

/// What a program asks of the spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub threshold: Money,
    pub window_days: i32,
    pub configuration_grace_days: i32,
    pub serving_grace_days: i32,
}

impl Terms {
    /// The longer of the two graces.
    fn grace_days(&self) -> i32 {
        self.configuration_grace_days.max(self.serving_grace_days)
    }

    /// The first day that a decision of `today` may read.
    pub fn reads_from(&self, today: Day, calendar: &Calendar) -> Day {
        today - self.window_days - self.grace_days() - calendar.waiting_days() - 1
    }
}

impl Calendar {
    /// Days before today whose verdict may still be open.
    fn waiting_days(&self) -> i32 {
        let days = self.closing_wait.as_secs().div_ceil(24 * 60 * 60);
        i32::try_from(days).unwrap_or(i32::MAX / 2)
    }
}

/// One merchant's figures as they are known: by day, then by source.
#[derive(Clone, Debug, Default)]
pub struct Spend(pub BTreeMap<Day, BTreeMap<String, Money>>);

impl Spend {
    /// All sources of one day together.
    pub fn of_day(&self, day: Day) -> Option<Money> {
        let sources = self.0.get(&day)?;
        Some(Money(sources.values().map(|amount| amount.0).sum()))
    }

    /// The days from `first` until before `end`.
    fn between(&self, first: Day, end: Day) -> Money {
        let days = self
            .0
            .range(first..end)
            .flat_map(|(_, sources)| sources.values());
        Money(days.map(|amount| amount.0).sum())
    }
}

/// What one source has reported.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its first day; before that nothing is missing.
    pub since: Day,
    /// Days it has said to be complete.
    pub complete: BTreeSet<Day>,
}

/// The sources that report, by name.
#[derive(Clone, Debug, Default)]
pub struct Sources(pub BTreeMap<String, Source>);

impl Sources {
    /// Whether every source has completed the day.
    pub fn complete(&self, day: Day) -> bool {
        self.0
            .values()
            .all(|source| day < source.since || source.complete.contains(&day))
    }

    /// Whether a source has yet to say something of the day, given what it has said.
    fn lacking(&self, day: Day, said: Option<&BTreeMap<String, Money>>) -> bool {
        self.0.iter().any(|(name, source)| {
            source.since <= day
                && !source.complete.contains(&day)
                && said.is_none_or(|said| !said.contains_key(name))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Locked,
    Pending,
    Open,
    Grace,
}

impl State {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Locked => "LOCKED",
            Self::Pending => "PENDING",
            Self::Open => "OPEN",
            Self::Grace => "GRACE",
        }
    }
}

/// What the spend says at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub state: State,
    pub decision_day: Day,
    /// The window's days that have figures.
    pub window: Vec<(Day, Money)>,
    pub total: Money,
    pub threshold: Money,
    /// The least that would have to be added; zero where nothing.
    pub shortfall: Money,
    /// The next day's start, where its known total is over the threshold and today's is not.
    pub opens_at: Option<Micros>,
    /// When configuring closes, where that is known.
    pub closes_at: Option<Micros>,
    /// Until when what is placed is shown after a lapse.
    pub hides_at: Option<Micros>,
    pub missing_days: Vec<Day>,
    /// The next moment at which the decision may change by itself.
    pub edge: Micros,
}

impl Decision {
    /// Whether cards may be configured.
    pub fn configures(&self) -> bool {
        matches!(self.state, State::Open | State::Grace)
    }

    /// Whether what is placed is shown.
    pub fn serves(&self) -> bool {
        self.state == State::Open || self.hides_at.is_some()
    }
}

/// Decides for the day of `now`.
pub fn decide(
    terms: &Terms,
    spend: &Spend,
    sources: &Sources,
    calendar: &Calendar,
    now: Micros,
) -> Decision {
    let asked = Asked {
        terms,
        spend,
        sources,
        calendar,
        now,
    };
    let zone = calendar.zone;
    let today = zone.day(now);
    let total = asked.total(today);
    let tomorrow = zone.start(today + 1);
    let carried = asked.total(today + 1) > terms.threshold;
    let opens_at = (total <= terms.threshold && carried).then_some(tomorrow);
    let (state, closes_at, hides_at) = asked.standing(today, opens_at.is_some());
    let edges = [Some(tomorrow), closes_at, hides_at];
    Decision {
        state,
        decision_day: today,
        window: asked.window(today),
        total,
        threshold: terms.threshold,
        shortfall: Money((terms.threshold.0 + 1 - total.0).max(0)),
        opens_at: opens_at.filter(|_| state != State::Open),
        closes_at,
        hides_at,
        missing_days: asked.missing(today),
        edge: edges
            .into_iter()
            .flatten()
            .filter(|edge| *edge > now)
            .min()
            .unwrap_or(tomorrow),
    }
}

struct Asked<'a> {
    terms: &'a Terms,
    spend: &'a Spend,
    sources: &'a Sources,
    calendar: &'a Calendar,
    now: Micros,
}

impl Asked<'_> {
    fn first(&self, day: Day) -> Day {
        day - self.terms.window_days
    }

    fn total(&self, day: Day) -> Money {
        self.spend.between(self.first(day), day)
    }

    fn qualified(&self, day: Day) -> bool {
        self.total(day) > self.terms.threshold
    }

    /// Whether a "no" for this day may not be put off any longer.
    fn firm(&self, day: Day) -> bool {
        self.sources.complete(day - 1)
            || self.now >= self.calendar.zone.start(day) + self.calendar.closing_wait
    }

    /// Whether the day is open: by its own total, or because nothing firm has closed it.
    fn open(&self, day: Day) -> bool {
        let mut day = day;
        while !self.qualified(day) {
            if self.firm(day) {
                return false;
            }
            day = day - 1;
        }
        true
    }

    /// The state, and when configuring and serving end, where that is known.
    fn standing(&self, today: Day, pending: bool) -> (State, Option<Micros>, Option<Micros>) {
        let zone = self.calendar.zone;
        if self.qualified(today) {
            return (State::Open, None, None);
        }
        let lapse = self.lapse(today);
        let after = |days: i32| lapse.map(|lapse| zone.start(lapse + days));
        let grace_end = after(self.terms.configuration_grace_days);
        if self.open(today) {
            let waited = lapse.map(|lapse| zone.start(lapse) + self.calendar.closing_wait);
            return (State::Open, waited.max(grace_end), None);
        }
        let closes_at = grace_end.filter(|end| *end > self.now);
        let hides_at = after(self.terms.grace_days()).filter(|end| *end > self.now);
        let state = match (closes_at, pending) {
            (Some(_), _) => State::Grace,
            (None, true) => State::Pending,
            (None, false) => State::Locked,
        };
        (state, closes_at, hides_at)
    }

    /// The first day without a qualifying total since the last one with; `None` where that
    /// was before any grace.
    fn lapse(&self, today: Day) -> Option<Day> {
        let back = self.terms.grace_days() + self.calendar.waiting_days();
        (0..=back)
            .map(|days| today - days)
            .find(|day| self.qualified(*day - 1))
    }

    fn window(&self, today: Day) -> Vec<(Day, Money)> {
        let days = self.spend.0.range(self.first(today)..today);
        days.filter_map(|(day, _)| Some((*day, self.spend.of_day(*day)?)))
            .collect()
    }

    fn missing(&self, today: Day) -> Vec<Day> {
        (self.first(today).0..today.0)
            .map(Day)
            .filter(|day| self.sources.lacking(*day, self.spend.0.get(day)))
            .collect()
    }
}
