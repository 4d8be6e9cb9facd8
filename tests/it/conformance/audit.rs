//! The audit trail.

use mingpian::{domain::Micros, store::AuditEntry};

use super::{NOW, Stage};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    entries_read_back_in_the_order_of_writing,
    an_entry_goes_with_its_transaction,
);

fn entry(resource: &str, action: &str, time: Micros) -> AuditEntry {
    AuditEntry {
        time,
        actor: "操作员 @example".into(),
        action: action.into(),
        resource: resource.into(),
        detail: String::new(),
    }
}

async fn entries_read_back_in_the_order_of_writing(engine: Engine) {
    let s = Stage::new(engine).await;
    // Clocks of replicas differ: the times go back.
    let mine = [
        entry("merchants/klook/cards/main", "First", NOW),
        entry("merchants/klook/cards/main", "Second", Micros(NOW.0 - 5)),
    ];
    for e in &mine {
        s.write(async |tx| tx.audit(e.clone()).await.unwrap()).await;
        // Neither a longer name nor other letters are this resource.
        for other in ["merchants/klook/cards/main-2", "merchants/klook/cards/MAIN"] {
            let other = entry(other, "Other", NOW);
            s.write(async |tx| tx.audit(other).await.unwrap()).await;
        }
    }
    let read = s.store.reads().audit_of("merchants/klook/cards/main").await;
    assert_eq!(read.unwrap(), mine);
    let none = s.store.reads().audit_of("merchants/klook/cards/none").await;
    assert!(none.unwrap().is_empty());
}

async fn an_entry_goes_with_its_transaction(engine: Engine) {
    let s = Stage::new(engine).await;
    let tx = s.store.begin().await.unwrap();
    tx.audit(entry("r", "Undone", NOW)).await.unwrap();
    assert_eq!(tx.audit_of("r").await.unwrap().len(), 1);
    tx.rollback().await.unwrap();
    assert!(s.store.reads().audit_of("r").await.unwrap().is_empty());
}
