//! What tests stand on: real stores, a real server on port 0, a clock that can be moved.

pub mod process;

use std::{
    env, fs,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mingpian::{
    api::pb,
    app::{Ambient, App},
    config::{self, Flags, Settings},
    domain::{
        Calendar, Chance, ContactKind, Merchant, Micros, Money, Program, ProgramName, SourceNames,
        Sources, Spend, Standing, Zone, eligibility::decide,
    },
    server::Server,
    store::Store,
    wecom::fake::Fake,
};
use sea_orm::{ConnectionTrait, Database};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;
use uuid::Uuid;

/// The engines that everything must be the same on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Runs each of these `async fn(Engine)` once on SQLite and once on PostgreSQL.
#[macro_export]
macro_rules! on_both_engines {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case($crate::support::Engine::Sqlite).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $case() { super::$case($crate::support::Engine::Postgres).await })*
        }
    };
}

/// An empty database of its own, the folder for keys and settings, and a WeCom to ask; gone when
/// dropped.
pub struct Scratch {
    pub url: String,
    pub dir: TempDir,
    pub wecom: Fake,
    postgres: Option<(String, String)>,
}

impl Scratch {
    pub async fn new(engine: Engine) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let wecom = Fake::start(listen, Ambient::system()).await.unwrap();
        match engine {
            Engine::Sqlite => Self {
                url: format!("sqlite://{}", dir.path().join("mingpian.db").display()),
                dir,
                wecom,
                postgres: None,
            },
            Engine::Postgres => {
                let server = env::var("TEST_DATABASE_URL").expect(
                    "no PostgreSQL: run `tests/run`, or set TEST_DATABASE_URL to a \
                     postgres:// URL whose user may create databases",
                );
                Self::on_postgres(server, dir, wecom).await
            }
        }
    }

    /// An empty database on this PostgreSQL.
    pub async fn on_postgres(server: String, dir: TempDir, wecom: Fake) -> Self {
        let name = format!("t_{}", Uuid::now_v7().simple());
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(&name);
        on_server(&server, &format!("CREATE DATABASE {name}")).await;
        Self {
            url: url.to_string(),
            dir,
            wecom,
            postgres: Some((server, name)),
        }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Settings on this database with free ports, and `more` of them as TOML.
    pub fn settings(&self, more: &str) -> Settings {
        let keys = self.file("keys.toml");
        if !keys.exists() {
            mingpian::keys::add(&keys, [7; 64]).unwrap();
        }
        let file = self.file("settings.toml");
        let more = with_few_rules(&with_patience(&self.with_wecom(more)));
        let text = format!(
            "grpc_listen = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\n\
             admin_listen = \"127.0.0.1:0\"\nstore_url = \"{}\"\nkeys_file = \"{}\"\n{more}",
            self.url,
            keys.display(),
        );
        fs::write(&file, text).unwrap();
        config::load(&Flags {
            config: Some(file),
            ..Flags::default()
        })
        .unwrap()
    }
}

impl Scratch {
    /// Settings that ask this WeCom, unless they name one.
    fn with_wecom(&self, more: &str) -> String {
        let base_url = format!("base_url = \"{}\"\n", self.wecom.base_url());
        if more.contains("base_url") {
            return more.to_owned();
        }
        match more.split_once("[wecom]\n") {
            Some((before, after)) => format!("{before}[wecom]\n{base_url}{after}"),
            None => format!("{more}\n[wecom]\n{base_url}"),
        }
    }
}

/// Settings that turn no call away for waiting, unless they say how long: a debug build between
/// other tests is not overloaded.
fn with_patience(more: &str) -> String {
    const PATIENCE: &str = "queue_millis = 5000\n";
    if more.contains("queue_millis") {
        return more.to_owned();
    }
    match more.split_once("[limits]\n") {
        Some((before, after)) => format!("{before}[limits]\n{PATIENCE}{after}"),
        None => format!("{more}\n[limits]\n{PATIENCE}"),
    }
}

