//! SeaORM's only home. One type, `Db`, over a connection or a transaction; a noun's queries
//! stand in the file of that noun. What differs between the engines stands in `backend.rs`.

mod acquisition_links;
mod admitting;
mod appeals;
mod array;
mod audit;
mod backend;
mod bulk;
mod callbacks;
mod cards;
mod changes;
mod contact_events;
mod corps;
mod credit;
mod entity;
mod error;
mod events;
mod experiments;
mod exposures;
mod funnel;
mod held;
mod history;
mod imports;
mod leases;
mod link_health;
mod links;
mod meta;
mod migration;
mod openings;
mod outbox;
mod outcomes;
mod placements;
mod preview;
mod programs;
mod quotas;
mod reconciliation;
mod reported;
mod requests;
mod sanction_feed;
mod sanctions;
mod spend;
mod standings;
mod totals;
mod viewers;
mod violations;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, DatabaseConnection, DatabaseTransaction, EntityTrait,
    IntoActiveModel, PrimaryKeyTrait, TryInsertResult, sea_query::OnConflict,
};
use secrecy::SecretString;
use tokio::sync::Semaphore;

use crate::domain::{Clearance, Merchant, Micros};

pub use acquisition_links::Errand;
pub use appeals::Against;
pub use audit::AuditEntry;
pub use callbacks::Callback;
pub use cards::NewCard;
pub use changes::{Changed, Mark, Marks};
pub use contact_events::{Learned, Of};
pub use credit::CreditAccount;
pub use error::{Error, Result};
pub use events::Touched;
pub use exposures::Exposure;
pub use funnel::{Basis, Counted, Queued, Scope, Stretch, Tally};
pub use imports::{SpendImport, Turn};
pub use openings::Run;
pub use outbox::{Stands, StreamNote, Waiting};
pub use outcomes::{COMPARED, Outcome};
pub use placements::Shown;
pub use preview::Census;
pub use reconciliation::{AtWecom, Tapped};
pub use reported::Reported;
pub use requests::{Asked, Claim};
pub use sanctions::Sought;

/// Where the rows are, and how many connections may look at them.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite://path`, or `postgres://…`.
    pub url: SecretString,
    /// Connections at most; on SQLite the readers, beside one writer.
    pub max_connections: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL may work on one statement.
    pub statement_timeout: Duration,
}

/// The store: SQLite in a file, or PostgreSQL.
#[derive(Clone, Debug)]
pub struct Store {
    writer: DatabaseConnection,
    reads: Reads,
    /// What serving reads with, whatever the other calls are waiting for.
    serving: Reads,
    /// Asks how the store is, whatever the calls are waiting for.
    pinger: DatabaseConnection,
    /// One importer at a time has a connection; the others wait without.
    imports: Arc<Semaphore>,
}

/// Queries, over a connection or within a transaction.
#[derive(Clone, Debug)]
pub struct Db<C>(C, Around);

/// What goes with a connection.
#[derive(Clone, Debug, Default)]
struct Around {
    /// Whether what changes is told outward, too.
    tells: bool,
    marks: Arc<Marks>,
    /// What this transaction changes.
    changed: Arc<Mutex<Vec<Changed>>>,
}

impl Around {
    /// For a transaction of its own.
    fn fresh(&self) -> Self {
        Self {
            changed: Arc::default(),
            ..self.clone()
        }
    }
}

/// Queries outside a transaction. They see every write that was acknowledged before.
pub type Reads = Db<DatabaseConnection>;

/// A transaction that writes; dropped, it never was.
pub type Tx = Db<DatabaseTransaction>;

