//! The conduct table: what each broken rule costs, and the ladder of sanctions that a balance
//! leads to. Data, with a default in `conduct/default.toml`; a broken table is refused whole.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use serde::Deserialize;

use super::{SanctionKind, Violation, credit::INITIAL, is_id, sanction::Channel};

const BUILT_IN: &str = include_str!("conduct/default.toml");
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest a sanction of the ladder lasts, or blocks products: ten years.
const MOST_DAYS: u32 = 3653;

/// The whole table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conduct {
    /// Named in answers and logs.
    pub version: String,
    pub rules: Vec<Rule>,
    /// By falling balance.
    pub ladder: Vec<Step>,
}

/// What may be broken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// `[a-z0-9-]`; screening's categories have theirs, such as `wechat-id`.
    pub id: String,
    /// 1 to 12.
    pub points: u8,
    /// For how many days the products of a violation are left out everywhere; 0 for not.
    #[serde(default)]
    pub block_items_days: u32,
    /// What it forbids, for people to read.
    pub title_zh: String,
    pub title_en: String,
    /// Where the rule comes from, or why it is there.
    pub why: String,
}

/// A sanction that follows from a violation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consequence {
    pub kind: SanctionKind,
    pub item_ids: Vec<String>,
    pub channels: Vec<Channel>,
    /// How long; none for ever.
    pub lasts: Option<Duration>,
}

/// What a balance leads to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The step is taken by a violation after which the balance is this or less, and more than
    /// the next step's.
    pub balance: u8,
    pub sanctions: Vec<Rung>,
}

/// One sanction of a step.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    pub kind: SanctionKind,
    /// How long; none for ever.
    pub days: Option<u32>,
}

impl Rung {
    fn consequence(&self) -> Consequence {
        Consequence {
            kind: self.kind,
            item_ids: Vec::new(),
            channels: Vec::new(),
            lasts: self.days.map(|days| DAY * days),
        }
    }
}

impl Rule {
    /// For how long its violations' products are left out; none where they are not.
    fn blocks_items(&self) -> Option<Duration> {
        (self.block_items_days > 0).then(|| DAY * self.block_items_days)
    }
}

impl Conduct {
    /// The table that is compiled in.
    #[expect(clippy::expect_used, reason = "a constant; a test reads it")]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the built-in table keeps its own rules")
    }

    /// Reads a table of TOML.
    ///
    /// # Errors
    /// What is wrong with it, and in which line, rule or step.
    pub fn parse(text: &str) -> Result<Self, String> {
        let table: Self = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start));
            let line = before.unwrap_or_default().matches('\n').count() + 1;
            format!("line {line}: {}", e.message())
        })?;
        table.checked()
    }

    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// What a violation leads to after which the balance is this.
    fn step(&self, balance: u8) -> Option<&Step> {
        self.ladder
            .iter()
            .rev()
            .find(|step| balance <= step.balance)
    }

    /// What follows from a violation that leaves this balance: the ladder's step, and its products
    /// left out everywhere where its rule says so.
    pub fn consequences(&self, violation: &Violation, balance: u8) -> Vec<Consequence> {
        let step = self.step(balance).into_iter();
        let rungs = step.flat_map(|step| &step.sanctions);
        let mut consequences: Vec<_> = rungs.map(Rung::consequence).collect();
        let blocked = self.rule(&violation.rule).and_then(Rule::blocks_items);
        if let Some(lasts) = blocked.filter(|_| !violation.item_ids.is_empty()) {
            consequences.push(Consequence {
                kind: SanctionKind::ItemsBlocked,
                item_ids: violation.item_ids.clone(),
                channels: Channel::ALL.to_vec(),
                lasts: Some(lasts),
            });
        }
        consequences
    }

    /// The table, if it is one to judge by; else what is wrong with it.
    fn checked(self) -> Result<Self, String> {
        if self.version.is_empty() {
            return Err("version: must not be empty".to_owned());
        }
        if self.rules.is_empty() {
            return Err("rules: must have a rule".to_owned());
        }
        let mut seen = BTreeSet::new();
        for rule in &self.rules {
            rule.check()?;
            if !seen.insert(&rule.id) {
                return Err(format!("rule {}: comes twice", rule.id));
            }
        }
        if self.ladder.is_empty() {
            return Err("ladder: must have a step".to_owned());
        }
        for pair in self.ladder.windows(2) {
            if pair[1].balance >= pair[0].balance {
                return Err(
                    "ladder: each step's balance must be less than the one before".to_owned(),
                );
            }
        }
        self.ladder.iter().try_for_each(Step::check)?;
        Ok(self)
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("rule {}: {what}", self.id));
        if !is_id(&self.id) {
            return wrong("the id must be [a-z0-9-]");
        }
        if !(1..=INITIAL).contains(&self.points) {
            return wrong("points must be 1 to 12");
        }
        if self.block_items_days > MOST_DAYS {
            return wrong("block_items_days must be 0 to 3653");
        }
        if [&self.title_zh, &self.title_en, &self.why]
            .iter()
            .any(|text| text.is_empty())
        {
            return wrong("title_zh, title_en and why must not be empty");
        }
        Ok(())
    }
}

impl Step {
    fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("step {}: {what}", self.balance));
        if self.balance >= INITIAL {
            return wrong("the balance must be 0 to 11");
        }
        let by_hand = [SanctionKind::ItemsBlocked, SanctionKind::DamagesDeducted];
        if self
            .sanctions
            .iter()
            .any(|rung| by_hand.contains(&rung.kind))
        {
            return wrong("which products, or how much, the ladder cannot know");
        }
        let days = |rung: &Rung| rung.days.is_none_or(|days| (1..=MOST_DAYS).contains(&days));
        if !self.sanctions.iter().all(days) {
            return wrong("days must be 1 to 3653");
        }
        Ok(())
    }
}
