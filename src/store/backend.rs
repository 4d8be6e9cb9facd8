//! Every difference between the engines.

use std::{
    fs, io,
    path::Path,
    pin::pin,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    IsolationLevel, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use secrecy::ExposeSecret;
use sqlx::{
    Connection, PgConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    Around, Db, Error, Options, Reads, Result, SELF, Store, Tx, array::array, migration::Migrator,
    totals::Totals,
};
use crate::domain::{Micros, Program};

/// How long SQLite's one writer waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Memory for the writer's pages, in KiB below zero as SQLite has it: an import goes through
/// much of the file again and again.
const WRITER_CACHE: &str = "-65536";
/// Pages in the journal, of 4 KiB, before they are written back: what changes again until then
/// is written back once.
const WRITER_CHECKPOINT: &str = "8192";
/// Rows that SQLite's thread may be ahead of their reader: each time it is not, two threads
/// change places.
const ROW_BUFFER: usize = 1024;
/// Between two tries, where SQLite does not wait by itself.
const BUSY_PAUSE: Duration = Duration::from_millis(20);
/// A connection is pinged again only after it lay idle for so long.
const IDLE_BEFORE_PING: Duration = Duration::from_secs(30);
/// Names the lock under which PostgreSQL's schema changes: "mingpian" in ASCII.
const MIGRATION_LOCK: i64 = 0x6d69_6e67_7069_616e;
/// Names the lock under which programs change: "programs" in ASCII.
const PROGRAMS_LOCK: i64 = 0x7072_6f67_7261_6d73;
/// Names the lock under which corps are counted: "corps" in ASCII.
const CORPS_LOCK: i64 = 0x63_6f72_7073;
/// Names the lock under which the feed of sanctions grows: "sanction" in ASCII.
const SANCTIONS_LOCK: i64 = 0x7361_6e63_7469_6f6e;

/// Between two transactions of an import on SQLite: longer than the 100 ms after which it looks
/// again whether another process still writes, so that who waits gets its turn.
const GIVE_WAY: Duration = Duration::from_millis(120);

/// After so long without an answer, on this connection or another, PostgreSQL is silent. The feed
/// of changes is looked at more often.
const SILENCE: Duration = Duration::from_secs(2);

/// How long a ping waits for its connection, and for a new one.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How long PostgreSQL lets a transaction wait for its client: less than serving waits for a number
/// that was skipped (`serving/feed.rs`).
const LONGEST_PAUSE: &str = "30s";

/// Connections with which serving reads: one for each kind of answer, one for the feed, and one more.
const SERVING_CONNECTIONS: u32 = 6;

/// The writer's pool and the readers', which are one on PostgreSQL; serving's, which waits for
/// nobody else; and a connection for pings.
pub(super) struct Pools {
    pub writer: DatabaseConnection,
    pub reader: DatabaseConnection,
    pub serving: DatabaseConnection,
    pub pinger: DatabaseConnection,
}

pub(super) async fn connect(options: &Options) -> Result<Pools> {
    let url = options.url.expose_secret();
    if DbBackend::Sqlite.is_prefix_of(url) {
        return sqlite(url, options).await;
    }
    if !DbBackend::Postgres.is_prefix_of(url) {
        return Err(Error::unavailable(
            "store_url must begin with sqlite:// or postgres://",
        ));
    }
    let mut pool = pool(url, options);
    pool.max_connections(options.max_connections)
        .min_connections(1)
        .set_application_name("mingpian")
        .statement_timeout(options.statement_timeout)
        .map_sqlx_postgres_opts(|o| {
            o.options([("idle_in_transaction_session_timeout", LONGEST_PAUSE)])
        });
    distrust_silence(&mut pool, options.statement_timeout);
    let db = Database::connect(pool.clone()).await?;
    Ok(Pools {
        writer: db.clone(),
        reader: db,
        serving: Database::connect(for_serving(pool.clone())).await?,
        pinger: pinger(pool).await?,
    })
}

async fn sqlite(url: &str, options: &Options) -> Result<Pools> {
    let file = SqliteConnectOptions::from_str(url)
        .map_err(|_| Error::unavailable("store_url: not the address of a SQLite file"))?;
    make_folder(file.get_filename())?;
    make_file(file.get_filename())?;

    let mut writer = pool(url, options);
    writer.max_connections(1).map_sqlx_sqlite_opts(|o| {
        o.create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("cache_size", WRITER_CACHE)
            .pragma("wal_autocheckpoint", WRITER_CHECKPOINT)
    });
    let writer = first_connection(writer).await?;

    let mut reader = pool(url, options);
    reader
        .max_connections(options.max_connections)
        .map_sqlx_sqlite_opts(|o| {
            o.busy_timeout(BUSY_TIMEOUT)
                .pragma("query_only", "on")
                .row_buffer_size(ROW_BUFFER)
        });
    Ok(Pools {
        writer,
        reader: Database::connect(reader.clone()).await?,
        serving: Database::connect(for_serving(reader.clone())).await?,
        pinger: pinger(reader).await?,
    })
}

fn for_serving(mut pool: ConnectOptions) -> ConnectOptions {
    pool.max_connections(SERVING_CONNECTIONS).min_connections(1);
    pool
}

async fn pinger(mut pool: ConnectOptions) -> Result<DatabaseConnection> {
    pool.max_connections(1)
        .min_connections(0)
        .acquire_timeout(PING_TIMEOUT);
    Ok(Database::connect(pool).await?)
}

/// SQLite does not wait for its lock while it turns a new file to WAL, so of processes that
/// start together all but one would fail.
async fn first_connection(pool: ConnectOptions) -> Result<DatabaseConnection> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match Database::connect(pool.clone()).await.map_err(Error::from) {
            Err(e) if e.is_conflict() && Instant::now() < give_up => sleep(BUSY_PAUSE).await,
            connected => return connected,
        }
    }
}

