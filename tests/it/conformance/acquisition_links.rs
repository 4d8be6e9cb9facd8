//! Corps, acquisition links and quotas.

use mingpian::{
    domain::{
        AcquisitionLink, AcquisitionLinkName, AcquisitionUri, Corp, CorpName, LinkState, Micros,
        Quota,
        acquisition::{Level, Made, Pending, Range},
    },
    store::Errand,
};

use super::{AUTHOR, NOW, SECOND, SORTED_IDS, Stage, merchant};
use crate::{
    on_both_engines,
    support::{Engine, LINK},
};

on_both_engines!(
    what_is_written_reads_back,
    ids_sort_by_their_bytes,
    errands_come_when_they_are_due_those_that_wait_longest_first,
    every_version_is_history_and_an_errand_is_none,
    what_never_was_leaves_nothing,
    a_quota_is_changed_by_one_after_the_other,
    a_corps_next_look_is_no_version,
);

fn corp(id: &str) -> Corp {
    Corp {
        no: 0,
        name: CorpName::new(id).unwrap(),
        display_name: "Klook 客路".into(),
        merchants: vec![merchant("klook"), merchant("a")],
        corp_id: "ww1".into(),
        secrets: vec![0, 255, 7],
        version: 1,
        create_time: NOW,
        update_time: NOW,
        delete_time: None,
    }
}

fn link(corp: &Corp, id: &str) -> AcquisitionLink {
    AcquisitionLink {
        no: 0,
        corp_no: corp.no,
        name: AcquisitionLinkName::new(corp.name.clone(), id).unwrap(),
        display_name: "官网".into(),
        tag: "0z0z789a".into(),
        range: Range {
            users: vec!["zhang.san".into()],
            departments: vec![7],
        },
        skip_verify: true,
        made: None,
        state: LinkState::Creating,
        state_time: NOW,
        gone: false,
        pending: Some(Pending::Create),
        version: 1,
        create_time: NOW,
        update_time: NOW,
        delete_time: None,
    }
}

fn made(link: &AcquisitionLink, link_id: &str) -> AcquisitionLink {
    AcquisitionLink {
        made: Some(Made {
            link_id: link_id.into(),
            uri: AcquisitionUri::parse(LINK).unwrap(),
        }),
        pending: None,
        ..link.to(LinkState::Active, NOW, NOW + SECOND)
    }
}

impl Stage {
    async fn add_corp(&self, corp: Corp) -> Option<Corp> {
        let insert = async |tx: &mingpian::store::Tx| tx.insert_corp(corp, AUTHOR).await.unwrap();
        self.write(insert).await
    }

    async fn add_link(&self, link: AcquisitionLink, errand: Errand) -> Option<AcquisitionLink> {
        self.write(async |tx| {
            let link = tx.insert_acquisition_link(link, errand, AUTHOR).await;
            link.unwrap()
        })
        .await
    }

    async fn save_link(&self, link: &AcquisitionLink) {
        let done = Errand::default();
        self.write(async |tx| tx.save_acquisition_link(link, done, AUTHOR).await.unwrap())
            .await;
    }
}

fn at(next: Micros) -> Errand {
    Errand {
        attempts: 3,
        next: Some(next),
        asked: Some(NOW),
    }
}

