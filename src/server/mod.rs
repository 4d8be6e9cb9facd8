//! The composition root: settings in, three listeners out, and a way to end them in time.

pub mod accept;
pub mod demo;
mod frames;
mod gather;
mod health;
pub mod jwks;
mod preface;
mod ring;
mod seats;
mod signals;
pub mod tls;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use prometheus_client::registry::Registry;
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    accept::{Limits, Protocol},
    health::Health,
    jwks::Jwks,
    tls::Tls,
};
use crate::{
    api::{
        self,
        layers::{self, auth::Auth, deadline::FED_MAX, metrics::Metrics},
    },
    app::{self, Ambient, App, Outlet, Rates, Rules, screening::Screener},
    config::{Mode, Role, Roles, Settings},
    events, http, screening,
    serving::{self, Serving},
    store::{self, Store},
    telemetry, wecom, worker,
};

/// What is left after the hard cut gets so long; then the process ends anyway.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// A server whose sockets are open and whose store is ready.
pub struct Server {
    pub app: App,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub admin: SocketAddr,
    /// gRPC's, the public one, the operators'.
    doors: [Door; 3],
    health: Health,
    worker_metrics: worker::metrics::Metrics,
    roles: Roles,
    outlet: Option<Outlet>,
    jwks: Option<Arc<Jwks>>,
    tls: Option<Arc<Tls>>,
    drain: Duration,
    shutdown_delay: Duration,
}

/// A listener and what it serves.
struct Door {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    protocol: Protocol,
    limits: Limits,
    routes: Router,
}

/// `mingpian serve`: runs until SIGTERM or SIGINT; a second one ends it at once.
pub async fn run(mut settings: Settings, demo: bool) -> anyhow::Result<()> {
    let telemetry = telemetry::init(
        settings.log.format,
        &settings.log.filter,
        settings.telemetry.otlp_endpoint(),
    )?;
    let fake = if demo {
        Some(demo::wecom::start(&mut settings).await?)
    } else {
        None
    };
    let server = Server::bind(&settings, Ambient::system()).await?;
    tracing::info!(grpc = %server.grpc, http = %server.http, admin = %server.admin, "serving");
    if let Some(fake) = &fake {
        demo::load(&server.app, fake).await?;
        say(&demo::commands(server.grpc, fake.address()))?;
    }
    let door = server.http;
    let calling_back = async {
        if let Some(fake) = &fake {
            demo::wecom::call_back(fake, door).await;
        }
    };
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
    let ending = signals::end(stop.clone(), cut.clone())?;
    let reloading = signals::reload(server.tls.clone())?;
    tokio::select! {
        () = server.serve(stop, cut) => {}
        // Goes on for as long as there may be a signal.
        _ = async { tokio::join!(ending, reloading, calling_back) } => {}
    }
    telemetry.flush().await;
    Ok(())
}

/// `mingpian migrate`.
pub async fn migrate(settings: &Settings) -> anyhow::Result<()> {
    open_store(settings, &Ambient::system()).await?;
    Ok(())
}

/// `mingpian rebuild-funnel`; of how many viewers.
pub async fn rebuild_funnel(settings: &Settings) -> anyhow::Result<usize> {
    let ambient = Ambient::system();
    let store = open_store(settings, &ambient).await?;
    Ok(app::rebuild_funnel(&store, &ambient).await?)
}

/// The store of these settings, its schema up to date.
pub async fn open_store(settings: &Settings, ambient: &Ambient) -> store::Result<Store> {
    let store = Store::open(&store_options(settings)).await?;
    let store = store.telling(settings.events_url().is_some());
    store.migrate(ambient.now()).await?;
    Ok(store)
}

