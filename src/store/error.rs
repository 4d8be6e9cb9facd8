//! Every failure of the store, classified once: conflict, unavailable, bug. "Not found" is
//! an `Option`, a taken name is a `bool`: neither is an error.

use sea_orm::{DbErr, RuntimeErr, SqlErr, SqlxError};
use sqlx::error::DatabaseError;

/// A failure of the store. Its text is the driver's, for logs only; values never stand in it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("store: {what}")]
pub struct Error {
    kind: Kind,
    what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Conflict,
    Unavailable,
    Bug,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Another transaction came first; the same work may be tried again.
    pub fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }

    /// The store is away, or too slow to answer.
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// Another transaction came first, in a way that the driver does not know.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self {
            kind: Kind::Conflict,
            what: what.into(),
        }
    }

    /// A row that cannot be read.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self {
            kind: Kind::Bug,
            what: what.into(),
        }
    }

    /// The store is away, for a reason of ours.
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self {
            kind: Kind::Unavailable,
            what: what.into(),
        }
    }
}

impl From<DbErr> for Error {
    fn from(e: DbErr) -> Self {
        // `Display` only: `Debug` of a PostgreSQL error prints the row's values.
        Self {
            kind: classify(&e),
            what: e.to_string(),
        }
    }
}

/// Serialization failure, deadlock, lock not available; SQLite's busy and locked, plain and extended.
const CONFLICTS: &[&str] = &["40001", "40P01", "55P03", "5", "6", "261", "262", "517"];

/// PostgreSQL's classes 08 (connection), 28 (authorization), 3D (no such database),
/// 53 (resources), 57 (operator intervention), 58 (system).
const AWAY_CLASSES: &[&str] = &["08", "28", "3D", "53", "57", "58"];

/// PostgreSQL's read-only transaction, as after a failover; idle in transaction for too long.
const AWAY_POSTGRES: &[&str] = &["25006", "25P03"];

/// SQLite's I/O error, full disk, cannot open, read-only, not a database.
const AWAY_SQLITE: &[&str] = &["10", "13", "14", "8", "26"];

fn classify(e: &DbErr) -> Kind {
    if let Some(SqlErr::UniqueConstraintViolation(_)) = e.sql_err() {
        return Kind::Conflict;
    }
    let runtime = match e {
        DbErr::ConnectionAcquire(_) => return Kind::Unavailable,
        DbErr::Conn(r) | DbErr::Exec(r) | DbErr::Query(r) => r,
        _ => return Kind::Bug,
    };
    let RuntimeErr::SqlxError(sqlx) = runtime else {
        // sea-orm's own words; of a connection that it lost, or of what it was told wrong.
        return if matches!(e, DbErr::Conn(_)) {
            Kind::Unavailable
        } else {
            Kind::Bug
        };
    };
    match &**sqlx {
        // A store that turns a connection away, for whatever reason, is away.
        SqlxError::Database(answer) => match of_code(&**answer) {
            Kind::Bug if matches!(e, DbErr::Conn(_)) => Kind::Unavailable,
            kind => kind,
        },
        SqlxError::Io(_)
        | SqlxError::Tls(_)
        | SqlxError::Protocol(_)
        | SqlxError::PoolTimedOut
        | SqlxError::PoolClosed
        | SqlxError::WorkerCrashed => Kind::Unavailable,
        // An address that leads nowhere.
        SqlxError::Configuration(_) if matches!(e, DbErr::Conn(_)) => Kind::Unavailable,
        _ => Kind::Bug,
    }
}

/// What the database says with its own code.
fn of_code(answer: &dyn DatabaseError) -> Kind {
    let Some(code) = answer.code() else {
        return Kind::Bug;
    };
    let code = code.as_ref();
    if CONFLICTS.contains(&code) {
        Kind::Conflict
    } else if code.len() == 5 && AWAY_CLASSES.contains(&&code[..2])
        || AWAY_POSTGRES.contains(&code)
        || code.len() <= 4 && AWAY_SQLITE.contains(&primary(code).as_str())
    {
        Kind::Unavailable
    } else {
        Kind::Bug
    }
}

/// SQLite's extended codes carry the primary one in the low byte.
fn primary(code: &str) -> String {
    code.parse::<u32>()
        .map_or_else(|_| code.to_owned(), |n| (n & 0xff).to_string())
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    fn kind(e: SqlxError) -> Kind {
        classify(&DbErr::Query(RuntimeErr::SqlxError(Arc::new(e))))
    }

    #[test]
    fn a_lost_way_to_the_store_is_an_outage_and_what_does_not_decode_is_a_bug() {
        for away in [
            SqlxError::Io(io::ErrorKind::ConnectionReset.into()),
            SqlxError::Tls("bad certificate".into()),
            SqlxError::Protocol("not PostgreSQL".to_owned()),
            SqlxError::PoolTimedOut,
            SqlxError::PoolClosed,
            SqlxError::WorkerCrashed,
        ] {
            let text = away.to_string();
            assert_eq!(kind(away), Kind::Unavailable, "{text}");
        }
        for bug in [
            SqlxError::RowNotFound,
            SqlxError::ColumnNotFound("no".to_owned()),
            SqlxError::Decode("not a number".into()),
            SqlxError::Encode("too long".into()),
            SqlxError::InvalidArgument("two".to_owned()),
            SqlxError::Configuration("option".into()),
        ] {
            let text = bug.to_string();
            assert_eq!(kind(bug), Kind::Bug, "{text}");
        }
    }
}
