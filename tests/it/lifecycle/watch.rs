//! Watching sanctions through cut streams, other writers, and a replica that is killed and comes
//! back: every change is seen once, in order.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use mingpian::api::pb::{
    self, compliance_service_client::ComplianceServiceClient, sanction::Kind,
    watch_sanctions_response::Change,
};
use sea_orm::{ConnectionTrait, Statement};
use tokio::{task::JoinSet, time::sleep};
use tokio_stream::StreamExt;
use tonic::{Code, Status, transport::Channel};
use uuid::Uuid;

use super::{channel, database, serve_on, times};
use crate::{
    on_both_engines,
    support::{Engine, Scratch},
};

on_both_engines!(
    every_change_is_seen_once_and_in_order,
    a_watcher_of_some_kinds_sees_those,
);

type Client = ComplianceServiceClient<Channel>;

const WRITERS: usize = 4;
/// Of each writer; every second one is lifted again.
const SANCTIONS: usize = 40;

/// The replica to ask, wherever it is now.
type Address = Arc<RwLock<SocketAddr>>;

async fn client(address: &Address) -> Option<Client> {
    let address = *address.read().unwrap();
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.ok().map(Client::new)
}

fn away(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal | Code::Aborted
    )
}

enum Write {
    Create(Box<pb::CreateSanctionRequest>),
    Lift(pb::LiftSanctionRequest),
}

impl Write {
    async fn send(&self, mut client: Client) -> Result<pb::Sanction, Status> {
        let answer = match self {
            Self::Create(request) => client.create_sanction((**request).clone()).await,
            Self::Lift(request) => client.lift_sanction(request.clone()).await,
        };
        answer.map(tonic::Response::into_inner)
    }
}

/// Sends a write until it is answered.
async fn insist(address: &Address, write: Write) -> pb::Sanction {
    let started = Instant::now();
    loop {
        if let Some(client) = client(address).await {
            match write.send(client).await {
                Ok(answer) => return answer,
                Err(status) if away(&status) => {}
                Err(status) => panic!("{status:?}"),
            }
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "nobody answers"
        );
        sleep(Duration::from_millis(50)).await;
    }
}

fn sanction(kind: Kind) -> pb::Sanction {
    pb::Sanction {
        kind: kind.into(),
        reason: "test".into(),
        rule: "wechat-id".into(),
        ..Default::default()
    }
}

async fn writer(address: Address, n: usize) {
    for i in 0..SANCTIONS {
        let request = pb::CreateSanctionRequest {
            parent: format!("merchants/m{n}"),
            sanction: Some(sanction(
                [Kind::TrafficRestricted, Kind::CardsSuspended][i % 2],
            )),
            sanction_id: format!("s{i}"),
            request_id: Uuid::now_v7().to_string(),
        };
        let set = insist(&address, Write::Create(Box::new(request))).await;
        if i % 2 == 0 {
            let lift = pb::LiftSanctionRequest {
                name: set.name,
                request_id: Uuid::now_v7().to_string(),
                reason: "test".into(),
                ..Default::default()
            };
            insist(&address, Write::Lift(lift)).await;
        }
    }
}

fn watch(revision: i64, kinds: &[Kind]) -> pb::WatchSanctionsRequest {
    pb::WatchSanctionsRequest {
        revision,
        kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
    }
}

/// Hangs up so often at least, waiting or after a few answers.
const CUTS: usize = 100;

/// Watches until `wanted` changes were seen, and on until it has hung up often enough.
async fn watcher(address: Address, wanted: usize) -> (Vec<Change>, usize) {
    let (mut seen, mut revision, mut cuts) = (Vec::new(), 0, 0);
    let started = Instant::now();
    while seen.len() < wanted || cuts < CUTS {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "{} seen",
            seen.len()
        );
        let Some(mut client) = client(&address).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let Ok(stream) = client.watch_sanctions(watch(revision, &[])).await else {
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let mut stream = stream.into_inner();
        for _ in 0..=cuts % 3 {
            let Ok(Some(Ok(answer))) =
                tokio::time::timeout(Duration::from_millis(50), stream.next()).await
            else {
                break;
            };
            revision = answer.revision;
            seen.extend(answer.changes);
        }
        cuts += 1;
    }
    (seen, cuts)
}

