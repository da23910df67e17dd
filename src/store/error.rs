//! What an error of Postgres means for the work that met it, by its SQLSTATE.

use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

/// What kind of fault an error is. A fault of the system is never blamed on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself or by reconnecting: keep the work and try again.
    Transient,
    /// Stays until an operator changes the schema, a permission or a setting.
    Configuration,
    /// The rows themselves are refused.
    Content,
}

impl Class {
    /// Every class, for those who count by it.
    pub const ALL: [Self; 3] = [Self::Transient, Self::Configuration, Self::Content];

    /// Its name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Configuration => "configuration",
            Self::Content => "content",
        }
    }
}

/// Sorts an error by its SQLSTATE. What has none (I/O, TLS, protocol, a full pool) and what is
/// unknown counts as transient: trying again does no harm, refusing an order would.
#[must_use]
pub fn classify(error: &sqlx::Error) -> Class {
    let Some(code) = error.as_database_error().and_then(DatabaseError::code) else {
        return Class::Transient;
    };
    match code.get(..2) {
        _ if lost_its_session(error) => Class::Configuration,
        Some("42") => Class::Configuration,
        Some("22" | "23" | "54") => Class::Content,
        _ => Class::Transient,
    }
}

/// Whether a prepared statement was looked for in vain, or another was in its place: the session
/// is not the one in which it was prepared.
fn lost_its_session(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("26000" | "42P05"))
}

/// Why the store could not do what it was asked, named after what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Keep the work and try again, with a pause that grows.
    #[error("postgres cannot do it now: {0}")]
    Retry(sqlx::Error),
    /// Say so loudly and try again slowly: an operator has to act.
    #[error("postgres refuses the service, not a message: {0}")]
    RetrySlowly(sqlx::Error),
    /// The content is refused; trying again cannot help.
    #[error("postgres refuses the content: {0}")]
    Refuse(sqlx::Error),
    /// Say so loudly and try again slowly: when most of a batch is refused, the fault is more
    /// likely a constraint somebody added than all these orders.
    #[error("postgres refused {refused} of {total} orders of one batch, which is halted: {detail}")]
    Halt {
        /// How many were refused before giving up.
        refused: usize,
        /// How many distinct orders the batch had.
        total: usize,
        /// What Postgres said of the last one.
        detail: String,
    },
    /// Keep the work and try again: the URL asks for a primary.
    #[error("postgres is a standby where a primary is asked for")]
    Standby,
    /// Keep the work and try again: what is written there would be lost.
    #[error("postgres is {old}, which was the primary before {now} and must be none any more")]
    OldPrimary {
        /// The one that answers.
        old: String,
        /// The one that is known.
        now: String,
    },
    /// Keep the work and try again: somebody cancelled a wait for the synchronous standby, so
    /// that what is committed here may not be there.
    #[error("a commit was cut short before a synchronous standby confirmed it")]
    CutShort,
    /// The schema is not one this version can work with, and a migration cannot help.
    #[error("the schema does not fit this version: {0}")]
    Schema(MigrateError),
    /// Wait and try again: a migration needs a lock that somebody else holds.
    #[error("the migration needs a lock that is held by {0}")]
    Locked(String),
    /// The server does not know what a migration asks of it.
    #[error("postgres is version {found} and must be {oldest} or later")]
    OldServer {
        /// The major version it has.
        found: u32,
        /// The first that will do.
        oldest: u32,
    },
    /// The text of the database is not UTF-8, so that the views could not read the documents.
    #[error(
        "the database {database} has the encoding {encoding} and must have UTF8: \
         create database NAME owner {owner} encoding 'UTF8' template template0; \
         (instead of {quoted}, with a locale of UTF-8 or C)"
    )]
    Encoding {
        /// The encoding of the database, such as `LATIN1`.
        encoding: String,
        /// The name of the database.
        database: String,
        /// Its name as SQL has it.
        quoted: String,
        /// Its owner as SQL has it.
        owner: String,
    },
    /// A wrong setting: with it, an acknowledged order could be lost.
    #[error("synchronous_commit is off for this role or database and must have any other value")]
    SynchronousCommitOff,
    /// A setting that only a superuser may change makes Postgres answer with less than is
    /// stored, or with other bytes.
    #[error("{0} is on for this role, database or server and must be off")]
    UnsafeSetting(&'static str),
    /// What a query would find under the tables' names is not what the migrations made.
    #[error("the tables of waybill are not found: {0}")]
    WrongTables(String),
    /// The role was not granted what the service does.
    #[error("this role lacks {0}; a migration grants what is needed to `database.runtime_role`")]
    MissingGrants(String),
    /// The session is lent to others between two transactions.
    #[error(
        "this is a pooler such as PgBouncer that lends its sessions to others between two \
         transactions, which waybill cannot work with: set pool_mode = session for this \
         database, or connect to Postgres directly"
    )]
    SharedSession,
    /// A wrong setting: the text is not the URL of a Postgres.
    #[error("not a postgres url: {0}")]
    InvalidUrl(sqlx::Error),
}