impl Server {
    /// Opens the store, brings its schema up to date, and binds the listeners; port 0 takes
    /// a free one.
    pub async fn bind(settings: &Settings, ambient: Ambient) -> anyhow::Result<Self> {
        if settings.tokens_in_clear() {
            tracing::warn!("grpc_listen leaves loopback without tls: bearer tokens are in clear");
        }
        // What the settings name must be there before anything is made.
        let ring = ring::read(settings)?;
        let tls = tls_of(settings).context("tls")?;
        let store = open_store(settings, &ambient).await?;
        let keys = ring::fit(ring, &store, settings, &ambient).await?;
        let grpc = listen("grpc_listen", settings.grpc_listen).await?;
        let http = listen("http_listen", settings.http_listen).await?;
        let admin = listen("admin_listen", settings.admin_listen).await?;
        let (jwks, auth) = callers(settings, &ambient).await?;
        let screener = screener(settings, http.local_addr()?).context("screening.rules")?;
        let serving = Serving::new(&store, in_memory(settings)).await?;
        let app = App {
            screener: Arc::new(screener),
            serving: Arc::new(serving),
            store,
            keys: Arc::new(keys),
            wecom: wecom_client(settings, &ambient).context("wecom")?,
            called_back: Arc::default(),
            sanctions: Arc::default(),
            exposures: Arc::default(),
            creations: Arc::default(),
            taps: Arc::default(),
            tap_rates: Rates::per_minute(settings.limits.viewer_taps_per_minute()).map(Arc::new),
            ambient,
            rules: Arc::new(rules(settings, http.local_addr()?)),
        };

        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        app.wecom.register(&mut registry);
        let public_metrics = http::metrics::Metrics::register(&mut registry);
        let worker_metrics = worker::metrics::Metrics::register(&mut registry);
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let roles = settings.roles.clone();
        let serves = roles.has(Role::Serve);
        let mounted = api::mounted(serves, roles.has(Role::Intake));
        let health = Health::new(reporter, mounted).await;
        let limits = &settings.limits;
        let grpc_routes = layers::stack(
            api::services(
                &app,
                serves,
                limits.max_request_bytes(),
                limits.max_response_bytes(),
            ),
            api::open(health_service, settings.reflection())?,
            auth,
            layers::Limits {
                calls: limits.concurrency(),
                queue: limits.queue(),
                patience: limits.queue_time(),
                caller: limits.caller(),
                deadline: limits.deadline(),
            },
            metrics,
        );
        let admin_routes =
            http::admin::router(Arc::new(registry), health.ready(), settings.admin.token());
        let door = |listener, protocol, tls, routes| Door {
            listener,
            tls,
            protocol,
            limits: connections(settings, protocol),
            routes,
        };
        let public = if serves {
            http::public(
                app.clone(),
                limits.concurrency(),
                limits.deadline(),
                public_metrics,
            )
        } else {
            Router::new()
        };
        Ok(Self {
            app,
            grpc: grpc.local_addr()?,
            http: http.local_addr()?,
            admin: admin.local_addr()?,
            doors: [
                door(grpc, Protocol::Grpc, tls.clone(), grpc_routes),
                door(http, Protocol::Http, None, public),
                door(admin, Protocol::Http, None, admin_routes),
            ],
            health,
            worker_metrics,
            roles,
            outlet: outlet(settings),
            jwks,
            tls,
            drain: limits.drain(),
            shutdown_delay: limits.shutdown_delay(),
        })
    }

    /// What the gRPC door serves, for callers within the process.
    pub fn grpc_routes(&self) -> Router {
        self.doors[0].routes.clone()
    }

    /// Serves until `stop`. Then: health says NOT_SERVING, balancers get their delay, the
    /// sockets close, calls under way finish; when the drain is over, or on `cut`, the rest
    /// is cut. It always returns, whatever peers do.
    pub async fn serve(self, stop: CancellationToken, cut: CancellationToken) {
        let app = self.app.clone();
        tokio::select! {
            () = self.serve_until(stop, cut) => {}
            // Taps are written for as long as a call may wait for that.
            () = app.write_taps() => {}
        }
    }