fn pool(url: &str, options: &Options) -> ConnectOptions {
    let mut pool = ConnectOptions::new(url);
    pool.acquire_timeout(options.acquire_timeout)
        .connect_timeout(Duration::from_secs(5))
        .test_before_acquire_if_idle_for(IDLE_BEFORE_PING)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    pool
}

/// Gives up connections to a PostgreSQL that vanished without a word, as a machine that fails
/// over does: TCP itself would wait for it for a quarter of an hour. Who got no answer in time
/// goes away; then the connection is asked once more (sqlx asks by itself, too, but waits), and
/// where nothing comes all that are older are closed as they are wanted again.
fn distrust_silence(pool: &mut ConnectOptions, statement_timeout: Duration) {
    let heard = Arc::<Heard>::default();
    let listening = heard.clone();
    pool.map_sqlx_postgres_pool_opts(move |options| {
        let heard = heard.clone();
        options.after_release(move |connection, _| {
            let heard = heard.clone();
            Box::pin(async move { heard.answers(connection, statement_timeout).await })
        })
    });
    pool.map_sqlx_postgres_before_acquire(move |_, met| {
        let trusted = !listening.is_from_before_silence(met.age);
        Box::pin(async move { Ok(trusted) })
    });
}

/// What was heard of PostgreSQL, on any connection.
#[derive(Default)]
struct Heard(Mutex<LastHeard>);

#[derive(Default)]
struct LastHeard {
    answered: Option<Instant>,
    silent: Option<Instant>,
}

impl Heard {
    /// Asks, and waits while others are answered: then it is only slow, until its statement times
    /// out.
    async fn answers(
        &self,
        connection: &mut PgConnection,
        statement_timeout: Duration,
    ) -> Result<bool, sqlx::Error> {
        let longest = Instant::now() + statement_timeout + SILENCE;
        let mut ping = pin!(connection.ping());
        loop {
            let answer = timeout(SILENCE, &mut ping).await;
            let (now, mut heard) = (Instant::now(), self.lock());
            if let Ok(answer) = answer {
                heard.answered = Some(now);
                return answer.map(|()| true);
            }
            let others = heard.answered.is_some_and(|at| now - at < SILENCE);
            if !others {
                heard.silent = Some(now);
            }
            if !others || now > longest {
                return Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
            }
        }
    }

    fn is_from_before_silence(&self, age: Duration) -> bool {
        let silent = self.lock().silent;
        silent.is_some_and(|silent| age >= silent.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, LastHeard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_folder(file: &Path) -> Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::create_dir_all(folder)
            .map_err(|e| Error::unavailable(format!("folder {}: {e}", folder.display()))),
        _ => Ok(()),
    }
}

/// SQLite itself would make it readable by everybody that the umask lets; its journal takes
/// the file's mode.
fn make_file(file: &Path) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(file) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(Error::unavailable(format!("file {}: {e}", file.display())))
        }
        _ => Ok(()),
    }
}