/// Settings with a few rules of screening, unless they say which: the product's own take half a
/// second to read in a debug build.
fn with_few_rules(more: &str) -> String {
    if more.contains("[screening]") {
        return more.to_owned();
    }
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/screening");
    format!("{more}\n[screening]\nrules = \"{rules}\"\n")
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some((server, name)) = self.postgres.take() {
            // A database of a server that is not ours must not stay behind.
            let dropping = std::thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap()
                    .block_on(on_server(
                        &server,
                        &format!("DROP DATABASE {name} WITH (FORCE)"),
                    ));
            });
            let _ = dropping.join();
        }
    }
}

async fn on_server(url: &str, sql: &str) {
    let db = Database::connect(url).await.unwrap();
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

/// The real time, moved by hand, or stopped.
#[derive(Clone, Default)]
pub struct Clock(Arc<ClockState>);

#[derive(Default)]
struct ClockState {
    ahead: AtomicI64,
    /// Where it was stopped; 0 while it runs.
    stopped: AtomicI64,
}

impl Clock {
    pub fn now(&self) -> Micros {
        let stopped = self.0.stopped.load(Ordering::SeqCst);
        if stopped != 0 {
            return Micros(stopped);
        }
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Micros(i64::try_from(real.as_micros()).unwrap() + self.0.ahead.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.0.ahead.fetch_add(micros, Ordering::SeqCst);
        if self.0.stopped.load(Ordering::SeqCst) != 0 {
            self.0.stopped.fetch_add(micros, Ordering::SeqCst);
        }
    }

    /// Stops it at this microsecond.
    pub fn stop_at(&self, at: Micros) {
        self.0.stopped.store(at.0, Ordering::SeqCst);
    }

    pub fn ambient(&self) -> Ambient {
        let clock = self.clone();
        Ambient::with_clock(move || clock.now())
    }
}

/// A program that admits everybody to everything, whatever they spent, since ever.
pub fn open_program() -> Program {
    Program {
        name: ProgramName::new("open").unwrap(),
        kinds: ContactKind::ALL.to_vec(),
        threshold: Money(-1),
        ..Program::default_at(Micros(0))
    }
}

/// Lets everybody in, for tests about something else than the gate.
pub async fn open_to_all(store: &Store) {
    let tx = store.begin().await.unwrap();
    tx.insert_program(open_program(), "tests").await.unwrap();
    tx.commit().await.unwrap();
}

/// The standing of a merchant whom [`open_program`] admits.
pub fn open_standing(merchant: &Merchant) -> Standing {
    let program = open_program();
    let calendar = Calendar {
        zone: Zone::SHANGHAI,
        closing_wait: Duration::ZERO,
        sources: SourceNames::ANY,
    };
    let (spend, sources) = (Spend::default(), Sources::default());
    let decision = decide(&program.terms(), &spend, &sources, &calendar, Micros(0));
    let chance = Chance {
        program,
        list: None,
        decision,
    };
    Standing {
        merchant: merchant.clone(),
        chances: vec![chance],
        sanctions: Vec::new(),
    }
}

/// A server in this process.
pub struct TestServer {
    pub app: App,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    pub clock: Clock,
    pub scratch: Scratch,
    pub stop: CancellationToken,
    pub cut: CancellationToken,
    running: JoinHandle<()>,
}

impl TestServer {
    pub async fn start(engine: Engine) -> Self {
        Self::start_with(engine, "").await
    }

    /// With more settings, as TOML.
    pub async fn start_with(engine: Engine, more: &str) -> Self {
        let scratch = Scratch::new(engine).await;
        let settings = scratch.settings(more);
        Self::on(scratch, &settings).await
    }

    pub async fn on(scratch: Scratch, settings: &Settings) -> Self {
        let server = Self::bare(scratch, settings).await;
        open_to_all(&server.app.store).await;
        server
    }

    /// With no program but `programs/default`.
    pub async fn gated(engine: Engine, more: &str) -> Self {
        let scratch = Scratch::new(engine).await;
        let settings = scratch.settings(more);
        Self::bare(scratch, &settings).await
    }

    pub async fn bare(scratch: Scratch, settings: &Settings) -> Self {
        let clock = Clock::default();
        let server = Server::bind(settings, clock.ambient()).await.unwrap();
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        Self {
            app: server.app.clone(),
            grpc: server.grpc,
            http: server.http,
            admin: server.admin,
            clock,
            scratch,
            running: tokio::spawn(server.serve(stop.clone(), cut.clone())),
            stop,
            cut,
        }
    }

    pub async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.grpc))
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    pub async fn cards(&self) -> CardClient {
        CardClient::new(self.channel().await)
    }

    pub async fn placements(&self) -> PlacementClient {
        PlacementClient::new(self.channel().await)
    }

    pub async fn serving(&self) -> ServingClient {
        ServingClient::new(self.channel().await)
    }

    pub async fn links(&self) -> LinkClient {
        LinkClient::new(self.channel().await)
    }

    pub async fn programs(&self) -> ProgramClient {
        ProgramClient::new(self.channel().await)
    }

    pub async fn wecom(&self) -> WecomClient {
        WecomClient::new(self.channel().await)
    }

    pub async fn compliance(&self) -> ComplianceClient {
        ComplianceClient::new(self.channel().await)
    }

    pub async fn measurement(&self) -> MeasurementClient {
        MeasurementClient::new(self.channel().await)
    }

    pub async fn eligibilities(&self) -> EligibilityClient {
        EligibilityClient::new(self.channel().await)
    }

    /// Stops it and waits until it has ended.
    pub async fn end(self) -> Scratch {
        self.stop.cancel();
        self.running.await.unwrap();
        self.scratch
    }
}

