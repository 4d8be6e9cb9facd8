//! Links.

use futures_util::future::join_all;
use mingpian::domain::{ContactKind, Link, Micros};

use super::{NOW, SECOND, SORTED_IDS, Stage, clearance, link, merchant};
use crate::{on_both_engines, support::Engine};

on_both_engines!(
    a_link_reads_back_as_written_by_name_and_by_number,
    a_taken_name_is_none_and_the_transaction_goes_on,
    links_without_a_token_do_not_collide,
    a_revocation_reads_back,
    pages_are_sorted_by_the_bytes_of_the_id,
    of_concurrent_links_with_one_name_one_is_made,
    a_link_asks_for_the_clearance_of_its_merchant,
    links_count_until_they_expire_or_are_revoked,
);

async fn add(s: &Stage, link: Link) -> Option<Link> {
    let clear = clearance(link.name.merchant());
    s.write(async |tx| tx.insert_link(&clear, link).await.unwrap())
        .await
}

async fn a_link_reads_back_as_written_by_name_and_by_number(engine: Engine) {
    let s = Stage::new(engine).await;
    for kind in ContactKind::ALL {
        let wanted = Link {
            kind,
            ..link("klook", &kind.as_str().to_lowercase().replace('_', "-"))
        };
        let mut written = add(&s, wanted).await.unwrap();
        written.token = "Token_-1".into();
        s.write(async |tx| tx.save_link(&written).await.unwrap())
            .await;
        let reads = s.store.reads();
        assert_eq!(
            reads.link(&written.name).await.unwrap(),
            Some(written.clone())
        );
        assert_eq!(
            reads.link_by_no(written.no).await.unwrap(),
            Some(written.clone())
        );
        assert_eq!(reads.link_by_no(written.no + 1).await.unwrap(), None);
    }
}

async fn a_taken_name_is_none_and_the_transaction_goes_on(engine: Engine) {
    let s = Stage::new(engine).await;
    add(&s, link("klook", "l")).await.unwrap();
    let clear = clearance(&merchant("klook"));
    let second = s
        .write(async |tx| {
            let taken = tx.insert_link(&clear, link("klook", "l")).await;
            assert_eq!(taken.unwrap(), None);
            let second = tx.insert_link(&clear, link("klook", "second")).await;
            second.unwrap().unwrap()
        })
        .await;
    assert_eq!(
        s.store.reads().link(&second.name).await.unwrap(),
        Some(second)
    );
}

async fn links_without_a_token_do_not_collide(engine: Engine) {
    let s = Stage::new(engine).await;
    let (a, b) = (
        add(&s, link("klook", "a")).await,
        add(&s, link("klook", "b")).await,
    );
    assert_ne!(a.unwrap().no, b.unwrap().no);
}

async fn a_revocation_reads_back(engine: Engine) {
    let s = Stage::new(engine).await;
    let made = add(&s, link("klook", "l")).await.unwrap();
    let at = NOW + SECOND;
    let revoked = s
        .write(async |tx| {
            let mut link = tx.lock_link(&made.name).await.unwrap().unwrap();
            assert_eq!(link, made);
            link.version += 1;
            link.revoke_time = Some(at);
            tx.save_link(&link).await.unwrap();
            link
        })
        .await;
    let read = s.store.reads().link(&made.name).await.unwrap().unwrap();
    assert_eq!(read, revoked);
    assert!(read.revoked_by(at) && !read.revoked_by(Micros(at.0 - 1)));
}

async fn pages_are_sorted_by_the_bytes_of_the_id(engine: Engine) {
    let s = Stage::new(engine).await;
    for id in SORTED_IDS.iter().rev() {
        add(&s, link("klook", id)).await.unwrap();
        add(&s, link("other", id)).await.unwrap();
    }
    let page = async |after: &str, limit: u64| {
        let klook = merchant("klook");
        let page = s.store.reads().links_page(&klook, after, limit).await;
        let ids = page.unwrap().into_iter().map(|l| l.name.id().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(page("", 99).await, SORTED_IDS);
    for (i, id) in SORTED_IDS.iter().enumerate() {
        assert_eq!(page(id, 99).await, SORTED_IDS[i + 1..]);
    }
    assert_eq!(page("a", 2).await, ["a--b", "a-b"]);
}

async fn of_concurrent_links_with_one_name_one_is_made(engine: Engine) {
    let s = Stage::new(engine).await;
    let made = join_all((0..16).map(|_| add(&s, link("klook", "l")))).await;
    assert_eq!(made.iter().flatten().count(), 1);
}

async fn a_link_asks_for_the_clearance_of_its_merchant(engine: Engine) {
    let s = Stage::new(engine).await;
    let others = clearance(&merchant("other"));
    let tx = s.store.begin().await.unwrap();
    let refused = tx.insert_link(&others, link("klook", "l")).await;
    refused.unwrap_err();
}

async fn links_count_until_they_expire_or_are_revoked(engine: Engine) {
    let s = Stage::new(engine).await;
    for (id, merchant, revoke_time) in [
        ("a", "klook", None),
        ("b", "klook", None),
        ("c", "klook", Some(NOW)),
        ("d", "other", None),
    ] {
        let mut link = link(merchant, id);
        link.expire_time = NOW + if id == "a" { SECOND } else { 2 * SECOND };
        link.revoke_time = revoke_time;
        add(&s, link).await.unwrap();
    }
    let ends = NOW + SECOND;
    for (at, count) in [(NOW, 2), (Micros(ends.0 - 1), 2), (ends, 1)] {
        let open = s.store.reads().count_links(&merchant("klook"), at).await;
        assert_eq!(open.unwrap(), count);
    }
}
