//! The rule told forward, moment by moment, over a plain list of what was said.

use std::collections::{BTreeMap, BTreeSet};

use mingpian::domain::{
    Calendar, Day, Micros, Money,
    eligibility::{State, Terms},
};

#[derive(Clone, Debug)]
pub struct Said {
    pub at: Micros,
    pub source: &'static str,
    pub day: Day,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Figure(&'static str, Money),
    Complete,
}

#[derive(Debug, PartialEq)]
pub struct Judged {
    pub state: State,
    pub total: Money,
    pub opens_at: Option<Micros>,
    pub hides_at: Option<Micros>,
    pub missing: Vec<Day>,
}

pub struct Model<'a> {
    pub said: &'a [Said],
    pub terms: Terms,
    pub calendar: Calendar,
}

const DAY: i64 = 86_400_000_000;

impl Model<'_> {
    fn figures(&self, merchant: &str, at: Micros) -> BTreeMap<(Day, &str), i64> {
        let mut figures = BTreeMap::new();
        for said in self.said.iter().filter(|said| said.at <= at) {
            if let What::Figure(of, amount) = said.what
                && of == merchant
            {
                figures.insert((said.day, said.source), amount.0);
            }
        }
        figures
    }

    pub fn total(&self, merchant: &str, day: Day, at: Micros) -> i64 {
        let figures = self.figures(merchant, at).into_iter();
        let window = day - self.terms.window_days..day;
        let within = figures.filter(|((on, _), _)| window.contains(on));
        within.map(|(_, amount)| amount).sum()
    }

    fn sources(&self, day: Day, at: Micros) -> BTreeSet<&'static str> {
        let heard = |said: &&Said| said.at <= at && said.day <= day;
        self.said.iter().filter(heard).map(|s| s.source).collect()
    }

    fn completed(&self, source: &str, day: Day, at: Micros) -> bool {
        self.said.iter().any(|said| {
            said.at <= at
                && said.source == source
                && said.day == day
                && matches!(said.what, What::Complete)
        })
    }

    /// Whether all had completed it, then or at some time before.
    fn complete(&self, day: Day, at: Micros) -> bool {
        let times = self.said.iter().map(|said| said.at).filter(|t| *t <= at);
        times.into_iter().any(|t| {
            let sources = self.sources(day, t);
            !sources.is_empty() && sources.iter().all(|s| self.completed(s, day, t))
        })
    }

    fn moments(&self, now: Micros) -> BTreeSet<Micros> {
        let zone = self.calendar.zone;
        let mut moments: BTreeSet<_> = self.said.iter().map(|said| said.at).collect();
        let first = moments.first().map_or(zone.day(now), |t| zone.day(*t));
        for day in (first.0..=zone.day(now).0).map(Day) {
            moments.insert(zone.start(day));
            moments.insert(zone.start(day) + self.calendar.closing_wait);
        }
        moments.insert(now);
        moments.retain(|t| *t <= now);
        moments
    }

    pub fn judge(&self, merchant: &str, now: Micros) -> Judged {
        let zone = self.calendar.zone;
        let threshold = self.terms.threshold.0;
        let (mut open, mut lapse) = (false, None::<Micros>);
        for at in self.moments(now) {
            let today = zone.day(at);
            if self.total(merchant, today, at) > threshold {
                (open, lapse) = (true, None);
                continue;
            }
            if !open {
                continue;
            }
            let since = *lapse.get_or_insert(at);
            let mut days = (zone.day(since).0..=today.0).map(Day);
            let closed = days.any(|day| {
                let waited = at >= zone.start(day) + self.calendar.closing_wait;
                self.total(merchant, day, at) <= threshold && (waited || self.complete(day - 1, at))
            });
            open = !closed;
        }
        let today = zone.day(now);
        let grace = |days: i32| {
            let end = Micros(lapse?.0 + i64::from(days) * DAY);
            (!open && end > now).then_some(end)
        };
        let total = self.total(merchant, today, now);
        let carried = total <= threshold && self.total(merchant, today + 1, now) > threshold;
        let configuration = self.terms.configuration_grace_days;
        let state = match (open, grace(configuration)) {
            (true, _) => State::Open,
            (false, Some(_)) => State::Grace,
            (false, None) if carried => State::Pending,
            (false, None) => State::Locked,
        };
        Judged {
            state,
            total: Money(total),
            opens_at: (carried && !open).then(|| zone.start(today + 1)),
            hides_at: grace(configuration.max(self.terms.serving_grace_days)),
            missing: self.missing(merchant, today, now),
        }
    }

    fn missing(&self, merchant: &str, today: Day, now: Micros) -> Vec<Day> {
        let figures = self.figures(merchant, now);
        let days = (today - self.terms.window_days).0..today.0;
        let lacking = |day: &Day| {
            self.sources(*day, now).into_iter().any(|source| {
                !figures.contains_key(&(*day, source)) && !self.completed(source, *day, now)
            })
        };
        days.map(Day).filter(lacking).collect()
    }
}
