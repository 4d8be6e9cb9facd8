//! The services from the outside, through the generated client.

mod acquisition_links;
mod cards;
mod cases;
mod compliance;
mod contract;
mod corps;
mod experiments;
mod gate;
mod links;
mod measurement;
mod paging;
mod placements;
mod programs;
mod provenance;
mod reconciliation;
mod requests;
mod rights;
mod rpc;
mod screening;
mod serving;
mod spend;
mod story;
mod sweep;
mod tap;

use std::time::Duration;

pub use measurement::rolled_up;

use mingpian::{
    api::pb::{self, placement::Surface},
    domain::Micros,
};
use prost_types::{FieldMask, Timestamp};
use sea_orm::Database;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    lifecycle::column,
    support::{
        self, CardClient, ComplianceClient, Engine, LinkClient, MeasurementClient, PlacementClient,
        ProgramClient, ServingClient, TestServer, WecomClient, create_card, get_menu, place, tap,
    },
};

/// A server, and a client of each service, for the merchant `klook`.
struct Api {
    server: TestServer,
    cards: CardClient,
    placements: PlacementClient,
    serving: ServingClient,
    links: LinkClient,
    programs: ProgramClient,
    wecom: WecomClient,
    compliance: ComplianceClient,
    measurement: MeasurementClient,
}

impl Api {
    async fn start(engine: Engine) -> Self {
        Self::start_with(engine, "").await
    }

    async fn start_with(engine: Engine, more: &str) -> Self {
        Self::on(TestServer::start_with(engine, more).await).await
    }

    async fn on(server: TestServer) -> Self {
        Self {
            cards: server.cards().await,
            placements: server.placements().await,
            serving: server.serving().await,
            links: server.links().await,
            programs: server.programs().await,
            wecom: server.wecom().await,
            compliance: server.compliance().await,
            measurement: server.measurement().await,
            server,
        }
    }

    /// With the card `main`, which has all kinds.
    async fn with_card(engine: Engine) -> Self {
        let mut api = Self::start(engine).await;
        api.create("main").await.unwrap();
        api
    }

    /// Stops the clock where it stands.
    fn stop_clock(&self) -> Micros {
        let now = self.server.clock.now();
        self.server.clock.stop_at(now);
        now
    }

    fn advance(&self, by: Duration) {
        self.server.clock.advance(by);
    }

    async fn create(&mut self, id: &str) -> Result<pb::Card, Status> {
        let made = self.cards.create_card(create_card("klook", id)).await;
        made.map(tonic::Response::into_inner)
    }

    async fn get(&mut self, id: &str) -> Result<pb::Card, Status> {
        let name = card_name(id);
        let found = self.cards.get_card(pb::GetCardRequest { name }).await;
        found.map(tonic::Response::into_inner)
    }

    async fn delete(&mut self, id: &str) -> Result<pb::Card, Status> {
        let request = pb::DeleteCardRequest {
            name: card_name(id),
            ..Default::default()
        };
        let deleted = self.cards.delete_card(request).await;
        deleted.map(tonic::Response::into_inner)
    }

    async fn undelete(&mut self, id: &str) -> Result<pb::Card, Status> {
        let request = pb::UndeleteCardRequest {
            name: card_name(id),
            ..Default::default()
        };
        let back = self.cards.undelete_card(request).await;
        back.map(tonic::Response::into_inner)
    }

    async fn update(&mut self, card: pb::Card, paths: &[&str]) -> Result<pb::Card, Status> {
        let request = pb::UpdateCardRequest {
            card: Some(card),
            update_mask: mask(paths),
            ..Default::default()
        };
        let updated = self.cards.update_card(request).await;
        updated.map(tonic::Response::into_inner)
    }

    /// The contact in clear.
    async fn reveal(&mut self, id: &str, kind: pb::contact::Kind) -> Result<String, Status> {
        let request = pb::RevealContactRequest {
            name: card_name(id),
            kind: kind.into(),
            purpose: "test".into(),
        };
        let revealed = self.cards.reveal_contact(request).await;
        revealed.map(|answer| answer.into_inner().value)
    }

    /// Places the card `main`.
    async fn place(&mut self, id: &str, surface: Surface) -> Result<pb::Placement, Status> {
        self.place_as(id, surface, |_| {}).await
    }

    async fn place_as(
        &mut self,
        id: &str,
        surface: Surface,
        change: impl FnOnce(&mut pb::Placement),
    ) -> Result<pb::Placement, Status> {
        let mut request = place("klook", "main", id, surface);
        change(request.placement.as_mut().unwrap());
        let placed = self.placements.create_placement(request).await;
        placed.map(tonic::Response::into_inner)
    }

    async fn placement(&mut self, id: &str) -> Result<pb::Placement, Status> {
        let request = pb::GetPlacementRequest {
            name: placement_name(id),
        };
        let found = self.placements.get_placement(request).await;
        found.map(tonic::Response::into_inner)
    }

    async fn pause(&mut self, id: &str) -> Result<pb::Placement, Status> {
        let request = pb::PausePlacementRequest {
            name: placement_name(id),
            ..Default::default()
        };
        let paused = self.placements.pause_placement(request).await;
        paused.map(tonic::Response::into_inner)
    }