pub type CardClient = pb::card_service_client::CardServiceClient<Channel>;
pub type PlacementClient = pb::placement_service_client::PlacementServiceClient<Channel>;
pub type ServingClient = pb::serving_service_client::ServingServiceClient<Channel>;
pub type ProgramClient = pb::program_service_client::ProgramServiceClient<Channel>;
pub type EligibilityClient = pb::eligibility_service_client::EligibilityServiceClient<Channel>;
pub type ComplianceClient = pb::compliance_service_client::ComplianceServiceClient<Channel>;
pub type MeasurementClient = pb::measurement_service_client::MeasurementServiceClient<Channel>;
pub type WecomClient = pb::wecom_service_client::WecomServiceClient<Channel>;
pub type LinkClient = pb::link_service_client::LinkServiceClient<Channel>;

/// The reason in a status, which every error of ours carries.
pub fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "mingpian");
    info.reason
}

/// That a call was refused with this code and reason.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, word: &str) -> Status {
    let status = answer.expect_err(word);
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (code, word),
        "{status:?}"
    );
    status
}

/// The fields that a status says are malformed.
pub fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|d| d.field_violations);
    violations.into_iter().flatten().map(|v| v.field).collect()
}

// Samples. Numbers and ids are made up.

pub const LINK: &str = "https://work.weixin.qq.com/ca/cawcdea7783d7330c6";
pub const MOBILE: &str = "13800138000";
pub const SERVICE_NUMBER: &str = "4008001234";
pub const WECHAT_ID: &str = "klook_demo88";

pub fn wecom() -> pb::Contact {
    contact(pb::contact::Details::Wecom(pb::WecomContact {
        target: Some(pb::wecom_contact::Target::AcquisitionUri(LINK.into())),
        ..Default::default()
    }))
}

pub fn phone(number: &str) -> pb::Contact {
    contact(pb::contact::Details::Phone(pb::PhoneContact {
        number: number.into(),
        ..Default::default()
    }))
}

pub fn wechat(id: &str) -> pb::Contact {
    contact(pb::contact::Details::Wechat(pb::WechatContact {
        wechat_id: id.into(),
        ..Default::default()
    }))
}

fn contact(details: pb::contact::Details) -> pb::Contact {
    pb::Contact {
        details: Some(details),
        ..Default::default()
    }
}

/// A card with all three kinds.
pub fn card() -> pb::Card {
    pb::Card {
        display_name: "Klook 客路".into(),
        headline: "官方客服".into(),
        contacts: vec![wecom(), phone(MOBILE), wechat(WECHAT_ID)],
        ..Default::default()
    }
}

