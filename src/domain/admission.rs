//! The gate's first half: programs, and the ad spend they ask for. Any program that admits
//! suffices; a refusal is that of the program that came nearest.

#[cfg(test)]
mod tests;

use super::{
    ContactKind, Decision, Door, List, Membership, Merchant, Micros, Program, ProgramState, Reason,
    Refusal, Sanction, SurfaceKind, sanction::stopping,
};

/// One program from one merchant's side.
#[derive(Clone, Debug)]
pub struct Chance {
    pub program: Program,
    /// The list that the merchant is on.
    pub list: Option<List>,
    /// What its spend says on the program's terms.
    pub decision: Decision,
}

/// What is known of one merchant at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    pub merchant: Merchant,
    /// Every program, by id.
    pub chances: Vec<Chance>,
    /// Those that stop cards, now or later.
    pub sanctions: Vec<Sanction>,
}

impl Standing {
    /// The next moment at which a program or a sanction may answer otherwise by itself.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        let chances = self.chances.iter().flat_map(|chance| {
            [chance.program.next_edge(now), Some(chance.decision.edge)]
                .into_iter()
                .flatten()
        });
        let sanctions = self.sanctions.iter().filter_map(|s| s.next_edge(now));
        chances.chain(sanctions).min()
    }

    /// Whether no sanction stops the merchant's cards.
    pub fn unsanctioned(&self, now: Micros) -> Result<(), Refusal> {
        match stopping(&self.sanctions, now).and_then(Sanction::refusal) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// The chance that admits what is asked, or else comes nearest; of equals the first.
    pub fn nearest(&self, asked: &Asked) -> Option<&Chance> {
        let nearness = |chance: &&Chance| chance.nearness(&self.merchant, asked);
        self.chances.iter().rev().max_by_key(nearness)
    }

    /// Whether any program admits what is asked.
    pub fn admits(&self, asked: &Asked) -> Result<(), Refusal> {
        let Some(nearest) = self.nearest(asked) else {
            return Err(Refusal::new(Reason::NotEnrolled, "there is no program")
                .about(&self.merchant)
                .with("program", ""));
        };
        match nearest.refusals(&self.merchant, asked).flatten().next() {
            Some(refusal) => Err(refusal.about(&self.merchant)),
            None => Ok(()),
        }
    }
}

/// What a program is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub door: Door,
    /// `None` where any will do.
    pub surface: Option<SurfaceKind>,
    /// `None` where any will do.
    pub kind: Option<ContactKind>,
    pub now: Micros,
}

/// What is asked of one merchant, card and placement, in the order it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    Enrollment,
    Program,
    Surface,
    ContactKind,
    Spend,
    Sanctions,
    Card,
    Placement,
    Schedule,
    Contact,
    Link,
    HoldOut,
}

/// What a gate judged by: its name, and how it stood.
pub type Fact = (String, String);

/// One gate's word, and what it judged by.
#[derive(Clone, Debug)]
pub struct Finding {
    pub gate: Gate,
    pub refusal: Option<Refusal>,
    pub facts: Vec<Fact>,
}

impl Finding {
    pub fn new(gate: Gate, refusal: Option<Refusal>) -> Self {
        let facts = refusal.iter().flat_map(|refusal| refusal.metadata.iter());
        Self {
            gate,
            facts: facts
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
            refusal,
        }
    }

    /// Adds what the refusal does not say already.
    pub(super) fn with(mut self, facts: Vec<Fact>) -> Self {
        for (key, value) in facts {
            if !self.facts.iter().any(|(known, _)| *known == key) {
                self.facts.push((key, value));
            }
        }
        self
    }
}

/// The gates of one program, in order: which it is, its word, and what it judged by.
const GATES: [(Gate, Word, Told); 5] = [
    (Gate::Enrollment, Chance::enrollment, Chance::member),
    (Gate::Program, Chance::running, Chance::dates),
    (Gate::Surface, Chance::surface, Chance::surfaces),
    (Gate::ContactKind, Chance::kind, Chance::kinds),
    (Gate::Spend, Chance::spend, Chance::sums),
];

type Word = fn(&Chance, &Merchant, &Asked) -> Option<Refusal>;
type Told = fn(&Chance, &Merchant) -> Vec<Fact>;

impl Chance {
    /// Every gate of this program, in order, also those after a refusal.
    pub fn findings(&self, merchant: &Merchant, asked: &Asked) -> Vec<Finding> {
        let finding = |(gate, word, told): (Gate, Word, Told)| {
            Finding::new(gate, word(self, merchant, asked)).with(told(self, merchant))
        };
        GATES.into_iter().map(finding).collect()
    }

