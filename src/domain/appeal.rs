//! A merchant's objection to a violation with all that followed from it, or to one sanction.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    AppealName, Merchant, Micros, Money, Sanction, SanctionKind, SanctionName, ViolationName,
    card::etag, time::after,
};

/// What is objected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Subject {
    /// With every sanction that followed from it.
    Violation(ViolationName),
    /// Alone; the points stay.
    Sanction(SanctionName),
}

/// Where an appeal stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppealState {
    Pending,
    /// Pending, and late.
    Overdue,
    Upheld,
    Rejected,
}

impl AppealState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Overdue => "OVERDUE",
            Self::Upheld => "UPHELD",
            Self::Rejected => "REJECTED",
        }
    }
}

/// An appeal as it stood in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appeal {
    /// The store's number; 0 before it has one.
    pub no: i64,
    pub name: AppealName,
    pub subject: Subject,
    /// The statement and the addresses of the proof, sealed (`app/papers.rs`).
    pub papers: String,
    pub author: String,
    /// When it should be decided.
    pub due_time: Micros,
    pub outcome: Option<Outcome>,
    /// From 1, one more with each change.
    pub version: i64,
    pub create_time: Micros,
    pub update_time: Micros,
}

/// How an appeal was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub time: Micros,
    pub author: String,
    /// For the merchant to read.
    pub reason: String,
    /// Of one that was upheld; none where it was rejected.
    pub loss: Option<Loss>,
}

/// What was lost before an appeal was upheld.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Given back.
    pub points: u8,
    /// How long the points were missing.
    pub missing: Duration,
    pub effects: Vec<Effect>,
}

/// What one sanction did before it was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    pub sanction: SanctionName,
    pub kind: SanctionKind,
    /// How long it was in force.
    pub duration: Duration,
    /// To be paid back.
    pub amount: Option<Money>,
}

impl Effect {
    /// Of a sanction that was lifted, or ended by itself, by this moment. One that never began
    /// took nothing.
    pub fn until(sanction: &Sanction, at: Micros) -> Self {
        let lifted = sanction.lift.as_ref().map(|lift| lift.time);
        let momentary = sanction.kind.is_momentary();
        let own = match momentary {
            true => Some(sanction.start_time),
            false => sanction.end_time,
        };
        let end = [own, lifted].into_iter().flatten().min().unwrap_or(at);
        // What is over as it begins is lifted only before.
        let begun = sanction.start_time < end || momentary && lifted.is_none();
        Self {
            sanction: sanction.name.clone(),
            kind: sanction.kind,
            duration: span(sanction.start_time, end),
            amount: sanction.amount.filter(|_| begun),
        }
    }
}

/// From one moment to a later one; nothing when it is not later.
pub fn span(from: Micros, to: Micros) -> Duration {
    Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or_default())
}

impl Appeal {
    pub fn merchant(&self) -> &Merchant {
        self.name.merchant()
    }

    pub fn etag(&self) -> String {
        etag(self.no, self.version)
    }

    /// As its merchant may read it: not who decided.
    pub fn for_merchant(self) -> Self {
        let outcome = self.outcome.map(|outcome| Outcome {
            author: String::new(),
            ..outcome
        });
        Self { outcome, ..self }
    }

    pub fn state(&self, at: Micros) -> AppealState {
        match &self.outcome {
            Some(_) if self.upheld() => AppealState::Upheld,
            Some(_) => AppealState::Rejected,
            None if self.due_time <= at => AppealState::Overdue,
            None => AppealState::Pending,
        }
    }

    pub fn upheld(&self) -> bool {
        self.outcome.as_ref().is_some_and(|o| o.loss.is_some())
    }

    /// Whether, while it is there, nobody may object to this, which was there from `since` on: it
    /// objects to the same, or to the violation with all that has followed from it, and heard is
    /// what had followed when it was decided.
    pub fn bars(&self, subject: &Subject, since: Micros) -> bool {
        let heard = self.outcome.as_ref().is_none_or(|o| since < o.time);
        self.subject == *subject || heard && matches!(self.subject, Subject::Violation(_))
    }

    /// Whether it objects to this sanction, alone or with the violation that it follows from.
    pub fn covers(&self, sanction: &Sanction) -> bool {
        match &self.subject {
            Subject::Violation(name) => sanction.violation.as_ref() == Some(name),
            Subject::Sanction(name) => sanction.name == *name,
        }
    }

    /// The next version, decided so.
    pub fn decided(self, outcome: Outcome) -> Self {
        let update_time = after(self.update_time, outcome.time);
        Self {
            outcome: Some(Outcome {
                time: update_time,
                ..outcome
            }),
            version: self.version + 1,
            update_time,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sanction::Lift;
    use super::*;

    fn sanction(start: i64, end: Option<i64>, lifted: Option<i64>) -> Sanction {
        let merchant = Merchant::from_id("klook").unwrap();
        let lift = |time| Lift {
            time: Micros(time),
            author: String::new(),
            reason: String::new(),
            appeal: None,
        };
        Sanction {
            no: 1,
            name: SanctionName::new(merchant, "s").unwrap(),
            kind: SanctionKind::TrafficRestricted,
            item_ids: vec!["p".to_owned()],
            channels: Vec::new(),
            amount: Some(Money(5)),
            start_time: Micros(start),
            end_time: end.map(Micros),
            reason: String::new(),
            rule: String::new(),
            violation: None,
            papers: String::new(),
            author: String::new(),
            lift: lifted.map(lift),
            version: 1,
            create_time: Micros(0),
            update_time: Micros(0),
        }
    }

    #[test]
    fn an_effect_lasts_until_the_end_or_the_lift_whichever_came_first() {
        for (end, lifted, micros) in [
            (Some(7), None, 5),
            (Some(7), Some(4), 2),
            (None, Some(4), 2),
            (None, None, 8),
        ] {
            let effect = Effect::until(&sanction(2, end, lifted), Micros(10));
            assert_eq!(effect.duration, Duration::from_micros(micros));
            assert_eq!(effect.amount, Some(Money(5)));
        }
    }

    #[test]
    fn damages_last_no_time_and_are_paid_back_if_they_were_taken() {
        for (start, lifted, amount) in [(2, None, Some(Money(5))), (8, Some(4), None)] {
            let damages = Sanction {
                kind: SanctionKind::DamagesDeducted,
                ..sanction(start, None, lifted)
            };
            let effect = Effect::until(&damages, Micros(8));
            assert_eq!((effect.duration, effect.amount), (Duration::ZERO, amount));
        }
    }

    #[test]
    fn what_never_began_took_nothing() {
        let effect = Effect::until(&sanction(8, None, Some(4)), Micros(4));
        assert_eq!((effect.duration, effect.amount), (Duration::ZERO, None));
    }
}
