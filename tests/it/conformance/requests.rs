//! Answers kept by `request_id`.

use futures_util::future::join_all;
use mingpian::{
    domain::Micros,
    store::{Claim, Tx},
};
use uuid::Uuid;

use super::{NOW, SECOND, Stage, asked};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    an_id_is_fresh_then_answered_then_reused_by_another_request,
    one_callers_ids_mean_nothing_to_another,
    an_answer_is_kept_to_the_microsecond,
    forgetting_takes_the_old_answers_only,
    a_rollback_frees_the_id,
    the_second_of_two_claims_waits_and_has_the_answer_of_the_first,
    the_second_of_two_claims_is_fresh_when_the_first_is_undone,
    a_claim_of_an_expired_id_is_won_once,
    of_concurrent_requests_with_one_id_one_has_an_effect,
    a_large_answer_reads_back_as_kept,
    claims_made_together_are_each_fresh_answered_or_reused,
    of_claims_made_together_those_without_an_answer_are_forgotten,
);

const ID: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);
const ALWAYS: Micros = Micros::MIN;

async fn claim(tx: &Tx, fingerprint: u8, now: Micros, keep_since: Micros) -> Claim {
    let asked = asked("caller", ID, fingerprint);
    tx.claim(asked, now, keep_since).await.unwrap()
}

/// Claims and answers in one transaction.
async fn answer(s: &Stage, at: Micros, answer: &[u8]) {
    s.write(async |tx| {
        assert_eq!(claim(tx, b'f', at, ALWAYS).await, Claim::Fresh);
        tx.keep_answer("caller", ID, answer.to_vec()).await.unwrap();
    })
    .await;
}

async fn an_id_is_fresh_then_answered_then_reused_by_another_request(engine: Engine) {
    let s = Stage::new(engine).await;
    answer(&s, NOW, b"\0binary\xff").await;
    s.write(async |tx| {
        let again = claim(tx, b'f', NOW, ALWAYS).await;
        assert_eq!(again, Claim::Answered(b"\0binary\xff".to_vec()));
        assert_eq!(claim(tx, b'o', NOW, ALWAYS).await, Claim::Reused);
    })
    .await;
}

async fn one_callers_ids_mean_nothing_to_another(engine: Engine) {
    let s = Stage::new(engine).await;
    answer(&s, NOW, b"answer").await;
    s.write(async |tx| {
        for other in ["other", "Caller", "caller ", ""] {
            let theirs = tx.claim(asked(other, ID, b'g'), NOW, ALWAYS).await.unwrap();
            assert_eq!(theirs, Claim::Fresh, "{other:?}");
        }
        let another = Uuid::from_u128(ID.as_u128() + 1);
        let theirs = tx.claim(asked("caller", another, b'g'), NOW, ALWAYS).await;
        assert_eq!(theirs.unwrap(), Claim::Fresh);
    })
    .await;
}

async fn an_answer_is_kept_to_the_microsecond(engine: Engine) {
    let s = Stage::new(engine).await;
    answer(&s, NOW, b"answer").await;
    s.write(async |tx| {
        let kept = claim(tx, b'f', NOW + SECOND, NOW).await;
        assert_eq!(kept, Claim::Answered(b"answer".to_vec()));
        let forgotten = claim(tx, b'g', NOW + SECOND, Micros(NOW.0 + 1)).await;
        assert_eq!(forgotten, Claim::Fresh);
    })
    .await;
}

async fn forgetting_takes_the_old_answers_only(engine: Engine) {
    let s = Stage::new(engine).await;
    s.write(async |tx| {
        for i in 0..5 {
            let at = Micros(NOW.0 + i);
            let id = Uuid::from_u128(i as u128);
            tx.claim(asked("caller", id, b'f'), at, ALWAYS)
                .await
                .unwrap();
        }
    })
    .await;
    let forget = async |since: i64| {
        s.write(async |tx| tx.forget_answers(Micros(since)).await.unwrap())
            .await
    };
    assert_eq!(forget(NOW.0 + 3).await, 3);
    assert_eq!(forget(NOW.0 + 3).await, 0);
    assert_eq!(forget(NOW.0 + 9).await, 2);
}

async fn a_rollback_frees_the_id(engine: Engine) {
    let s = Stage::new(engine).await;
    let tx = s.store.begin().await.unwrap();
    assert_eq!(claim(&tx, b'f', NOW, ALWAYS).await, Claim::Fresh);
    tx.rollback().await.unwrap();
    let tx = s.store.begin().await.unwrap();
    assert_eq!(claim(&tx, b'g', NOW, ALWAYS).await, Claim::Fresh);
    drop(tx);
    answer(&s, NOW, b"answer").await;
}

async fn the_second_of_two_claims_waits_and_has_the_answer_of_the_first(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.store.begin().await.unwrap();
    assert_eq!(claim(&first, b'f', NOW, ALWAYS).await, Claim::Fresh);
    let second = s.write(async |tx| claim(tx, b'f', NOW, ALWAYS).await);
    let (second, ()) = tokio::join!(second, async {
        s.someone_waits().await;
        let answer = first.keep_answer("caller", ID, b"first's".to_vec());
        answer.await.unwrap();
        first.commit().await.unwrap();
    });
    assert_eq!(second, Claim::Answered(b"first's".to_vec()));
}