/// On PostgreSQL two replicas write at once.
async fn every_change_is_seen_once_and_in_order(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut first = serve_on(&scratch, "");
    let second = (engine == Engine::Postgres).then(|| {
        crate::support::process::serve(&["--config", &super::path(&scratch, "settings.toml")], &[])
    });
    let address: Address = Arc::new(RwLock::new(first.grpc));
    let other = second.as_ref().map_or(Arc::clone(&address), |second| {
        Arc::new(RwLock::new(second.grpc))
    });
    let mut writers = JoinSet::new();
    for n in 0..WRITERS {
        let to = if n % 2 == 0 { &address } else { &other };
        writers.spawn(writer(Arc::clone(to), n));
    }
    let wanted = WRITERS * (SANCTIONS + SANCTIONS / 2);
    let watching = tokio::spawn(watcher(Arc::clone(&address), wanted));
    for _ in 0..times("TEST_KILLS", 2) {
        sleep(Duration::from_millis(700)).await;
        first.kill();
        first = crate::support::process::serve(
            &["--config", &super::path(&scratch, "settings.toml")],
            &[],
        );
        *address.write().unwrap() = first.grpc;
        if second.is_none() {
            *other.write().unwrap() = first.grpc;
        }
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let (seen, cuts) = watching.await.unwrap();

    assert_eq!(seen.len(), wanted, "none is seen twice");
    assert!(seen.is_sorted_by(|a, b| a.revision < b.revision));
    let seen: BTreeMap<i64, (String, String)> = seen
        .into_iter()
        .map(|change| {
            let sanction = change.sanction.unwrap();
            (change.revision, (sanction.name, sanction.etag))
        })
        .collect();
    let db = database(&scratch).await;
    let sql = "SELECT c.no, s.merchant, s.id, s.no, c.version FROM sanction_changes c \
               JOIN sanctions s ON s.no = c.sanction_no";
    let rows = db
        .query_all_raw(Statement::from_string(db.get_database_backend(), sql))
        .await
        .unwrap();
    let kept: BTreeMap<i64, (String, String)> = rows
        .iter()
        .map(|row| {
            let text = |at| row.try_get_by_index::<String>(at).unwrap();
            let number = |at| row.try_get_by_index::<i64>(at).unwrap();
            let name = format!("merchants/{}/sanctions/{}", text(1), text(2));
            (
                number(0),
                (name, format!("{:x}-{:x}", number(3), number(4))),
            )
        })
        .collect();
    assert_eq!(seen, kept);
    db.close().await.unwrap();
    println!("{wanted} changes seen through {cuts} streams");
}

async fn a_watcher_of_some_kinds_sees_those(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let process = serve_on(&scratch, "");
    let mut client = Client::new(channel(process.grpc).await);
    let mut last = 0;
    for (i, kind) in [Kind::Warning, Kind::StoreFrozen, Kind::Warning]
        .into_iter()
        .enumerate()
    {
        let request = pb::CreateSanctionRequest {
            parent: "merchants/klook".into(),
            sanction: Some(sanction(kind)),
            sanction_id: format!("s{i}"),
            ..Default::default()
        };
        client.create_sanction(request).await.unwrap();
    }
    let frozen = watch(0, &[Kind::StoreFrozen]);
    let mut stream = client.watch_sanctions(frozen).await.unwrap().into_inner();
    let answer = stream.next().await.unwrap().unwrap();
    assert_eq!(answer.changes.len(), 1);
    last = last.max(answer.revision);
    let frozen = answer.changes[0].sanction.clone().unwrap();
    assert_eq!(frozen.kind(), Kind::StoreFrozen);
    let lift = pb::LiftSanctionRequest {
        name: frozen.name,
        reason: "test".into(),
        ..Default::default()
    };
    client.lift_sanction(lift).await.unwrap();
    let answer = stream.next().await.unwrap().unwrap();
    assert!(answer.revision > last);
    let lifted = answer.changes[0].sanction.clone().unwrap();
    assert_eq!(lifted.state(), pb::sanction::State::Lifted);
    let unknown = client.watch_sanctions(watch(1_000_000, &[])).await;
    assert_eq!(unknown.unwrap_err().code(), Code::InvalidArgument);
}
