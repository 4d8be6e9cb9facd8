//! Random histories: what was in force, what the gate said and what the balance was at any moment
//! are those of a plain list of what happened.

use std::sync::atomic::{AtomicUsize, Ordering};

use mingpian::{
    app::{App, AppealDraft, Call, Papers, Principal, SanctionDraft, ViolationDraft},
    domain::{
        AppealName, Merchant, Micros, SanctionKind, SanctionName, ViolationName,
        appeal::Subject as Against, credit,
    },
    store::Sought,
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use tokio::{runtime::Handle, task::block_in_place};

use super::*;
use crate::support::{Clock, Scratch, TestServer};

on_both_engines!(any_history_is_told_as_a_plain_list_has_it);

const HOUR: u32 = 3600;
const TABLE: &str = r#"
version = "model"
rules = [
    { id = "mild", points = 2, title_zh = "a", title_en = "a", why = "a" },
    { id = "grave", points = 5, title_zh = "a", title_en = "a", why = "a" },
]
ladder = [
    { balance = 9, sanctions = [{ kind = "CARDS_SUSPENDED", days = 1 }] },
    { balance = 4, sanctions = [{ kind = "STORE_FROZEN", days = 2 }, { kind = "WARNING" }] },
]
"#;

#[derive(Clone, Debug)]
enum Op {
    Wait(u32),
    Break(bool),
    /// From so many seconds on, for so many.
    Sanction(SanctionKind, u32, Option<u32>),
    Lift(usize),
    /// Against the violation or the sanction with this number; upheld or rejected so much later.
    Appeal(bool, usize, u32, bool),
}

fn op() -> impl Strategy<Value = Op> {
    let kind = select(
        &[
            SanctionKind::CardsSuspended,
            SanctionKind::StoreFrozen,
            SanctionKind::TrafficRestricted,
        ][..],
    );
    let seconds = || select(&[1, 2, 5, HOUR, 24 * HOUR][..]);
    let ends = || prop_oneof![Just(None), seconds().prop_map(Some)];
    let start = prop_oneof![Just(0), seconds()];
    prop_oneof![
        2 => seconds().prop_map(Op::Wait),
        3 => any::<bool>().prop_map(Op::Break),
        3 => (kind, start, ends()).prop_map(|(k, s, e)| Op::Sanction(k, s, e)),
        2 => (0..6_usize).prop_map(Op::Lift),
        3 => (any::<bool>(), 0..6_usize, seconds(), any::<bool>())
            .prop_map(|(v, i, w, u)| Op::Appeal(v, i, w, u)),
    ]
}

/// What happened, as a list.
#[derive(Default)]
struct Told {
    violations: Vec<Broken>,
    sanctions: Vec<Imposed>,
}

struct Broken {
    points: u8,
    at: Micros,
    overturned: Option<Micros>,
    heard: bool,
}

struct Imposed {
    name: SanctionName,
    kind: SanctionKind,
    made: Micros,
    start: Micros,
    end: Option<Micros>,
    lifted: Option<Micros>,
    of: Option<usize>,
    heard: bool,
}

impl Imposed {
    fn in_force(&self, at: Micros) -> bool {
        let over = [self.end, self.lifted].into_iter().flatten();
        self.made <= at && self.start <= at && over.into_iter().all(|over| at < over)
    }
}

impl Told {
    fn balance(&self, at: Micros) -> u8 {
        let missing = |v: &&Broken| {
            let back = v.overturned.into_iter().chain([v.at + DAY]);
            v.at <= at && back.into_iter().all(|back| at < back)
        };
        let lost: u8 = self
            .violations
            .iter()
            .filter(missing)
            .map(|v| v.points)
            .sum();
        12_u8.saturating_sub(lost)
    }

    /// By name, sorted.
    fn in_force(&self, at: Micros) -> Vec<&str> {
        let in_force = self.sanctions.iter().filter(|s| s.in_force(at));
        let mut ids: Vec<_> = in_force.map(|s| s.name.id()).collect();
        ids.sort_unstable();
        ids
    }

    fn stopped(&self, at: Micros) -> bool {
        let stops = [SanctionKind::CardsSuspended, SanctionKind::StoreFrozen];
        let mut in_force = self.sanctions.iter().filter(|s| s.in_force(at));
        in_force.any(|s| stops.contains(&s.kind))
    }

    /// Each moment at which something happened, and those beside it.
    fn moments(&self, first: Micros, now: Micros) -> Vec<Micros> {
        let violations = self.violations.iter();
        let violations = violations.flat_map(|v| [Some(v.at), Some(v.at + DAY), v.overturned]);
        let sanctions = self.sanctions.iter();
        let sanctions = sanctions.flat_map(|s| [Some(s.made), Some(s.start), s.end, s.lifted]);
        let mut moments: Vec<_> = violations
            .chain(sanctions)
            .flatten()
            .flat_map(|at| [-1, 0, 1].map(|by| Micros(at.0 + by)))
            .chain([first, now])
            .filter(|at| (first..=now).contains(at))
            .collect();
        moments.sort_unstable();
        moments.dedup();
        moments
    }
}

/// One history at the real thing and in the list at once.
struct Run<'a> {
    app: &'a App,
    clock: &'a Clock,
    merchant: Merchant,
    told: Told,
    made: usize,
}