pub fn create_card(merchant: &str, id: &str) -> pb::CreateCardRequest {
    pb::CreateCardRequest {
        parent: format!("merchants/{merchant}"),
        card: Some(card()),
        card_id: id.into(),
        ..Default::default()
    }
}

/// WeCom's id of a company there.
pub const CORP_ID: &str = "ww1234567890abcdef";
pub const APP_SECRET: &str = "s3cret_of-the-app";
pub const CALLBACK_TOKEN: &str = "QDG6eK";
pub const AES_KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";

/// A corp that the merchant `klook` may use.
pub fn corp() -> pb::Corp {
    pb::Corp {
        display_name: "Klook 客路".into(),
        merchants: vec!["merchants/klook".into()],
        corp_id: CORP_ID.into(),
        app_secret: APP_SECRET.into(),
        callback_token: CALLBACK_TOKEN.into(),
        encoding_aes_key: AES_KEY.into(),
        ..Default::default()
    }
}

pub fn create_corp(id: &str) -> pb::CreateCorpRequest {
    pb::CreateCorpRequest {
        corp: Some(corp()),
        corp_id: id.into(),
        ..Default::default()
    }
}

pub fn acquisition_link() -> pb::AcquisitionLink {
    pb::AcquisitionLink {
        display_name: "官网 link".into(),
        user_ids: vec!["zhangsan".into()],
        department_ids: vec![7],
        ..Default::default()
    }
}

pub fn create_acquisition_link(corp: &str, id: &str) -> pb::CreateAcquisitionLinkRequest {
    pb::CreateAcquisitionLinkRequest {
        parent: format!("corps/{corp}"),
        acquisition_link: Some(acquisition_link()),
        acquisition_link_id: id.into(),
        ..Default::default()
    }
}

pub fn in_menu(position: i32) -> pb::placement::Surface {
    pb::placement::Surface::ChatMenu(pb::placement::ChatMenu { position })
}

pub fn on_note(note: &str) -> pb::placement::Surface {
    pb::placement::Surface::NoteCapsule(pb::placement::NoteCapsule {
        note: format!("notes/{note}"),
    })
}

pub fn place(
    merchant: &str,
    card: &str,
    id: &str,
    surface: pb::placement::Surface,
) -> pb::CreatePlacementRequest {
    pb::CreatePlacementRequest {
        parent: format!("merchants/{merchant}"),
        placement: Some(pb::Placement {
            card: format!("merchants/{merchant}/cards/{card}"),
            surface: Some(surface),
            ..Default::default()
        }),
        placement_id: id.into(),
        ..Default::default()
    }
}

pub fn viewer() -> Option<pb::Viewer> {
    Some(pb::Viewer {
        viewer_id: "v-1".into(),
        platform: pb::viewer::Platform::Ios.into(),
        ..Default::default()
    })
}

pub fn get_menu(merchant: &str) -> pb::GetChatMenuRequest {
    pb::GetChatMenuRequest {
        merchant: format!("merchants/{merchant}"),
        viewer: viewer(),
        ..Default::default()
    }
}

/// Fetches a note's capsule and taps it: the token, and the tap's id.
pub async fn tap_capsule(serving: &mut ServingClient, note: &str) -> (String, String) {
    let request = pb::BatchGetNoteCapsulesRequest {
        notes: vec![note.to_owned()],
        viewer: viewer(),
    };
    let answer = serving.batch_get_note_capsules(request).await.unwrap();
    let result = answer.into_inner().results.remove(0).outcome;
    let Some(pb::note_capsule_result::Outcome::Item(item)) = result else {
        panic!("{result:?}")
    };
    let opening = tap(&item.tap_token, pb::environment::Container::NativeApp);
    let opened = serving.open_card(opening).await.unwrap().into_inner();
    (item.tap_token, opened.event_id)
}

pub fn tap(token: &str, container: pb::environment::Container) -> pb::OpenCardRequest {
    pb::OpenCardRequest {
        tap_token: token.into(),
        viewer: viewer(),
        environment: Some(pb::Environment {
            container: container.into(),
            ..Default::default()
        }),
    }
}
