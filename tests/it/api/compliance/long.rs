//! The longest that may be written down fits into every answer.

use tokio_stream::StreamExt;

use super::*;

on_both_engines!(the_longest_sanctions_are_told_to_the_end);

/// Of a sanction that is as long as one may be.
fn longest() -> pb::Sanction {
    let wide = |i: usize| format!("{i:03}{}", "名".repeat(497));
    pb::Sanction {
        item_ids: (0..100).map(|i| format!("{i:064}")).collect(),
        channels: vec![pb::sanction::Channel::Search.into()],
        reason: wide(0),
        evidence: (0..10).map(wide).collect(),
        ..cases::sanction(Kind::ItemsBlocked)
    }
}

async fn the_longest_sanctions_are_told_to_the_end(engine: Engine) {
    let mut api = Api::start(engine).await;
    api.broken("v", "phone").await;
    let before = api.compliance.list_sanctions(pb::ListSanctionsRequest {
        parent: PARENT.into(),
        page_size: 1,
        ..Default::default()
    });
    let before = before.await.unwrap().get_ref().revision;
    let of_violation = || pb::Sanction {
        violation: violation_name("v"),
        rule: String::new(),
        ..longest()
    };
    // Their products alone are more than an answer may have.
    let many = 170;
    // The ladder set two.
    for i in 0..98 {
        api.set(&format!("s{i}"), of_violation()).await.unwrap();
    }
    let full = api.set("full", of_violation()).await;
    let full = refused(full, Code::ResourceExhausted, "QUOTA_EXHAUSTED");
    let info = full.get_details_error_info().unwrap();
    assert_eq!(info.metadata["limit"], "100");
    for i in 98..many {
        api.set(&format!("s{i}"), longest()).await.unwrap();
    }
    let watch = pb::WatchSanctionsRequest {
        revision: before,
        ..Default::default()
    };
    let watched = api.compliance.watch_sanctions(watch).await.unwrap();
    let mut answers = watched.into_inner();
    let mut seen = Vec::new();
    while seen.len() < many {
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!(
            answer.changes.last().map(|change| change.revision),
            Some(answer.revision)
        );
        seen.extend(answer.changes.into_iter().map(|change| change.revision));
    }
    assert!(seen.is_sorted_by(|a, b| a < b));

    let account = api.account(None).await.unwrap();
    assert_eq!(account.sanctions.len(), 100);
    api.appeal("a", against_violation("v")).await.unwrap();
    let upheld = api.uphold("a").await.unwrap();
    assert_eq!(upheld.loss.unwrap().effects.len(), 100);
}