    async fn serve_until(self, stop: CancellationToken, cut: CancellationToken) {
        let (tasks, close) = (TaskTracker::new(), CancellationToken::new());
        let (store, last) = (self.app.store.clone(), self.app.clone());
        let memory = self
            .roles
            .has(Role::Serve)
            .then(|| self.app.serving.clone());
        let health = self
            .health
            .follow(store, memory, stop.clone(), close.clone());
        tasks.spawn(health);
        let (app, metrics) = (|| self.app.clone(), || self.worker_metrics.clone());
        if self.roles.has(Role::Serve) {
            tasks.spawn(worker::exposures(app(), stop.clone()));
            // Until the doors close: what is served before is as current as ever.
            tasks.spawn(worker::feed(app(), close.clone()));
            tasks.spawn(worker::notes(app(), stop.clone()));
            tasks.spawn(worker::rules(app(), stop.clone()));
            tasks.spawn(worker::sanctions(app(), stop.clone()));
        }
        if self.roles.has(Role::Rollup) {
            tasks.spawn(worker::funnel(app(), stop.clone()));
        }
        if self.roles.has(Role::Jobs) {
            tasks.spawn(worker::sweep(app(), stop.clone()));
            tasks.spawn(worker::openings(app(), stop.clone()));
            tasks.spawn(worker::contact_events(app(), metrics(), stop.clone()));
            tasks.spawn(worker::errands(app(), stop.clone()));
            tasks.spawn(worker::sync(app(), metrics(), stop.clone()));
        }
        if let Some(outlet) = self.outlet.filter(|_| self.roles.has(Role::Publish)) {
            tasks.spawn(worker::outbox(app(), outlet, metrics(), stop.clone()));
        }
        if let Some(jwks) = self.jwks {
            let stop = stop.clone();
            tasks.spawn(async move { jwks.refresh(stop).await });
        }
        for door in self.doors {
            tasks.spawn(door.serve(close.clone(), cut.clone()));
        }
        tasks.close();

        stop.cancelled().await;
        tracing::info!("shutting down");
        tokio::select! {
            () = sleep(self.shutdown_delay) => {}
            () = cut.cancelled() => {}
        }
        close.cancel();
        let drained = tokio::select! {
            () = tasks.wait() => true,
            () = sleep(self.drain) => {
                tracing::warn!("the drain is over; cutting what is left");
                false
            }
            () = cut.cancelled() => false,
        };
        if !drained {
            cut.cancel();
            let _ = timeout(AFTER_CUT, tasks.wait()).await;
        }
        // What the last calls noted.
        let _ = timeout(AFTER_CUT, worker::last_exposures(&last)).await;
    }
}

impl Door {
    async fn serve(self, stop: CancellationToken, cut: CancellationToken) {
        let Self {
            listener,
            tls,
            protocol,
            limits,
            routes,
        } = self;
        accept::serve(listener, tls, protocol, limits, routes, stop, cut).await;
    }
}

async fn listen(key: &'static str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{key}: cannot listen on {address}"))
}

/// Whose tokens are accepted, and who asks for one.
async fn callers(
    settings: &Settings,
    ambient: &Ambient,
) -> anyhow::Result<(Option<Arc<Jwks>>, Auth)> {
    match settings.auth.mode {
        Mode::Off => Ok((None, Auth::off())),
        Mode::Jwt => {
            let jwks = Arc::new(Jwks::load(&settings.auth).await?);
            let (verifier, clock) = (jwks.clone(), ambient.clone());
            let auth = Auth::bearer(move |token| verifier.verify(token, clock.now()));
            Ok((Some(jwks), auth))
        }
    }
}

fn tls_of(settings: &Settings) -> anyhow::Result<Option<Arc<Tls>>> {
    let Some((certificate, key)) = settings.tls.identity() else {
        return Ok(None);
    };
    let files = tls::Files {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        client_ca: settings.tls.client_ca().map(ToOwned::to_owned),
    };
    Ok(Some(Arc::new(Tls::load(files, Protocol::Grpc)?)))
}

fn store_options(settings: &Settings) -> store::Options {
    store::Options {
        url: settings.store_url().clone(),
        max_connections: settings.store.max_connections(),
        acquire_timeout: settings.store.acquire_timeout(),
        statement_timeout: settings.store.statement_timeout(),
    }
}