    async fn resume(&mut self, id: &str) -> Result<pb::Placement, Status> {
        let request = pb::ResumePlacementRequest {
            name: placement_name(id),
            ..Default::default()
        };
        let resumed = self.placements.resume_placement(request).await;
        resumed.map(tonic::Response::into_inner)
    }

    async fn withdraw(&mut self, id: &str) -> Result<pb::Placement, Status> {
        let request = pb::DeletePlacementRequest {
            name: placement_name(id),
            ..Default::default()
        };
        let deleted = self.placements.delete_placement(request).await;
        deleted.map(tonic::Response::into_inner)
    }

    async fn change(
        &mut self,
        placement: pb::Placement,
        paths: &[&str],
    ) -> Result<pb::Placement, Status> {
        let request = pb::UpdatePlacementRequest {
            placement: Some(placement),
            update_mask: mask(paths),
            ..Default::default()
        };
        let updated = self.placements.update_placement(request).await;
        updated.map(tonic::Response::into_inner)
    }

    async fn menu(&mut self) -> pb::GetChatMenuResponse {
        let menu = self.serving.get_chat_menu(get_menu("klook")).await;
        menu.unwrap().into_inner()
    }

    /// The reason for an empty menu.
    async fn menu_absence(&mut self) -> pb::ErrorReason {
        let menu = self.menu().await;
        assert_eq!(menu.items, []);
        menu.absence.expect("an empty menu says why").reason()
    }

    async fn capsules(&mut self, notes: &[&str]) -> pb::BatchGetNoteCapsulesResponse {
        let request = pb::BatchGetNoteCapsulesRequest {
            notes: notes.iter().map(|id| format!("notes/{id}")).collect(),
            viewer: support::viewer(),
        };
        let capsules = self.serving.batch_get_note_capsules(request).await;
        capsules.unwrap().into_inner()
    }

    /// Taps in the platform's own app.
    async fn tap(&mut self, token: &str) -> Result<pb::LaunchPlan, Status> {
        let request = tap(token, pb::environment::Container::NativeApp);
        let plan = self.serving.open_card(request).await;
        plan.map(tonic::Response::into_inner)
    }

    async fn link(&mut self, id: &str, link: pb::Link) -> Result<pb::Link, Status> {
        let request = pb::CreateLinkRequest {
            parent: "merchants/klook".into(),
            link: Some(link),
            link_id: id.into(),
            ..Default::default()
        };
        let made = self.links.create_link(request).await;
        made.map(tonic::Response::into_inner)
    }

    async fn revoke(&mut self, id: &str) -> Result<pb::Link, Status> {
        let request = pb::RevokeLinkRequest {
            name: format!("merchants/klook/links/{id}"),
            ..Default::default()
        };
        let revoked = self.links.revoke_link(request).await;
        revoked.map(tonic::Response::into_inner)
    }
}

/// Until so many transactions wait for what another replica holds. On SQLite a second writer waits
/// before it begins, where nobody can see it.
async fn so_many_wait(engine: Engine, url: &str, many: &str) {
    if engine == Engine::Sqlite {
        return sleep(Duration::from_millis(300)).await;
    }
    let db = Database::connect(url).await.unwrap();
    let waiting = "SELECT CAST(count(*) AS text) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event = 'advisory'";
    let started = Instant::now();
    while column(&db, waiting).await != [many] {
        assert!(started.elapsed() < Duration::from_secs(20), "not {many}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn card_name(id: &str) -> String {
    format!("merchants/klook/cards/{id}")
}

fn placement_name(id: &str) -> String {
    format!("merchants/klook/placements/{id}")
}

/// An absent mask for no paths.
fn mask(paths: &[&str]) -> Option<FieldMask> {
    let paths: Vec<_> = paths.iter().map(ToString::to_string).collect();
    (!paths.is_empty()).then_some(FieldMask { paths })
}

fn time(at: Micros) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: at.0.div_euclid(1_000_000),
        nanos: i32::try_from(at.0.rem_euclid(1_000_000) * 1_000).unwrap(),
    })
}

fn micros(at: Option<Timestamp>) -> Micros {
    let at = at.expect("a time");
    Micros(at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000)
}

/// Many writes at once stand in one line; on a slow disk that takes a while.
const PATIENT: &str = "[store]\nacquire_timeout_millis = 20000\n";
const DAY: Duration = Duration::from_secs(24 * 3600);
const MICROSECOND: Duration = Duration::from_micros(1);

/// As `support::refused`, and that the metadata has the keys that the registry lists.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, word: &str) -> Status {
    let status = support::refused(answer, code, word);
    let metadata = status.get_details_error_info().unwrap().metadata;
    let mut keys: Vec<_> = metadata.into_keys().collect();
    keys.sort();
    let mut listed = contract::entry(word).keys.clone();
    listed.sort();
    assert_eq!(keys, listed, "the metadata of {word}");
    status
}

/// That a call was refused for exactly these fields.
#[track_caller]
fn malformed<T: std::fmt::Debug>(answer: Result<T, Status>, fields: &[&str]) {
    let status = refused(answer, Code::InvalidArgument, "FIELD_INVALID");
    assert_eq!(support::fields(&status), fields, "{status:?}");
}