async fn the_second_of_two_claims_is_fresh_when_the_first_is_undone(engine: Engine) {
    let s = Stage::new(engine).await;
    let first = s.store.begin().await.unwrap();
    assert_eq!(claim(&first, b'f', NOW, ALWAYS).await, Claim::Fresh);
    let second = s.write(async |tx| claim(tx, b'f', NOW, ALWAYS).await);
    let (second, ()) = tokio::join!(second, async {
        s.someone_waits().await;
        first.rollback().await.unwrap();
    });
    assert_eq!(second, Claim::Fresh);
}

async fn a_claim_of_an_expired_id_is_won_once(engine: Engine) {
    let s = Stage::new(engine).await;
    answer(&s, NOW, b"old").await;
    let (later, since) = (NOW + 2 * SECOND, NOW + SECOND);
    let first = s.store.begin().await.unwrap();
    assert_eq!(claim(&first, b'f', later, since).await, Claim::Fresh);
    let second = s.write(async |tx| claim(tx, b'f', later, since).await);
    let (second, ()) = tokio::join!(second, async {
        s.someone_waits().await;
        let answer = first.keep_answer("caller", ID, b"new".to_vec());
        answer.await.unwrap();
        first.commit().await.unwrap();
    });
    assert_eq!(second, Claim::Answered(b"new".to_vec()));
}

async fn of_concurrent_requests_with_one_id_one_has_an_effect(engine: Engine) {
    let s = Stage::new(engine).await;
    let work = async |i: u8| {
        s.write(async |tx| match claim(tx, b'f', NOW, ALWAYS).await {
            Claim::Fresh => {
                tx.keep_answer("caller", ID, vec![i]).await.unwrap();
                (true, vec![i])
            }
            Claim::Answered(answer) => (false, answer),
            Claim::Reused => panic!("the same request"),
        })
        .await
    };
    let answers = join_all((0..32).map(work)).await;
    let effects: Vec<_> = answers.iter().filter(|(fresh, _)| *fresh).collect();
    assert_eq!(effects.len(), 1);
    assert!(answers.iter().all(|(_, a)| *a == effects[0].1));
}

async fn a_large_answer_reads_back_as_kept(engine: Engine) {
    let s = Stage::new(engine).await;
    let large: Vec<u8> = (0..2_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
    answer(&s, NOW, &large).await;
    let again = s.write(async |tx| claim(tx, b'f', NOW, ALWAYS).await).await;
    assert!(again == Claim::Answered(large));
}

async fn claims_made_together_are_each_fresh_answered_or_reused(engine: Engine) {
    let s = Stage::new(engine).await;
    let id = |n| Uuid::from_u128(ID.as_u128() + n);
    let first = [
        asked("b", id(1), 3),
        asked("a", id(0), 1),
        asked("b", id(0), 2),
    ];
    s.write(async |tx| {
        let claims = tx.claims(&first.map(Some), NOW, ALWAYS).await.unwrap();
        assert!(claims.iter().all(|claim| *claim == Claim::Fresh));
        let answers = first.map(|asked| (asked, vec![asked.fingerprint[0]]));
        tx.keep_answers(answers.into(), NOW).await.unwrap();
    })
    .await;
    let again = [
        Some(asked("b", id(1), 3)),
        None,
        Some(asked("a", id(1), 3)),
        Some(asked("a", id(0), 1)),
        Some(asked("b", id(0), 1)),
    ];
    let tx = s.store.begin().await.unwrap();
    let claims = tx.claims(&again, NOW, NOW).await.unwrap();
    let answered = |of| Claim::Answered(vec![of]);
    let fresh = || Claim::Fresh;
    let expected = [answered(3), fresh(), fresh(), answered(1), Claim::Reused];
    assert_eq!(claims, expected);
    drop(tx);
    let tx = s.store.begin().await.unwrap();
    let since = Micros(NOW.0 + 1);
    let claims = tx.claims(&again, NOW + SECOND, since).await.unwrap();
    assert!(claims.iter().all(|claim| *claim == Claim::Fresh));
}

async fn of_claims_made_together_those_without_an_answer_are_forgotten(engine: Engine) {
    let s = Stage::new(engine).await;
    let [kept, forgotten] = ["kept", "forgotten"].map(|caller| asked(caller, ID, 1));
    s.write(async |tx| {
        let both = [Some(kept), Some(forgotten)];
        tx.claims(&both, NOW, ALWAYS).await.unwrap();
        let answers = vec![(kept, b"answer".to_vec())];
        tx.keep_answers(answers, NOW).await.unwrap();
        tx.forget_claims(&[kept, forgotten]).await.unwrap();
    })
    .await;
    let tx = s.store.begin().await.unwrap();
    let other = [asked("kept", ID, 1), asked("forgotten", ID, 9)].map(Some);
    let claims = tx.claims(&other, NOW, ALWAYS).await.unwrap();
    assert_eq!(claims, [Claim::Answered(b"answer".to_vec()), Claim::Fresh]);
}