fn call() -> Call {
    Call {
        principal: Principal::anonymous().into(),
        request: None,
        dry_run: false,
        until: None,
    }
}

impl Run<'_> {
    fn now(&self) -> Micros {
        self.clock.now()
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("n{}", self.made)
    }

    async fn does(&mut self, op: &Op) {
        // No two things happen in one second.
        self.clock.advance(SECOND);
        match op {
            Op::Wait(seconds) => self.clock.advance(SECOND * *seconds),
            Op::Break(grave) => self.breaks(*grave).await,
            Op::Sanction(kind, start, lasts) => self.imposes(*kind, *start, *lasts).await,
            Op::Lift(i) => self.lifts(*i).await,
            Op::Appeal(whole, i, wait, upheld) => self.appeals(*whole, *i, *wait, *upheld).await,
        }
    }

    async fn breaks(&mut self, grave: bool) {
        let (rule, points) = if grave { ("grave", 5) } else { ("mild", 2) };
        let name = ViolationName::new(
            self.merchant.clone(),
            &format!("v{}", self.told.violations.len()),
        );
        let name = name.unwrap();
        let draft = ViolationDraft {
            rule: rule.into(),
            points,
            papers: Papers::default(),
            item_ids: Vec::new(),
            event_time: None,
        };
        let reported = self
            .app
            .report_violation(&call(), name.clone(), draft)
            .await;
        reported.unwrap();
        self.clock.advance(SECOND);
        let at = self.now();
        let confirmed = self
            .app
            .confirm_violation(&call(), &name, "", "x".into())
            .await;
        let charge = confirmed.unwrap().charge.unwrap();
        let of = Some(self.told.violations.len());
        self.told.violations.push(Broken {
            points,
            at,
            overturned: None,
            heard: false,
        });
        let balance = self.told.balance(at);
        assert_eq!(charge.balance, balance);
        let ladder: &[_] = match balance {
            0..=4 => &[
                (SanctionKind::StoreFrozen, Some(at + 2 * DAY)),
                (SanctionKind::Warning, Some(at)),
            ],
            5..=9 => &[(SanctionKind::CardsSuspended, Some(at + DAY))],
            _ => &[],
        };
        assert_eq!(charge.sanctions.len(), ladder.len());
        for (name, (kind, end)) in charge.sanctions.into_iter().zip(ladder) {
            self.told.sanctions.push(Imposed {
                name,
                kind: *kind,
                made: at,
                start: at,
                end: *end,
                lifted: None,
                of,
                heard: false,
            });
        }
    }

    async fn imposes(&mut self, kind: SanctionKind, start: u32, lasts: Option<u32>) {
        let id = self.id();
        let name = SanctionName::new(self.merchant.clone(), &id).unwrap();
        let (made, start) = (self.now(), self.now() + SECOND * start);
        let end = lasts.map(|lasts| start + SECOND * lasts);
        let draft = SanctionDraft {
            kind,
            item_ids: Vec::new(),
            channels: Vec::new(),
            amount: None,
            start_time: Some(start),
            end_time: end,
            reason: "x".into(),
            rule: Some("mild".into()),
            violation: None,
            papers: Papers::default(),
        };
        let set = self.app.create_sanction(&call(), name.clone(), draft).await;
        set.unwrap();
        self.told.sanctions.push(Imposed {
            name,
            kind,
            made,
            start,
            end,
            lifted: None,
            of: None,
            heard: false,
        });
    }

    async fn lifts(&mut self, i: usize) {
        let now = self.now();
        let Some(imposed) = self.told.sanctions.get_mut(i) else {
            return;
        };
        let over = imposed.lifted.is_some() || imposed.end.is_some_and(|end| end <= now);
        let lifted = self
            .app
            .lift_sanction(&call(), &imposed.name, "", "x".into())
            .await;
        assert_eq!(lifted.is_err(), over);
        imposed.lifted = imposed.lifted.or((!over).then_some(now));
    }

    async fn appeals(&mut self, whole: bool, i: usize, wait: u32, upheld: bool) {
        let id = self.id();
        let name = AppealName::new(self.merchant.clone(), &id).unwrap();
        let told = &self.told;
        let (possible, subject) = match whole {
            true if i < told.violations.len() => {
                let id = format!("v{i}");
                let violation = ViolationName::new(self.merchant.clone(), &id).unwrap();
                (!told.violations[i].heard, Against::Violation(violation))
            }
            false if i < told.sanctions.len() => {
                let sanction = &told.sanctions[i];
                let heard = sanction.of.is_some_and(|of| told.violations[of].heard);
                let possible = !sanction.heard && !heard && sanction.lifted.is_none();
                (possible, Against::Sanction(sanction.name.clone()))
            }
            _ => return,
        };
        let draft = AppealDraft {
            subject,
            papers: Papers::default(),
        };
        let made = self.app.create_appeal(&call(), name.clone(), draft).await;
        assert_eq!(made.is_ok(), possible, "{made:?}");
        if !possible {
            return;
        }
        self.clock.advance(SECOND * wait);
        let (now, call) = (self.now(), call());
        if whole {
            self.told.violations[i].heard = true;
        } else {
            self.told.sanctions[i].heard = true;
        }
        if !upheld {
            let rejected = self.app.reject_appeal(&call, &name, "", "x".into()).await;
            rejected.unwrap();
            return;
        }
        let decided = self.app.uphold_appeal(&call, &name, "", "x".into()).await;
        decided.unwrap();
        if whole {
            self.told.violations[i].overturned = Some(now);
        }
        for (n, sanction) in self.told.sanctions.iter_mut().enumerate() {
            let meant = if whole {
                sanction.of == Some(i)
            } else {
                n == i
            };
            let over = sanction.lifted.is_some() || sanction.end.is_some_and(|end| end <= now);
            if meant && !over {
                sanction.lifted = Some(now);
            }
        }
    }

    /// At one moment, as known then.
    async fn compare(&self, at: Micros) -> Result<(), TestCaseError> {
        let sought = Sought {
            merchant: Some(&self.merchant),
            in_force_at: Some(at),
            ..Default::default()
        };
        let (in_force, _) = self
            .app
            .sanctions(&call().principal, sought, None, 1000)
            .await
            .unwrap();
        let mut ids: Vec<_> = in_force.iter().map(|s| s.name.id()).collect();
        ids.sort_unstable();
        prop_assert_eq!(ids, self.told.in_force(at), "at {}", at);
        let account = self
            .app
            .credit_account(&call().principal, &self.merchant, Some(at))
            .await;
        let account = account.unwrap();
        let balance = self.told.balance(at);
        prop_assert_eq!(credit::balance(account.missing), balance, "at {}", at);
        let history = credit::history(&account.charged, at, account.missing);
        let mut told = 12;
        for entry in history.iter().rev() {
            told += entry.points;
            prop_assert_eq!(told, i32::from(entry.balance), "at {}", at);
        }
        prop_assert_eq!(told, i32::from(balance), "at {}", at);
        let restorable = credit::restorations(&account.restorable, at);
        let points = restorable.iter().map(|m| u64::from(m.violation.points));
        prop_assert_eq!(points.sum::<u64>(), account.missing, "at {}", at);
        let (reads, calendar) = (self.app.store.reads(), &self.app.rules.calendar);
        let standing = reads
            .standing_at(&self.merchant, calendar, at)
            .await
            .unwrap();
        let stopped = standing.unsanctioned(at).is_err();
        prop_assert_eq!(stopped, self.told.stopped(at), "at {}", at);
        Ok(())
    }

    /// By all that is known.
    async fn compare_now(&self) -> Result<(), TestCaseError> {
        let now = self.now();
        let stopped = self.app.suspended(&self.merchant).await.unwrap();
        prop_assert_eq!(stopped, self.told.stopped(now));
        let account = self
            .app
            .credit_account(&call().principal, &self.merchant, None)
            .await
            .unwrap();
        let balance = credit::balance(account.missing);
        prop_assert_eq!(balance, self.told.balance(now));
        Ok(())
    }
}

async fn any_history_is_told_as_a_plain_list_has_it(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let table = scratch.file("conduct.toml");
    std::fs::write(&table, TABLE).unwrap();
    let settings = scratch.settings(&format!(
        "[compliance]\nconduct = \"{}\"\npoints_return_days = 1\nappeal_days = 365\n",
        table.display()
    ));
    let server = TestServer::on(scratch, &settings).await;
    server.clock.stop_at(server.clock.now());
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let cases = AtomicUsize::new(0);
    let outcome = block_in_place(|| {
        runner.run(&vec(op(), 1..24), |ops| {
            // One database for all; each case has its own merchant.
            let case = format!("c{}", cases.fetch_add(1, Ordering::Relaxed));
            let mut run = Run {
                app: &server.app,
                clock: &server.clock,
                merchant: Merchant::from_id(&case).unwrap(),
                told: Told::default(),
                made: 0,
            };
            Handle::current().block_on(async {
                let first = run.now();
                for op in &ops {
                    run.does(op).await;
                    run.compare_now().await?;
                }
                for at in run.told.moments(first, run.now()) {
                    run.compare(at).await?;
                }
                Ok(())
            })
        })
    });
    outcome.unwrap_or_else(|e| panic!("{e}"));
}