    /// Each gate's refusal, in order, asked one by one.
    fn refusals<'a>(
        &'a self,
        merchant: &'a Merchant,
        asked: &'a Asked,
    ) -> impl Iterator<Item = Option<Refusal>> + 'a {
        let word = move |(_, word, _): (Gate, Word, Told)| word(self, merchant, asked);
        GATES.into_iter().map(word)
    }

    /// First whether it may ever admit again: what has ended is over, and says so only where
    /// nothing else is left, whomever it let in. Then gates passed before the first refusal;
    /// then the smaller shortfall.
    fn nearness(&self, merchant: &Merchant, asked: &Asked) -> (bool, usize, i64) {
        let ended = self.program.ended_at(asked.now).is_some();
        let refusals = self.refusals(merchant, asked);
        let passed = refusals.take_while(Option::is_none).count();
        (!ended, passed, -self.decision.shortfall.0)
    }

    fn enrollment(&self, merchant: &Merchant, _: &Asked) -> Option<Refusal> {
        let message = match self.program.membership(merchant, self.list) {
            Membership::Allowed | Membership::InShare(_) => return None,
            Membership::Denied => "the merchant is on the program's deny list",
            Membership::BeyondShare(_) => {
                "the merchant is on no list of the program and beyond its share"
            }
        };
        Some(self.refuse(Reason::NotEnrolled, message))
    }

    fn member(&self, merchant: &Merchant) -> Vec<Fact> {
        let (list, bucket) = match self.program.membership(merchant, self.list) {
            Membership::Denied => ("DENY", None),
            Membership::Allowed => ("ALLOW", None),
            Membership::InShare(bucket) | Membership::BeyondShare(bucket) => ("", Some(bucket)),
        };
        let share = self.program.share_permille.to_string();
        let mut told = vec![
            ("list".to_owned(), list.to_owned()),
            ("sharePermille".to_owned(), share),
        ];
        told.extend(bucket.map(|bucket| ("bucket".to_owned(), bucket.to_string())));
        told
    }

    fn running(&self, _: &Merchant, asked: &Asked) -> Option<Refusal> {
        let program = &self.program;
        let over = program.ended_at(asked.now);
        if over.is_some() {
            return Some(program.over(over));
        }
        if program.state == ProgramState::Paused {
            return Some(self.refuse(Reason::ProgramPaused, "the program is paused"));
        }
        let start = program.start_time.filter(|start| *start > asked.now)?;
        let refusal = self.refuse(Reason::ProgramNotStarted, "the program has not begun");
        Some(refusal.with("startTime", start.to_string()))
    }

    fn dates(&self, _: &Merchant) -> Vec<Fact> {
        let time = |t: Option<Micros>| t.map(|t| t.to_string()).unwrap_or_default();
        vec![
            ("state".to_owned(), self.program.state.as_str().to_owned()),
            ("startTime".to_owned(), time(self.program.start_time)),
            ("endTime".to_owned(), time(self.program.end_time)),
        ]
    }

    fn surface(&self, _: &Merchant, asked: &Asked) -> Option<Refusal> {
        let closed = |surface: &SurfaceKind| !self.program.surfaces.contains(surface);
        let surface = asked.surface.filter(closed)?;
        let message = "the program does not open this surface";
        let refusal = self.refuse(Reason::SurfaceNotOpen, message);
        Some(refusal.with("surface", surface.as_str()))
    }

    fn surfaces(&self, _: &Merchant) -> Vec<Fact> {
        let open: Vec<_> = self.program.surfaces.iter().map(|s| s.as_str()).collect();
        vec![("open".to_owned(), open.join(" "))]
    }

    fn kind(&self, _: &Merchant, asked: &Asked) -> Option<Refusal> {
        let closed = |kind: &ContactKind| !self.program.kinds.contains(kind);
        let kind = asked.kind.filter(closed)?;
        let message = "the program does not open this contact kind";
        let refusal = self.refuse(Reason::KindNotOpen, message);
        Some(refusal.with("kind", kind.as_str()))
    }

    fn kinds(&self, _: &Merchant) -> Vec<Fact> {
        let open: Vec<_> = self.program.kinds.iter().map(|k| k.as_str()).collect();
        vec![("open".to_owned(), open.join(" "))]
    }

    fn spend(&self, _: &Merchant, asked: &Asked) -> Option<Refusal> {
        let decision = &self.decision;
        let open = match asked.door {
            Door::Configure => decision.configures(),
            Door::Serve | Door::Tap | Door::Reveal => decision.serves(),
        };
        if open {
            return None;
        }
        let refusal = match decision.opens_at {
            Some(opens_at) => self
                .refuse(
                    Reason::SpendPending,
                    "ad spend is over the threshold with today's figure; cards open at opensAt",
                )
                .with("opensAt", opens_at.to_string()),
            None => self.refuse(
                Reason::SpendBelowThreshold,
                "ad spend in the window is not over the threshold; spend the shortfall, and \
                 cards open the day after",
            ),
        };
        let refusal = refusal
            .with("threshold", decision.threshold.to_string())
            .with("total", decision.total.to_string())
            .with("shortfall", decision.shortfall.to_string());
        Some(refusal)
    }

    fn sums(&self, _: &Merchant) -> Vec<Fact> {
        let decision = &self.decision;
        let missing: Vec<_> = decision
            .missing_days
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut told = vec![
            ("state".to_owned(), decision.state.as_str().to_owned()),
            ("decisionDay".to_owned(), decision.decision_day.to_string()),
            ("total".to_owned(), decision.total.to_string()),
            ("threshold".to_owned(), decision.threshold.to_string()),
            ("shortfall".to_owned(), decision.shortfall.to_string()),
            ("missingDays".to_owned(), missing.join(" ")),
        ];
        for (key, time) in [
            ("opensAt", decision.opens_at),
            ("closesAt", decision.closes_at),
            ("hidesAt", decision.hides_at),
        ] {
            told.extend(time.map(|time| (key.to_owned(), time.to_string())));
        }
        let days = decision.window.iter();
        told.extend(days.map(|(day, amount)| (format!("spend.{day}"), amount.to_string())));
        told
    }

    fn refuse(&self, reason: Reason, message: &str) -> Refusal {
        Refusal::new(reason, message).with("program", self.program.name.to_string())
    }
}
