//! The same through a store, one transaction an operation.

use mingpian::{
    domain::{Micros, PlacementName, PlacementState},
    store::{Claim, Result, Tx},
};
use uuid::Uuid;

use super::{
    Op, active, add_card, ago, edited, ids, menu_of, of, placed, plain, plain_card, say, sorted,
    turned,
};
use crate::conformance::{AUTHOR, NOW, Stage, asked, card_name, clearance, insert_card_as};

/// A store, and the numbers of its placements in the order of their making.
pub struct Real<'a> {
    stage: &'a Stage,
    case: &'a str,
    placements: Vec<i64>,
}

impl<'a> Real<'a> {
    pub fn new(stage: &'a Stage, case: &'a str) -> Self {
        Self {
            stage,
            case,
            placements: Vec::new(),
        }
    }

    /// One operation in one transaction, which is undone where it fails.
    pub async fn answer(&mut self, op: &Op, now: Micros) -> String {
        let tx = self.stage.store.begin().await.unwrap();
        match self.run(&tx, op, now).await {
            Ok(answer) => {
                tx.commit().await.unwrap();
                answer
            }
            Err(e) if e.is_conflict() => "conflict".into(),
            Err(e) if e.is_unavailable() => format!("unavailable: {e}"),
            Err(_) => "bug".into(),
        }
    }

    async fn run(&mut self, tx: &Tx, op: &Op, now: Micros) -> Result<String> {
        let case = self.case;
        let name = |m: &str, id: &str| card_name(of(case, m).id(), id);
        Ok(match op {
            Op::AddCard(m, id, text) => {
                let wanted = add_card(case, m, id, text, now);
                let clear = clearance(wanted.merchant());
                let made = insert_card_as(tx, clear, wanted, AUTHOR).await?;
                say(made.map(plain_card))
            }
            Op::EditCard(m, id, text) => {
                let Some(old) = tx.lock_card(&name(m, id)).await? else {
                    return Ok(say(()));
                };
                let next = edited(&old, text, now);
                let clear = clearance(next.merchant());
                tx.change_card(&clear, &next, AUTHOR).await?;
                say(plain_card(next))
            }
            Op::DeleteOrUndelete(m, id) => {
                let Some(old) = tx.lock_card(&name(m, id)).await? else {
                    return Ok(say(()));
                };
                let next = turned(&old, now);
                let clear = clearance(next.merchant());
                if active(&next) {
                    tx.change_card(&clear, &next, AUTHOR).await?;
                } else {
                    tx.withdraw_card(&next, AUTHOR).await?;
                }
                say(plain_card(next))
            }
            Op::Purge => {
                let due = tx.cards_to_purge(now, 0, 999).await?;
                for no in &due {
                    let card = tx.lock_card_to_purge(*no, now).await?;
                    tx.purge_card(&card.expect("due"), now).await?;
                }
                say(due.len())
            }
            Op::Place(m, card, id, surface) => {
                let Some(card) = tx.card(&name(m, card)).await? else {
                    return Ok(say(()));
                };
                let wanted = placed(case, &card, id, surface, now);
                let clear = clearance(card.merchant());
                let made = tx.insert_placement(&clear, wanted, AUTHOR).await?;
                self.placements.extend(made.as_ref().map(|p| p.no));
                say(made.map(plain))
            }
            Op::Move(m, id, state) => {
                let name = PlacementName::new(of(case, m), id).unwrap();
                let Some(old) = tx.lock_placement(&name).await? else {
                    return Ok(say(()));
                };
                let next = old.to(*state, now);
                if next.state == PlacementState::Live {
                    let clear = clearance(name.merchant());
                    tx.change_placement(&clear, &next, AUTHOR).await?;
                } else {
                    tx.withdraw_placement(&next, AUTHOR).await?;
                }
                say(plain(next))
            }
            Op::Cards(m, after, limit, deleted) => {
                let mine = of(case, m);
                let page = tx.cards_page(&mine, after, *limit, *deleted, now).await?;
                ids(page, |c| c.name.id())
            }
            Op::Placements(m, after, limit, deleted) => {
                let mine = of(case, m);
                let page = tx.placements_page(&mine, after, *limit, *deleted).await?;
                ids(page, |p| p.name.id())
            }
            Op::Counts(m) => {
                let mine = of(case, m);
                say((
                    tx.count_cards(&mine).await?,
                    tx.count_placements(&mine).await?,
                ))
            }
            Op::Menu(m) => menu_of(tx.menu(&of(case, m)).await?),
            Op::Capsules(notes) => {
                let notes: Vec<_> = notes.iter().map(|n| format!("{case}{n}")).collect();
                let notes: Vec<_> = notes.iter().map(String::as_str).collect();
                sorted(tx.capsules(&notes, None).await?)
            }
            Op::ShownAt(placement, second) => {
                let at = Micros(NOW.0 + second * 1_000_000);
                let shown = match self.placements.get(*placement) {
                    Some(no) => tx.shown_at(*no, at).await?,
                    None => None,
                };
                say(shown.map(|(p, c)| (plain(p), plain_card(c))))
            }
            Op::Claim(caller, id, fingerprint, keep) => {
                let (caller, id) = (format!("{case}{caller}"), Uuid::from_u128(*id));
                let asked = asked(&caller, id, *fingerprint);
                let claim = tx.claim(asked, now, ago(now, *keep)).await?;
                if claim == Claim::Fresh {
                    tx.keep_answer(&caller, id, now.0.to_le_bytes().to_vec())
                        .await?;
                }
                say(claim)
            }
            Op::Forget(keep) => {
                tx.forget_answers(ago(now, *keep)).await?;
                say(())
            }
        })
    }
}