fn in_memory(settings: &Settings) -> serving::Options {
    serving::Options {
        calendar: settings.spend.calendar(),
        memory: settings.serving.memory(),
        compile: api::compile,
        away: settings.serving.store_away(),
    }
}

fn rules(settings: &Settings, http: SocketAddr) -> Rules {
    Rules {
        cards_per_merchant: settings.cards.per_merchant(),
        placements_per_merchant: settings.placements.per_merchant(),
        links_per_merchant: settings.links.per_merchant(),
        purge_after: settings.cards.purge_after(),
        link_ttl: settings.links.default_ttl(),
        served_ttl: settings.tokens.served_ttl(),
        max_age: settings.serving.max_age(),
        extra_work: settings.serving.extra_work(),
        keep_answers: settings.requests.keep(),
        calendar: settings.spend.calendar(),
        lease: settings.spend.lease(),
        rerun: settings.spend.rerun(),
        programs: settings.programs.most(),
        corps: settings.wecom.corps(),
        links_per_corp: settings.wecom.links_per_corp(),
        members_per_link: settings.wecom.members_per_link(),
        callback_max_age: settings.wecom.callback_max_age(),
        attribution: settings.wecom.attribution(),
        sync: settings.wecom.sync(),
        wecom_timeout: settings.wecom.timeout(),
        conduct: settings.compliance.conduct().clone(),
        points_return: settings.compliance.points_return(),
        appeal_window: settings.compliance.appeal_window(),
        decide_within: settings.compliance.decide_within(),
        reported_per_merchant: settings.compliance.reported_per_merchant(),
        sanctions_per_merchant: settings.compliance.sanctions_per_merchant(),
        keep_events: settings.measurement.keep_events(),
        withheld_under: settings.measurement.withheld_under(),
        minimal_lift_percent: settings.measurement.minimal_lift_percent(),
        keep_outbox: settings.events.keep(),
        intake: settings.roles.has(Role::Intake),
        open_prefix: format!("{}/t/", settings.public_url(http)),
        public_url: settings.public_url(http),
    }
}

/// Where what changes is told, if anywhere.
fn outlet(settings: &Settings) -> Option<Outlet> {
    let url = settings.events_url()?.clone();
    let events = &settings.events;
    Some(Outlet::new(events::Options {
        url,
        stream: events.stream().to_owned(),
        prefix: events.subject_prefix().to_owned(),
        keep: events.keep(),
        replicas: events.replicas(),
    }))
}

fn screener(settings: &Settings, http: SocketAddr) -> Result<Screener, screening::Broken> {
    let url = settings.public_url(http).parse::<url::Url>();
    let host = url.ok().and_then(|url| url.host_str().map(str::to_owned));
    Screener::new(settings.screening.rules(host), settings.screening.at_once())
}

fn wecom_client(settings: &Settings, ambient: &Ambient) -> wecom::Result<wecom::Client> {
    let options = wecom::Options {
        base_url: settings.wecom.base_url().to_owned(),
        timeout: settings.wecom.timeout(),
        calls_per_minute: settings.wecom.calls_per_minute(),
    };
    wecom::Client::new(&options, ambient.clone())
}

/// A connection that has come of age may still carry an import: on gRPC's door it has as long
/// as the longest call.
fn connections(settings: &Settings, protocol: Protocol) -> Limits {
    let limits = &settings.limits;
    let grace = match protocol {
        Protocol::Grpc => limits.drain().max(FED_MAX),
        Protocol::Http => limits.drain(),
    };
    Limits {
        connections: limits.connections(),
        connections_per_ip: limits.connections_per_ip(),
        max_concurrent_streams: limits.max_concurrent_streams(),
        connection_age: limits.connection_age(),
        connection_age_grace: grace,
        ..Limits::default()
    }
}

fn say(text: &str) -> io::Result<()> {
    use io::Write as _;
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