async fn what_is_written_reads_back(engine: Engine) {
    let stage = Stage::new(engine).await;
    let reads = stage.store.reads();
    let corp_row = stage.add_corp(corp("klook")).await.unwrap();
    assert_eq!(stage.add_corp(corp("klook")).await, None, "taken");
    assert_eq!(reads.acquisition_links_by_state().await.unwrap(), []);
    assert_eq!(reads.quotas_by_level().await.unwrap(), []);
    let found = reads.corp(&corp_row.name).await.unwrap();
    assert_eq!(found.as_ref(), Some(&corp_row));
    let new = stage
        .add_link(link(&corp_row, "main"), at(NOW))
        .await
        .unwrap();
    let again = stage.add_link(link(&corp_row, "main"), at(NOW)).await;
    assert_eq!(again, None, "taken");
    let states = reads.acquisition_links_by_state().await.unwrap();
    assert_eq!(states, [(LinkState::Creating, 1)]);
    stage
        .write(async |tx| {
            let some = |old: &Quota| Some(old.answered(9, 9, Vec::new(), NOW));
            tx.change_quota(corp_row.no, NOW, some).await.unwrap();
            // Of no corp.
            tx.change_quota(corp_row.no + 1, NOW, some).await.unwrap();
        })
        .await;
    let levels = reads.quotas_by_level().await.unwrap();
    assert_eq!(levels, [(Level::Low, 1)]);
    let found = stage
        .write(async |tx| tx.lock_acquisition_link(&new.name).await.unwrap())
        .await;
    assert_eq!(found, Some((new.clone(), at(NOW))));
    let there = made(&new, "cawcde1");
    stage.save_link(&there).await;
    let by_id = async |corp: &Corp, id: &str| {
        let tx = stage.store.begin().await.unwrap();
        let found = tx.lock_acquisition_link_of(corp, id).await.unwrap();
        found.map(|(link, _)| link)
    };
    assert_eq!(by_id(&corp_row, "cawcde1").await, Some(there.clone()));
    assert_eq!(by_id(&corp_row, "CAWCDE1").await, None);
    // Another corp's link may have any id.
    let other = stage.add_corp(corp("other")).await.unwrap();
    assert_eq!(by_id(&other, "cawcde1").await, None);
    let by_no = reads.acquisition_link_by_no(new.no).await.unwrap();
    assert_eq!(by_no, Some(there.clone()));

    let gone = AcquisitionLink {
        delete_time: Some(NOW + 2 * SECOND),
        ..there.next(NOW + 2 * SECOND)
    };
    stage.save_link(&gone).await;
    let found = stage
        .write(async |tx| tx.lock_acquisition_link(&gone.name).await.unwrap())
        .await;
    assert_eq!(found, None);
    assert_eq!(by_id(&corp_row, "cawcde1").await, None);
    assert_eq!(reads.count_acquisition_links(corp_row.no).await.unwrap(), 0);
    let ever = reads.every_acquisition_link(&corp_row).await.unwrap();
    assert_eq!(ever, [gone]);
}

async fn ids_sort_by_their_bytes(engine: Engine) {
    let stage = Stage::new(engine).await;
    for id in SORTED_IDS.iter().rev() {
        stage.add_corp(corp(id)).await.unwrap();
    }
    let reads = stage.store.reads();
    let page = reads.corps_page("a", 3).await.unwrap();
    let ids: Vec<_> = page.iter().map(|corp| corp.name.id()).collect();
    assert_eq!(ids, SORTED_IDS[4..7]);
    let corp = &page[0];
    for id in SORTED_IDS.iter().rev() {
        stage.add_link(link(corp, id), at(NOW)).await.unwrap();
    }
    let page = reads.acquisition_links_page(corp, "", 100).await.unwrap();
    let ids: Vec<_> = page.iter().map(|link| link.name.id()).collect();
    assert_eq!(ids, SORTED_IDS);
}

async fn errands_come_when_they_are_due_those_that_wait_longest_first(engine: Engine) {
    let stage = Stage::new(engine).await;
    let corp = stage.add_corp(corp("klook")).await.unwrap();
    for (id, errand) in [
        ("none", Errand::default()),
        ("b", at(NOW + SECOND)),
        ("a", at(NOW)),
        ("later", at(NOW + 2 * SECOND)),
    ] {
        stage.add_link(link(&corp, id), errand).await.unwrap();
    }
    let due = async |now, limit| {
        let due = stage.store.reads().acquisition_links_due(now, limit);
        let due = due.await.unwrap().into_iter();
        due.map(|(link, errand)| (link.name.id().to_owned(), errand))
            .collect::<Vec<_>>()
    };
    let (a, b) = (
        ("a".to_owned(), at(NOW)),
        ("b".to_owned(), at(NOW + SECOND)),
    );
    assert_eq!(due(NOW + SECOND, 10).await, [a.clone(), b]);
    assert_eq!(due(NOW + SECOND, 1).await, [a]);
    assert_eq!(due(Micros(NOW.0 - 1), 10).await, []);
}

async fn every_version_is_history_and_an_errand_is_none(engine: Engine) {
    let stage = Stage::new(engine).await;
    let corp_row = stage.add_corp(corp("klook")).await.unwrap();
    let new = stage
        .add_link(link(&corp_row, "main"), at(NOW))
        .await
        .unwrap();
    stage.save_link(&made(&new, "cawcde1")).await;
    stage
        .write(async |tx| {
            tx.save_errand(new.no, at(NOW)).await.unwrap();
            tx.save_state_time(new.no, NOW + SECOND).await.unwrap();
            let next = Corp {
                secrets: vec![1],
                ..corp_row.next(NOW)
            };
            tx.save_corp(&next, AUTHOR).await.unwrap();
        })
        .await;
    let sql = "SELECT CAST(version AS text) || author FROM acquisition_link_versions ORDER BY 1";
    assert_eq!(stage.select(sql).await, ["1tester", "2tester"]);
    let sql = "SELECT body FROM corp_versions ORDER BY version";
    let bodies = stage.select(sql).await;
    assert_eq!(bodies.len(), 2);
    assert!(bodies.iter().all(|body| !body.contains("secrets")));
    let there = stage.store.reads().acquisition_link_by_no(new.no).await;
    assert_eq!(there.unwrap().unwrap().state_time, NOW + SECOND);
}