impl Error {
    /// The class to count it under.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Retry(_)
            | Self::Standby
            | Self::OldPrimary { .. }
            | Self::CutShort
            | Self::Locked(_) => Class::Transient,
            Self::Refuse(_) => Class::Content,
            Self::RetrySlowly(_)
            | Self::Halt { .. }
            | Self::Schema(_)
            | Self::SynchronousCommitOff
            | Self::UnsafeSetting(_)
            | Self::WrongTables(_)
            | Self::OldServer { .. }
            | Self::Encoding { .. }
            | Self::MissingGrants(_)
            | Self::SharedSession
            | Self::InvalidUrl(_) => Class::Configuration,
        }
    }

    /// Whether a setting is wrong, so that the process should exit instead of trying again.
    #[must_use]
    pub fn is_wrong_setting(&self) -> bool {
        matches!(self, Self::SynchronousCommitOff | Self::InvalidUrl(_))
    }

    /// Postgres has not answered for `waited`.
    #[must_use]
    pub fn no_answer(waited: Duration) -> Self {
        Self::Retry(Self::silent(waited))
    }

    /// The error of a Postgres that has not answered for `waited`.
    pub(super) fn silent(waited: Duration) -> sqlx::Error {
        let text = format!("no answer for {} s", waited.as_secs());
        sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if lost_its_session(&error) {
            return Self::SharedSession;
        }
        match classify(&error) {
            Class::Transient => Self::Retry(error),
            Class::Configuration => Self::RetrySlowly(error),
            Class::Content => Self::Refuse(error),
        }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                match Self::from(error) {
                    // There is no message that could be refused.
                    Self::Refuse(error) => Self::RetrySlowly(error),
                    other => other,
                }
            }
            other => Self::Schema(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::error::Error as StdError;
    use std::fmt;

    use sqlx::error::ErrorKind;

    use super::*;

    #[derive(Debug)]
    struct Coded(&'static str);

    impl fmt::Display for Coded {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl StdError for Coded {}

    impl DatabaseError for Coded {
        fn message(&self) -> &str {
            self.0
        }
        fn code(&self) -> Option<Cow<'_, str>> {
            Some(Cow::Borrowed(self.0))
        }
        fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
            self
        }
        fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
            self
        }
        fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
            self
        }
        fn kind(&self) -> ErrorKind {
            ErrorKind::Other
        }
    }

    fn coded(code: &'static str) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Coded(code)))
    }

    #[test]
    fn every_class_of_sqlstate_is_sorted_as_promised() {
        let transient = [
            "08000", "08003", "08006", "08P01", "57014", "57P01", "57P02", "57P03", "53000",
            "53100", "53200", "53300", "58000", "58030", "58P01", "40001", "40P01", "55P03",
            "55000", "25006", "25P02", "28000", "28P01", "3D000", "XX000", "XX001", "XX002",
            "0A000", "72000", "99999", "", "4", "é1",
        ];
        let configuration = ["42501", "42P01", "42703", "42601", "42883", "42P05", "26000"];
        let content =
            ["22001", "22021", "22P05", "22003", "23502", "23505", "23514", "54000", "54001"];

        for (codes, class) in [
            (&transient[..], Class::Transient),
            (&configuration, Class::Configuration),
            (&content, Class::Content),
        ] {
            for code in codes {
                assert_eq!(classify(&coded(code)), class, "SQLSTATE {code}");
                assert_eq!(Error::from(coded(code)).class(), class, "SQLSTATE {code}");
            }
        }
    }

    #[test]
    fn an_error_without_a_sqlstate_is_transient() {
        for error in [
            sqlx::Error::PoolTimedOut,
            sqlx::Error::PoolClosed,
            sqlx::Error::Protocol("unexpected message".to_owned()),
            sqlx::Error::Tls("handshake failed".into()),
            sqlx::Error::Io(io::ErrorKind::ConnectionReset.into()),
            sqlx::Error::RowNotFound,
            Error::silent(Duration::from_secs(40)),
        ] {
            assert_eq!(classify(&error), Class::Transient, "{error}");
        }
    }

    #[test]
    fn only_settings_end_the_process() {
        assert!(Error::SynchronousCommitOff.is_wrong_setting());
        assert!(Error::InvalidUrl(sqlx::Error::PoolClosed).is_wrong_setting());
        for code in ["42501", "28P01", "3D000", "57P03", "22021"] {
            assert!(!Error::from(coded(code)).is_wrong_setting(), "SQLSTATE {code}");
        }
    }

    #[test]
    fn a_failed_migration_refuses_no_message() {
        let failed = MigrateError::ExecuteMigration(coded("23514"), 2);
        assert_eq!(Error::from(failed).class(), Class::Configuration);
        let unreachable = MigrateError::Execute(coded("57P03"));
        assert_eq!(Error::from(unreachable).class(), Class::Transient);
        assert_eq!(Error::from(MigrateError::Dirty(1)).class(), Class::Configuration);
    }
}
