//! A fake WeCom, for tests and the demo: the part of its API that we use, with faults to switch
//! on, users who tap links, and callbacks to the real door. It holds everything in memory.

mod answer;
mod api;
mod control;
mod event;
mod fault;
mod health;
mod late;
mod line;
mod links;
mod post;
mod taps;
mod tokens;
mod world;

use std::{
    io,
    net::SocketAddr,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use fault::{Fault, Switch};
pub use post::{Delivered, NotVerified, Travel};
pub use taps::{Friends, Outcome, Tap};
pub use world::{Customer, Link, Shape};

use crate::{app::Ambient, domain::Micros};
use late::Late;
use post::Post;
use world::World;

/// A running fake; it ends when this is dropped.
#[derive(Debug)]
pub struct Fake {
    address: SocketAddr,
    console: Console,
    _stop: DropGuard,
}

/// WeCom's console and its users' phones: what can be done to the fake from outside its API.
#[derive(Clone, Debug)]
pub struct Console {
    world: Arc<Mutex<World>>,
    ambient: Ambient,
    post: Post,
    late: Late,
}

impl Fake {
    /// Listens; port 0 takes a free one. Its clock is `clock`, and can be put ahead.
    pub async fn start(listen: SocketAddr, clock: Ambient) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let console = Console {
            world: Arc::default(),
            ambient: clock,
            post: Post::new(stop.clone()).map_err(io::Error::other)?,
            late: Late::default(),
        };
        let routes = Router::new()
            .nest("/cgi-bin", api::router(&console))
            .nest("/fake", control::router(&console));
        tasks.spawn(line::serve(listener, routes, tasks.clone(), stop.clone()));
        Ok(Self {
            address,
            console,
            _stop: stop.drop_guard(),
        })
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// For `wecom.base_url`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// To keep beside it.
    pub fn console(&self) -> Console {
        self.console.clone()
    }
}

impl Deref for Fake {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.console
    }
}

impl Console {
    /// Makes a company, if it is not there, and in it an app that may use acquisition links.
    pub fn add_app(&self, corp_id: &str, secret: &str) {
        self.world().add_app(corp_id, secret);
    }

    /// From now on the app's secret is another; tokens it has stay good.
    pub fn change_secret(&self, corp_id: &str, old: &str, new: &str) {
        self.world().change_secret(corp_id, old, new);
    }

    /// The corp's tokens are of no use from now on: 40014.
    pub fn invalidate_tokens(&self, corp_id: &str) {
        self.world().invalidate_tokens(corp_id);
    }

    /// The corp's tokens have run out: 42001.
    pub fn expire_tokens(&self, corp_id: &str) {
        let now = self.now();
        self.world().expire_tokens(corp_id, now);
    }

    /// All tokens that were ever given.
    pub fn tokens(&self) -> Vec<String> {
        self.world().tokens.keys().cloned().collect()
    }

    /// Puts the fake's clock ahead.
    pub fn advance(&self, by: Duration) {
        self.world().ahead += by;
    }

    /// Switches a fault on.
    pub fn fail(&self, switch: Switch) {
        self.world().faults.push(switch);
    }

    /// Switches all faults off.
    pub fn heal(&self) {
        self.world().faults.clear();
    }

    /// How answers look where WeCom's documents differ, and its limits.
    pub fn set_shape(&self, shape: Shape) {
        self.world().shape = shape;
    }

    /// How often an endpoint was called, such as `gettoken` or `create_link`.
    pub fn count(&self, endpoint: &str) -> u64 {
        self.world().hits.get(endpoint).copied().unwrap_or(0)
    }

    /// Names of all links that were ever made, be they changed or deleted since.
    pub fn ever_made(&self) -> Vec<String> {
        self.world().ever_made.clone()
    }

    /// Lets the calls that were held take their effect.
    pub async fn let_go(&self) {
        self.late.let_go().await;
    }

    /// The links that there are, of all apps.
    pub fn links(&self) -> Vec<Link> {
        self.world().links.clone()
    }

    /// The fake's time.
    pub fn now(&self) -> Micros {
        let ahead = self.world().ahead;
        self.ambient.now() + ahead
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