/// SQLite's deferred transactions fail at once when they turn from reading to writing.
pub(super) async fn begin(db: &DatabaseConnection) -> Result<DatabaseTransaction> {
    let immediate = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    Ok(db.begin_with_options(immediate).await?)
}

impl Reads {
    /// Its queries see the store as it stands at the first of them. SQLite's transactions always
    /// do.
    pub(super) async fn snapshot(&self) -> Result<Tx> {
        let repeatable = match self.0.get_database_backend() {
            DbBackend::Postgres => Some(IsolationLevel::RepeatableRead),
            _ => None,
        };
        let snapshot = self.0.begin_with_config(repeatable, None).await?;
        Ok(Db(snapshot, self.1.fresh()))
    }
}

/// sea-orm-migration takes no lock: PostgreSQL gets one for the length of the transaction,
/// SQLite's immediate transaction is one.
/// The first time, it makes the default program.
pub(super) async fn migrate(db: &DatabaseConnection, around: Around, now: Micros) -> Result<()> {
    let tx = begin(db).await?;
    if tx.get_database_backend() == DbBackend::Postgres {
        // A first replica may migrate for longer than a call may take.
        tx.execute_unprepared("SET LOCAL statement_timeout = 0")
            .await?;
        advisory_lock(&tx, MIGRATION_LOCK).await?;
    }
    Migrator::up(&tx, None).await?;
    // SQLite begins even where it may not write, and would go on without a word.
    tx.execute_unprepared("UPDATE meta SET name = name WHERE 1 = 0")
        .await?;
    let tx = Db(tx, around);
    tx.make_event_days(now).await?;
    if tx.programs_page("", 1).await?.is_empty() {
        tx.insert_program(Program::default_at(now), SELF).await?;
    }
    tx.commit().await
}

impl Store {
    fn is_sqlite(&self) -> bool {
        self.writer.get_database_backend() == DbBackend::Sqlite
    }

    /// Between two transactions of a long import: lets other processes write.
    pub async fn give_way(&self) {
        if self.is_sqlite() {
            sleep(GIVE_WAY).await;
        }
    }
}

impl Db<DatabaseTransaction> {
    /// What works on all merchants takes longer than a call may, until this transaction ends.
    /// SQLite knows no such limit.
    pub(super) async fn lift_statement_timeout(&self) -> Result<()> {
        if self.0.get_database_backend() == DbBackend::Postgres {
            let lift = "SET LOCAL statement_timeout = 0";
            self.0.execute_unprepared(lift).await?;
        }
        Ok(())
    }

    /// For a transaction of many callers that finds all it reads by keys, until it ends. A lock that
    /// another keeps for longer than a moment is a conflict. Plans are kept, because to make one takes
    /// longer than to run it, and go by indexes, because one that was made for an empty table would
    /// read all of it. SQLite's one writer waits for no lock, and keeps its plans anyway.
    pub async fn of_many(&self) -> Result<()> {
        if self.0.get_database_backend() == DbBackend::Postgres {
            let settings = "SET LOCAL lock_timeout = '100ms'; \
                            SET LOCAL plan_cache_mode = force_generic_plan; \
                            SET LOCAL enable_seqscan = off";
            self.0.execute_unprepared(settings).await?;
        }
        Ok(())
    }

    /// Until this transaction ends statements are planned for the tables as they are. Each day's
    /// partition begins empty, and a plan that was kept then reads all of it, for as long as
    /// nobody has analyzed it. SQLite's plans do not depend on how much there is.
    pub(super) async fn plan_anew(&self) -> Result<()> {
        if self.0.get_database_backend() == DbBackend::Postgres {
            let anew = "SET LOCAL plan_cache_mode = force_custom_plan";
            self.0.execute_unprepared(anew).await?;
        }
        Ok(())
    }

    /// Counting and inserting for one merchant, one after the other. SQLite has one writer
    /// anyway.
    pub async fn lock_merchant(&self, merchant: &str) -> Result<()> {
        self.lock_merchants([merchant]).await
    }