impl Store {
    /// Opens the store; a SQLite file and its folder are made where there are none.
    pub async fn open(options: &Options) -> Result<Self> {
        let backend::Pools {
            writer,
            reader,
            serving,
            pinger,
        } = backend::connect(options).await?;
        let around = Around::default();
        Ok(Self {
            writer,
            serving: Db(serving, around.clone()),
            reads: Db(reader, around),
            pinger,
            imports: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether what changes from here on is told outward, too.
    pub fn telling(mut self, tells: bool) -> Self {
        self.reads.1.tells = tells;
        self
    }

    /// Whether what changes is told outward.
    pub fn tells(&self) -> bool {
        self.reads.1.tells
    }

    /// Brings the schema up to date. Processes that start together do it once.
    pub async fn migrate(&self, now: Micros) -> Result<()> {
        backend::migrate(&self.writer, self.reads.1.fresh(), now).await
    }

    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Queries of serving, which have connections of their own.
    pub fn serving(&self) -> &Reads {
        &self.serving
    }

    /// What changed, as far as this process knows.
    pub fn marks(&self) -> &Arc<Marks> {
        &self.reads.1.marks
    }

    /// A transaction that may write; on SQLite the only one.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Db(
            backend::begin(&self.writer).await?,
            self.reads.1.fresh(),
        ))
    }

    /// Whether the store answers and its schema is there. Has a connection of its own: calls
    /// that wait for theirs do not make the store look away.
    pub async fn ping(&self) -> Result<()> {
        meta::look(&self.pinger).await
    }
}

impl Tx {
    /// The writes never were.
    pub async fn rollback(self) -> Result<()> {
        Ok(self.0.rollback().await?)
    }

    /// After this the writes are durable, and this process serves nothing older.
    pub async fn commit(self) -> Result<()> {
        let Around { marks, changed, .. } = &self.1;
        let changed = changes::taken(changed);
        self.insert_changes(&changed).await?;
        self.0.commit().await?;
        marks.mark(&changed);
        Ok(())
    }
}

/// Writes history as the service itself.
const SELF: &str = "mingpian";
/// Writes history where WeCom says that something is so.
pub const WECOM: &str = "wecom";

impl Tx {
    /// The number of the new row, or `None` when a unique name or slot is taken. Never
    /// "insert, catch the error, read": after an error PostgreSQL's transaction is dead.
    /// Names no index: `on_conflict_do_nothing()` would name the primary key alone.
    async fn insert_unless_taken<A>(&self, row: A) -> Result<Option<i64>>
    where
        A: ActiveModelTrait + ActiveModelBehavior + Send,
        <A::Entity as EntityTrait>::Model: IntoActiveModel<A>,
        <A::Entity as EntityTrait>::PrimaryKey: PrimaryKeyTrait<ValueType = i64>,
    {
        let outcome = A::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .try_insert()
            .exec(&self.0)
            .await?;
        Ok(match outcome {
            TryInsertResult::Inserted(row) => Some(row.last_insert_id),
            TryInsertResult::Conflicted | TryInsertResult::Empty => None,
        })
    }
}

/// What may show more than before is written only with the gate's word for it.
fn cleared(clearance: &Clearance, merchant: &Merchant) -> Result<()> {
    if clearance.configures(merchant) {
        Ok(())
    } else {
        Err(Error::corrupt("a write without its clearance"))
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::TransactionTrait;

    use super::*;

    /// On PostgreSQL readers and writers are one pool: see `tests/it/conformance`.
    #[tokio::test]
    async fn a_ping_needs_none_of_sqlites_readers_and_not_its_writer() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            url: format!("sqlite://{}/a.db", dir.path().display()).into(),
            max_connections: 1,
            acquire_timeout: Duration::from_millis(100),
            statement_timeout: Duration::from_secs(5),
        };
        let store = Store::open(&options).await.unwrap();
        store.migrate(Micros(0)).await.unwrap();
        let _writing = store.begin().await.unwrap();
        let _reading = store.reads.0.begin().await.unwrap();
        assert!(store.key_check().await.is_err());
        assert!(store.reads.count_cards(&merchant()).await.is_err());
        store.ping().await.unwrap();
    }

    fn merchant() -> Merchant {
        Merchant::from_id("klook").unwrap()
    }
}
