//! The gate's first half: programs, and the ad spend they ask for. Any program that admits
//! suffices; a refusal is that of the program that came nearest.

use super::{
    ContactKind, Decision, Door, List, Membership, Merchant, Micros, Program, ProgramState, Reason,
    Refusal, SurfaceKind, eligibility::State,
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
}

impl Standing {
    /// The next moment at which a program may answer otherwise by itself.
    pub fn next_edge(&self, now: Micros) -> Option<Micros> {
        let edges = self.chances.iter().flat_map(|chance| {
            [chance.program.next_edge(now), Some(chance.decision.edge)]
                .into_iter()
                .flatten()
        });
        edges.min()
    }

    /// The chance that admits what is asked, or else comes nearest.
    pub fn nearest(&self, asked: &Asked) -> Option<&Chance> {
        self.chances
            .iter()
            .max_by_key(|chance| chance.nearness(&self.merchant, asked))
    }

    /// Whether any program admits what is asked.
    pub fn admits(&self, asked: &Asked) -> Result<(), Refusal> {
        let Some(nearest) = self.nearest(asked) else {
            return Err(Refusal::new(Reason::NotEnrolled, "there is no program")
                .about(&self.merchant)
                .with("program", ""));
        };
        let mut findings = nearest.findings(&self.merchant, asked).into_iter();
        match findings.find_map(|finding| finding.refusal) {
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
    Card,
    Placement,
    Schedule,
    Contact,
}

/// One gate's word, and what it judged by.
#[derive(Clone, Debug)]
pub struct Finding {
    pub gate: Gate,
    pub refusal: Option<Refusal>,
    pub facts: Vec<(String, String)>,
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

    fn with(mut self, facts: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        for (key, value) in facts {
            if !self.facts.iter().any(|(known, _)| known == key) {
                self.facts.push((key.to_owned(), value));
            }
        }
        self
    }
}

impl Chance {
    /// Every gate of this program, in order, also those after a refusal.
    pub fn findings(&self, merchant: &Merchant, asked: &Asked) -> Vec<Finding> {
        vec![
            self.enrollment(merchant),
            self.running(asked.now),
            self.surface(asked.surface),
            self.kind(asked.kind),
            self.spend(asked.door),
        ]
    }

    /// Gates passed before the first refusal, and then the smaller shortfall.
    fn nearness(&self, merchant: &Merchant, asked: &Asked) -> (usize, i64) {
        let findings = self.findings(merchant, asked);
        let passed = findings
            .iter()
            .take_while(|finding| finding.refusal.is_none());
        (passed.count(), -self.decision.shortfall.0)
    }

    fn enrollment(&self, merchant: &Merchant) -> Finding {
        let membership = self.program.membership(merchant, self.list);
        let refusal = (!membership.is_in()).then(|| {
            let message = match membership {
                Membership::Denied => "the merchant is on the program's deny list",
                _ => "the merchant is on no list of the program and beyond its share",
            };
            self.refuse(Reason::NotEnrolled, message)
        });
        let (list, bucket) = match membership {
            Membership::Denied => ("DENY", None),
            Membership::Allowed => ("ALLOW", None),
            Membership::InShare(bucket) | Membership::BeyondShare(bucket) => ("", Some(bucket)),
        };
        Finding::new(Gate::Enrollment, refusal)
            .with([
                ("list", list.to_owned()),
                ("sharePermille", self.program.share_permille.to_string()),
            ])
            .with(bucket.map(|bucket| ("bucket", bucket.to_string())))
    }

    fn running(&self, now: Micros) -> Finding {
        let program = &self.program;
        let begun = program.start_time.is_none_or(|start| start <= now);
        let over = program.ended_at(now);
        let time = |t: Option<Micros>| t.map(|t| t.to_string()).unwrap_or_default();
        let refusal = if over.is_some() {
            Some(program.over(over))
        } else if program.state == ProgramState::Paused {
            Some(self.refuse(Reason::ProgramPaused, "the program is paused"))
        } else if begun {
            None
        } else {
            Some(
                self.refuse(Reason::ProgramNotStarted, "the program has not begun")
                    .with("startTime", time(program.start_time)),
            )
        };
        Finding::new(Gate::Program, refusal).with([
            ("state", program.state.as_str().to_owned()),
            ("startTime", time(program.start_time)),
            ("endTime", time(program.end_time)),
        ])
    }

    fn surface(&self, asked: Option<SurfaceKind>) -> Finding {
        let refusal = asked
            .filter(|surface| !self.program.surfaces.contains(surface))
            .map(|surface| {
                self.refuse(
                    Reason::SurfaceNotOpen,
                    "the program does not open this surface",
                )
                .with("surface", surface.as_str())
            });
        let open: Vec<_> = self.program.surfaces.iter().map(|s| s.as_str()).collect();
        Finding::new(Gate::Surface, refusal).with([("open", open.join(" "))])
    }

    fn kind(&self, asked: Option<ContactKind>) -> Finding {
        let refusal = asked
            .filter(|kind| !self.program.kinds.contains(kind))
            .map(|kind| {
                self.refuse(
                    Reason::KindNotOpen,
                    "the program does not open this contact kind",
                )
                .with("kind", kind.as_str())
            });
        let open: Vec<_> = self.program.kinds.iter().map(|k| k.as_str()).collect();
        Finding::new(Gate::ContactKind, refusal).with([("open", open.join(" "))])
    }

    fn spend(&self, door: Door) -> Finding {
        let decision = &self.decision;
        let open = match door {
            Door::Configure => decision.configures(),
            Door::Serve | Door::Tap | Door::Reveal => decision.serves(),
        };
        let refusal = (!open).then(|| self.below());
        let time = |key, t: Option<Micros>| t.map(|t| (key, t.to_string()));
        let missing: Vec<_> = decision
            .missing_days
            .iter()
            .map(ToString::to_string)
            .collect();
        let mut finding = Finding::new(Gate::Spend, refusal)
            .with([
                ("state", decision.state.as_str().to_owned()),
                ("decisionDay", decision.decision_day.to_string()),
                ("total", decision.total.to_string()),
                ("threshold", decision.threshold.to_string()),
                ("shortfall", decision.shortfall.to_string()),
                ("missingDays", missing.join(" ")),
            ])
            .with(time("opensAt", decision.opens_at))
            .with(time("closesAt", decision.closes_at))
            .with(time("hidesAt", decision.hides_at));
        for (day, amount) in &decision.window {
            finding
                .facts
                .push((format!("spend.{day}"), amount.to_string()));
        }
        finding
    }

    fn below(&self) -> Refusal {
        let decision = &self.decision;
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
        debug_assert_ne!(decision.state, State::Open);
        refusal
            .with("threshold", decision.threshold.to_string())
            .with("total", decision.total.to_string())
            .with("shortfall", decision.shortfall.to_string())
    }

    fn refuse(&self, reason: Reason, message: &str) -> Refusal {
        Refusal::new(reason, message).with("program", self.program.name.to_string())
    }
}