async fn what_never_was_leaves_nothing(engine: Engine) {
    let stage = Stage::new(engine).await;
    let corp = stage.add_corp(corp("klook")).await.unwrap();
    let kept = stage.add_link(link(&corp, "kept"), at(NOW)).await.unwrap();
    let new = stage.add_link(link(&corp, "main"), at(NOW)).await.unwrap();
    stage
        .write(async |tx| tx.forget_acquisition_link(&new).await.unwrap())
        .await;
    let sql = "SELECT CAST(no AS text) FROM acquisition_link_versions";
    assert_eq!(stage.select(sql).await, [kept.no.to_string()]);
    let again = stage.add_link(link(&corp, "main"), at(NOW)).await.unwrap();
    assert!(again.no > new.no, "an etag never fits another link");
}

async fn a_quota_is_changed_by_one_after_the_other(engine: Engine) {
    let stage = Stage::new(engine).await;
    let reads = stage.store.reads();
    assert_eq!(reads.quota(7).await.unwrap(), None);
    let unknown = stage
        .write(async |tx| tx.change_quota(7, NOW, |_| None).await.unwrap())
        .await;
    assert_eq!(unknown, Quota::default());
    assert_eq!(reads.quota(7).await.unwrap(), None, "nobody said anything");
    // Adds that come at once are all counted.
    let adds = (0..16).map(|_| {
        let store = stage.store.clone();
        async move {
            let tx = store.begin().await.unwrap();
            let more = |old: &Quota| Some(old.answered(0, old.balance + 1, Vec::new(), NOW));
            tx.change_quota(7, NOW, more).await.unwrap();
            tx.commit().await.unwrap();
        }
    });
    futures_util::future::join_all(adds).await;
    let known = reads.quota(7).await.unwrap().unwrap();
    assert_eq!((known.balance, known.level), (16, Level::Low));
    // The same figures at another time are no version.
    stage
        .write(async |tx| {
            let same = |old: &Quota| Some(old.answered(0, 16, Vec::new(), NOW + SECOND));
            tx.change_quota(7, NOW + SECOND, same).await.unwrap()
        })
        .await;
    let known = reads.quota(7).await.unwrap().unwrap();
    assert_eq!(known.as_of, Some(NOW + SECOND));
    // Versions follow each other, whatever the clocks say.
    let sql = "SELECT CAST(count(DISTINCT time) AS text) FROM quota_versions";
    assert_eq!(stage.select(sql).await, ["16"]);
    let sql = "SELECT CAST(count(*) AS text) || max(author) FROM quota_versions";
    assert_eq!(stage.select(sql).await, ["16wecom"]);
    assert_eq!(reads.quota(8).await.unwrap(), None);
}

async fn a_corps_next_look_is_no_version(engine: Engine) {
    let stage = Stage::new(engine).await;
    let new = stage.add_corp(corp("klook")).await.unwrap();
    let due = async |now| {
        let due = stage.store.reads().corps_to_sync(now, 10).await.unwrap();
        due.len()
    };
    assert_eq!(due(NOW).await, 1, "a new one at once");
    let by = async |then| {
        stage
            .write(async |tx| tx.sync_by(new.no, then).await.unwrap())
            .await;
    };
    stage
        .write(async |tx| tx.sync_at(new.no, NOW + 3 * SECOND).await.unwrap())
        .await;
    assert_eq!(due(NOW + 2 * SECOND).await, 0);
    by(NOW + 9 * SECOND).await;
    assert_eq!(due(NOW + 3 * SECOND).await, 1, "not put off");
    by(NOW + SECOND).await;
    // A version leaves it as it is.
    stage
        .write(async |tx| tx.save_corp(&new.next(NOW), AUTHOR).await.unwrap())
        .await;
    assert_eq!((due(NOW).await, due(NOW + SECOND).await), (0, 1));
    let gone = Corp {
        delete_time: Some(NOW),
        ..new.next(NOW).next(NOW)
    };
    stage
        .write(async |tx| tx.save_corp(&gone, AUTHOR).await.unwrap())
        .await;
    assert_eq!(due(NOW + SECOND).await, 0);
}
