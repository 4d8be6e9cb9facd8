//! Whether a merchant's ad spend opens cards: a pure function of ledger, terms and clock.
//!
//! For day D the window is the days before it. The total must be greater than the threshold.
//! Opening needs only that the known total is; closing waits until the last day is complete
//! for every source that reports, or has been over for `closing_wait`. Whether it was open is
//! read from the ledger's history: by what was known then. What follows from dates, lapse and
//! graces among it, is derived here and stored nowhere.

use std::time::Duration;

use super::{
    Micros, Money, SourceNames,
    day::{Day, Zone},
    ledger::{Change, Past, Sources, Spend},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When days begin, and how long closing waits for whose figures.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub zone: Zone,
    /// From the end of a day that is not complete.
    pub closing_wait: Duration,
    pub sources: SourceNames,
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

    /// The day from which on a lapse of today's interest is looked for.
    pub fn looks_from(&self, today: Day, calendar: &Calendar) -> Day {
        today - self.grace_days() - calendar.waiting_days() - 1
    }

    /// The first day whose figures a decision of `today` may read.
    pub fn reads_from(&self, today: Day, calendar: &Calendar) -> Day {
        self.looks_from(today, calendar) - self.window_days
    }

    /// The first day of the window of `day`.
    pub fn first(&self, day: Day) -> Day {
        day - self.window_days
    }
}

impl Calendar {
    /// Days before today whose verdict may still be open.
    fn waiting_days(&self) -> i32 {
        let days = self.closing_wait.as_secs().div_ceil(DAY.as_secs());
        i32::try_from(days).unwrap_or(i32::MAX / 4)
    }

    /// From when on a "no" for this day is not put off any longer.
    pub fn firm_from(&self, sources: &Sources, day: Day) -> Micros {
        let waited = self.zone.start(day) + self.closing_wait;
        let complete = sources.complete_from(day - 1);
        complete.map_or(waited, |complete| complete.min(waited))
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
        today: calendar.zone.day(now),
        changes: spend.latest_first(),
    };
    let Standing {
        state,
        closes_at,
        hides_at,
    } = asked.standing();
    let total = asked.total(asked.today);
    let tomorrow = calendar.zone.start(asked.today + 1);
    let edges = [Some(tomorrow), closes_at, hides_at];
    Decision {
        state,
        decision_day: asked.today,
        window: asked.window(),
        total,
        threshold: terms.threshold,
        shortfall: Money((terms.threshold.0 + 1 - total.0).max(0)),
        opens_at: asked.opens_at().filter(|_| state != State::Open),
        closes_at,
        hides_at,
        missing_days: asked.missing(),
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
    today: Day,
    /// The latest first.
    changes: Vec<Change>,
}

struct Standing {
    state: State,
    closes_at: Option<Micros>,
    hides_at: Option<Micros>,
}

impl Asked<'_> {
    fn total(&self, day: Day) -> Money {
        self.spend.between(self.terms.first(day), day)
    }

    fn qualified(&self, day: Day) -> bool {
        self.total(day) > self.terms.threshold
    }

    fn opens_at(&self) -> Option<Micros> {
        let tomorrow = self.today + 1;
        let pending = !self.qualified(self.today) && self.qualified(tomorrow);
        pending.then(|| self.calendar.zone.start(tomorrow))
    }

    fn standing(&self) -> Standing {
        let standing = |state, closes_at, hides_at| Standing {
            state,
            closes_at,
            hides_at,
        };
        if self.qualified(self.today) {
            return standing(State::Open, None, None);
        }
        let lapse = self.lapse();
        let after = |days: i32| lapse.map(|t| t + DAY * days.unsigned_abs());
        let coming = |t: Option<Micros>| t.filter(|t| *t > self.now);
        let closes_at = coming(after(self.terms.configuration_grace_days));
        if let Some(waits) = lapse.and_then(|lapse| self.waits_until(lapse)) {
            return standing(State::Open, Some(waits).max(closes_at), None);
        }
        let state = if closes_at.is_some() {
            State::Grace
        } else if self.opens_at().is_some() {
            State::Pending
        } else {
            State::Locked
        };
        standing(state, closes_at, coming(after(self.terms.grace_days())))
    }

    /// The first moment without a qualifying total since the last one with, each by what was
    /// known then; `None` where there was none, or it is too long ago to matter.
    fn lapse(&self) -> Option<Micros> {
        let zone = self.calendar.zone;
        let from = self.terms.looks_from(self.today, self.calendar);
        let changes = self.changes.iter().map(|change| change.time);
        let days = (from.0..=self.today.0).map(|day| zone.start(Day(day)));
        let mut steps: Vec<_> = changes
            .chain(days)
            .filter(|t| (zone.start(from)..=self.now).contains(t))
            .collect();
        steps.sort_unstable();
        steps.dedup();
        let mut past = Past::new(self.spend, &self.changes);
        let mut qualified_at = |at: Micros| {
            past.wind_back(at);
            let day = zone.day(at);
            past.between(self.terms.first(day), day) > self.terms.threshold
        };
        steps
            .windows(2)
            .rev()
            .find(|step| qualified_at(step[0]))
            .map(|step| step[1])
    }

    /// Until when a lapse is not held against the merchant, at the latest; `None` where one
    /// of the days since has been a firm "no".
    fn waits_until(&self, lapse: Micros) -> Option<Micros> {
        let first = self.calendar.zone.day(lapse);
        let mut until = None;
        for day in (first.0..=self.today.0).map(Day) {
            let firm = self.calendar.firm_from(self.sources, day);
            if firm <= self.now && self.said_no(day, firm.max(lapse)) {
                return None;
            }
            if firm > self.now && !self.qualified(day) {
                until = until.or(Some(firm));
            }
        }
        until
    }

    /// Whether, at any moment since, what was known spoke against the day.
    fn said_no(&self, day: Day, since: Micros) -> bool {
        let window = self.terms.first(day)..day;
        let later = self.changes.partition_point(|change| change.time > since);
        let mut total = self.total(day);
        for together in self.changes[..later].chunk_by(|a, b| a.time == b.time) {
            if total <= self.terms.threshold {
                return true;
            }
            let added = together
                .iter()
                .filter(|change| window.contains(&change.day));
            total.0 -= added.map(|change| change.delta.0).sum::<i64>();
        }
        total <= self.terms.threshold
    }

    /// The window's days with figures.
    fn window(&self) -> Vec<(Day, Money)> {
        let days = self
            .spend
            .days
            .range(self.terms.first(self.today)..self.today);
        days.filter_map(|(day, _)| Some((*day, self.spend.of_day(*day)?)))
            .collect()
    }

    fn missing(&self) -> Vec<Day> {
        (self.terms.first(self.today).0..self.today.0)
            .map(Day)
            .filter(|day| self.sources.lacking(*day, self.spend.days.get(day)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
