//! A database with merchants, and our server on it.
//!
//! The first merchant is made by calls, the others are its copies by SQL: card, menu placement,
//! experiment, spend, and of the first [`NOTES`] a capsule on a note. What is not copied is
//! history, and a copied phone number or WeChat ID does not open, since it is sealed to its card:
//! the copies' menus show its mask, and their WeCom link, which is not sealed, opens.

use std::{fs, path::PathBuf, process::Command};

use mingpian::app::Ambient;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use tempfile::TempDir;

use crate::{
    args::{Args, Engine},
    caller,
    process::{Process, on_server_core},
    template,
};

/// Merchants with a capsule.
pub const NOTES: u64 = 1_000;
/// On a machine that pauses, because others use it, nobody is refused for that: a setting and its
/// value.
pub const PATIENT: (&str, &str) = ("MINGPIAN_LIMITS__QUEUE_MILLIS", "5000");

pub struct World {
    pub dir: TempDir,
    pub engine: Engine,
    pub url: String,
    /// The caller's.
    pub token: String,
    pub merchants: u64,
    settings: Vec<(String, String)>,
    /// PostgreSQL's server, and the database there.
    database: Option<(String, String)>,
}

impl World {
    /// With so many merchants.
    pub async fn new(args: &Args, engine: Engine, merchants: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        mingpian::keys::add(&dir.path().join("keys.toml"), [7; 64]).unwrap();
        let token = caller::token(&dir.path().join("jwks.json"));
        let mut world = Self {
            url: format!("sqlite://{}", dir.path().join("mingpian.db").display()),
            engine,
            token,
            merchants,
            settings: args.settings.clone(),
            database: None,
            dir,
        };
        if engine == Engine::Postgres {
            world.make_database(args.postgres.clone().unwrap()).await;
        }
        let server = world.serve();
        template::make(server.grpc, &world.token).await;
        server.end();
        world.multiply().await;
        world
    }

    async fn make_database(&mut self, server: String) {
        let name = format!("load_{}", Ambient::system().uuid().simple());
        let mut url: url::Url = server.parse().unwrap();
        url.set_path(&name);
        self.url = url.to_string();
        let db = Database::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        db.execute_unprepared(&create).await.unwrap();
        self.database = Some((server, name));
    }

    /// Our server on it, with tokens asked for and metrics on, as a replica that answers calls
    /// and takes events in.
    pub fn serve(&self) -> Process {
        self.serve_with(&[PATIENT])
    }

    /// With these settings: keys and values.
    pub fn serve_with(&self, more: &[(&str, &str)]) -> Process {
        let program = env!("CARGO_BIN_EXE_mingpian");
        let mut command = on_server_core(program);
        command.arg("serve");
        for listen in ["--grpc-listen", "--http-listen", "--admin-listen"] {
            command.args([listen, "127.0.0.1:0"]);
        }
        for (key, value) in self.settings() {
            command.env(format!("MINGPIAN_{key}"), value);
        }
        // A connection lives longer than a round.
        command.env("MINGPIAN_LIMITS__CONNECTION_AGE_SECONDS", "86400");
        // Few viewers tap for many.
        command.env("MINGPIAN_LIMITS__VIEWER_TAPS_PER_MINUTE", "0");
        command.envs(more.iter().copied());
        command.envs(self.settings.iter().cloned());
        Process::start(command, &self.file("ours.log"))
    }

    fn settings(&self) -> [(&'static str, String); 8] {
        let text = str::to_owned;
        [
            ("STORE_URL", self.url.clone()),
            ("KEYS_FILE", self.file("keys.toml").display().to_string()),
            ("AUTH__MODE", text("jwt")),
            ("AUTH__ISSUER", text(caller::ISSUER)),
            ("AUTH__AUDIENCE", text(caller::AUDIENCE)),
            (
                "AUTH__JWKS_FILE",
                self.file("jwks.json").display().to_string(),
            ),
            ("ROLES", text("serve,intake")),
            // Tokens are fetched before they are tapped.
            ("TOKENS__SERVED_TTL_SECONDS", text("3600")),
        ]
    }

    /// A database for a ceiling: of SQLite a copy, made before our server is on it, so that neither
    /// writes in the other's log.
    pub fn twin(&self) -> String {
        if self.engine == Engine::Postgres {
            return self.url.clone();
        }
        let twin = self.file("twin.db");
        fs::copy(self.file("mingpian.db"), &twin).unwrap();
        format!("sqlite://{}", twin.display())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.url.clone());
        options.max_connections(1).sqlx_logging(false);
        Database::connect(options).await.unwrap()
    }

    /// One number.
    pub async fn count(&self, sql: &str) -> i64 {
        let db = self.connect().await;
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let row = db.query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by_index(0).unwrap()
    }

    async fn multiply(&self) {
        let db = self.connect().await;
        if self.engine == Engine::Sqlite {
            for pragma in ["synchronous = OFF", "cache_size = -500000"] {
                let pragma = format!("PRAGMA {pragma}");
                db.execute_unprepared(&pragma).await.unwrap();
            }
        }
        for sql in copies(self.merchants) {
            db.execute_unprepared(&sql).await.unwrap();
        }
        // What a planner knows of a database that grew, and a log that is not in anybody's way.
        db.execute_unprepared("ANALYZE").await.unwrap();
        if self.engine == Engine::Sqlite {
            let empty = "PRAGMA wal_checkpoint(TRUNCATE)";
            db.execute_unprepared(empty).await.unwrap();
        }
        db.close().await.unwrap();
    }
}

/// The name of a merchant; the first is the template.
pub fn merchant(n: u64) -> String {
    format!("load-{n}")
}

fn copies(merchants: u64) -> [String; 4] {
    let n = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})",
        merchants - 1
    );
    let of_first = "WHERE merchant = 'load-0'";
    [
        format!(
            "INSERT INTO cards (merchant, id, display_name, headline, avatar_uri, contacts, \
             deleted, version, create_time, update_time) {n} \
             SELECT 'load-' || i, id, display_name, headline, avatar_uri, contacts, deleted, \
             version, create_time, update_time FROM cards, n {of_first}"
        ),
        format!(
            "INSERT INTO placements (merchant, id, card_no, card_id, kinds, surface, position, \
             target, slot, state, version, create_time, update_time) \
             SELECT c.merchant, p.id, c.no, p.card_id, p.kinds, p.surface, p.position, \
             replace(p.target, 'load-0', c.merchant), replace(p.slot, 'load-0', c.merchant), \
             p.state, p.version, p.create_time, p.update_time \
             FROM cards c, placements p WHERE c.merchant <> 'load-0' AND p.merchant = 'load-0' \
             AND (p.surface = 1 OR c.no <= {NOTES})"
        ),
        format!(
            "INSERT INTO experiments (merchant, id, body, start_time) {n} \
             SELECT 'load-' || i, id, replace(body, 'load-0', 'load-' || i), start_time \
             FROM experiments, n {of_first}"
        ),
        format!(
            "INSERT INTO spend (merchant, day, source, version, amount, delta, import_no, time) \
             {n} SELECT 'load-' || i, day, source, version, amount, delta, import_no, time \
             FROM spend, n {of_first}"
        ),
    ]
}

impl Drop for World {
    fn drop(&mut self) {
        let Some((server, name)) = self.database.take() else {
            return;
        };
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        let dropped = Command::new("psql").args([&server, "-qc", &sql]).status();
        if !dropped.is_ok_and(|status| status.success()) {
            eprintln!("the database {name} stays behind");
        }
    }
}