    /// For several, each of them once, likewise; who locks several does so in their order.
    pub async fn lock_merchants(&self, merchants: impl IntoIterator<Item = &str>) -> Result<()> {
        if self.0.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let mut merchants: Vec<_> = merchants.into_iter().collect();
        merchants.sort_unstable();
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock(hashtextextended(id, 0)) FROM unnest($1::text[]) AS id",
            [array(&merchants, |id| (*id).to_owned())],
        );
        self.0.execute_raw(statement).await?;
        Ok(())
    }

    /// Counting, inserting and changing programs and their lists, likewise.
    pub async fn lock_programs(&self) -> Result<()> {
        if self.0.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        advisory_lock(&self.0, PROGRAMS_LOCK).await
    }

    /// Counting and inserting corps, likewise.
    pub async fn lock_corps(&self) -> Result<()> {
        if self.0.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        advisory_lock(&self.0, CORPS_LOCK).await
    }

    /// Until this transaction ends nobody else adds to the feed of sanctions: its numbers grow
    /// in the order of commits. Comes after every other lock, so that nobody waits for another
    /// in a circle.
    pub(super) async fn lock_sanction_feed(&self) -> Result<()> {
        if self.0.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        advisory_lock(&self.0, SANCTIONS_LOCK).await
    }

    /// The programs stay as they are read after this, until this transaction ends; many may
    /// hold them. Who waits to change them comes before who asks later, which `FOR SHARE` does
    /// not see to: a kill switch must not wait for a gap between writes.
    pub async fn hold_programs(&self) -> Result<()> {
        if self.0.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        let statement = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock_shared($1)",
            [PROGRAMS_LOCK.into()],
        );
        self.0.execute_raw(statement).await?;
        Ok(())
    }
}

impl Db<DatabaseTransaction> {
    /// Whether an opening `o` has no totals, in SQL. PostgreSQL keeps the totals for a second
    /// look; SQLite gives them away as it sums them up, and finds a key in the ledger at once.
    pub(super) fn unspent(&self, totals: &Totals) -> String {
        if self.0.get_database_backend() == DbBackend::Postgres {
            return "NOT EXISTS (SELECT FROM totals t WHERE t.merchant = o.merchant)".to_owned();
        }
        let within = totals.within();
        format!("NOT EXISTS (SELECT 1 FROM spend s WHERE s.merchant = o.merchant AND {within})")
    }
}

pub(super) async fn advisory_lock(tx: &DatabaseTransaction, key: i64) -> Result<()> {
    let statement = Statement::from_sql_and_values(
        DbBackend::Postgres,
        "SELECT pg_advisory_xact_lock($1)",
        [key.into()],
    );
    tx.execute_raw(statement).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pragma(db: &DatabaseConnection, name: &str) -> String {
        let statement = Statement::from_string(DbBackend::Sqlite, format!("PRAGMA {name}"));
        let row = db.query_one_raw(statement).await.unwrap().unwrap();
        let number = row.try_get_by_index(0).map(|n: i64| n.to_string());
        number.unwrap_or_else(|_| row.try_get_by_index(0).unwrap())
    }

    #[tokio::test]
    async fn sqlites_settings_are_in_force_on_its_connections() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            url: format!("sqlite://{}/a.db", dir.path().display()).into(),
            max_connections: 4,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
        };
        let Pools { writer, reader, .. } = connect(&options).await.unwrap();
        for (db, name, value) in [
            (&writer, "journal_mode", "wal"),
            (&writer, "synchronous", "2"),
            (&writer, "foreign_keys", "1"),
            (&writer, "busy_timeout", "5000"),
            (&writer, "query_only", "0"),
            (&reader, "journal_mode", "wal"),
            (&reader, "busy_timeout", "5000"),
            (&reader, "query_only", "1"),
        ] {
            assert_eq!(pragma(db, name).await, value, "{name}");
        }
        // See .cargo/config.toml.
        let options = Statement::from_string(DbBackend::Sqlite, "PRAGMA compile_options");
        let options = writer.query_all_raw(options).await.unwrap();
        let mut options = options.iter().map(|row| row.try_get_by_index(0).unwrap());
        assert!(options.any(|option: String| option == "ENABLE_QPSG"));
        let write = "CREATE TABLE t (a)";
        reader.execute_unprepared(write).await.unwrap_err();
        writer.execute_unprepared(write).await.unwrap();
    }
}
