//! Making a new connection one that the promises can rest on, whatever the role, the database,
//! the URL or somebody between us and Postgres has set.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};

use super::Error;
use super::connection::with_timeout;
use super::servers::Servers;

/// What is fixed in each session: name, value and why. One that this Postgres does not know yet
/// is left out. Besides these the search path is fixed to the schema of the migrations, and
/// `synchronous_commit` to the value it has when the connection is made, which must not be off.
pub const SETTINGS: [(&str, &str, &str); 9] = [
    (
        "client_min_messages",
        "warning",
        "a commit that no standby has confirmed is told of by a warning alone",
    ),
    (
        "row_security",
        "off",
        "a query from which row-level security would hide rows is an error, not a shorter answer",
    ),
    ("statement_timeout", "30s", "a statement takes milliseconds, so one that takes this is stuck"),
    (
        "lock_timeout",
        "10s",
        "the only locks met are those of another batch, so this long means an operator",
    ),
    ("transaction_timeout", "0", "the warm-up of a large table takes long"),
    (
        "default_transaction_isolation",
        "read committed",
        "a query sees what was committed before it began, and batches do not fail each other",
    ),
    ("client_encoding", "UTF8", "ids and documents pass unchanged"),
    ("DateStyle", "ISO, MDY", "a time in a filter means the same everywhere"),
    ("TimeZone", "UTC", "a time in a filter means the same everywhere"),
];

/// What only a superuser may set and must be off: with it Postgres answers with less than was
/// stored, or with other bytes.
const MUST_BE_OFF: [&str; 2] = ["zero_damaged_pages", "ignore_checksum_failure"];

tokio::task_local! {
    /// Why the connection that was just made must not be used.
    static REFUSED: RefCell<Option<Error>>;
}

/// What `acquiring` a connection answers, unless that made a connection which was refused.
/// The pool itself would try such a one again and again, and then name its timeout only.
pub(super) async fn refusing<T>(
    acquiring: impl Future<Output = sqlx::Result<T>>,
) -> (sqlx::Result<T>, Option<Error>) {
    let scope = async { (acquiring.await, REFUSED.with(RefCell::take)) };
    // Boxed: it is large, and every caller's future would hold it.
    REFUSED.scope(RefCell::new(None), Box::pin(scope)).await
}

/// Prepares a connection that the pool has made. A refusal goes to [`refusing`], which
/// closes the connection instead of using it.
pub(super) async fn prepare_for_pool(
    connection: &mut PgConnection,
    servers: &Servers,
) -> sqlx::Result<()> {
    let Err(error) = prepare(connection, servers).await else { return Ok(()) };
    let mut error = Some(error);
    let told = REFUSED.try_with(|refused| refused.replace(error.take()));
    match (told, error) {
        (Err(_), Some(error)) => Err(sqlx::Error::Configuration(Box::new(error))),
        _ => Ok(()),
    }
}

/// Prepares a connection that was just made, or says why it must not be used.
pub(super) async fn prepare(connection: &mut PgConnection, servers: &Servers) -> Result<(), Error> {
    servers.check(connection).await?;
    let session = claim(connection).await?;
    fix_settings(connection).await?;
    let schemas = run(connection, include_str!("sql/schemas.sql").to_owned()).await?;
    let schema = sole_schema(&schemas)?;
    let pin = format!(
        "select set_config('search_path', format('pg_catalog, %I, pg_temp', '{}'), false), \
         current_setting('waybill.session', true)",
        schema.replace('\'', "''")
    );
    let pinned = run(connection, pin).await?;
    match pinned.first().map(|row| row.try_get::<Option<String>, _>(1)).transpose()?.flatten() {
        Some(still) if still == session => Ok(()),
        _ => Err(Error::SharedSession),
    }
}

/// Marks the session as this connection's own, before anything is done in it. A pooler that
/// lends its sessions for a transaction at a time hands out one with the mark of another.
async fn claim(connection: &mut PgConnection) -> Result<String, Error> {
    let session = format!("{:032x}", fastrand::u128(..));
    let claim = format!(
        "select pg_catalog.current_setting('waybill.session', true), \
         pg_catalog.set_config('waybill.session', '{session}', false)"
    );
    let rows = run(connection, claim).await?;
    let before = rows.first().map(|row| row.try_get::<Option<String>, _>(0)).transpose()?;
    match before.flatten().as_deref() {
        // A setting that was reset is empty, not unknown.
        None | Some("") => Ok(session),
        Some(_) => Err(Error::SharedSession),
    }
}

/// Refuses to work through a pooler that lends its sessions for a transaction at a time: while
/// nothing is done on a connection, such a one hands its session to the next.
pub(super) async fn refuse_shared(
    options: &PgConnectOptions,
    connect_timeout: Duration,
) -> Result<(), Error> {
    let claims = async {
        let mut first = PgConnection::connect_with(options).await?;
        claim(&mut first).await?;
        let mut second = PgConnection::connect_with(options).await?;
        let shared = claim(&mut second).await;
        second.close().await?;
        first.close().await?;
        shared.map(drop)
    };
    let silent = |_| Error::Retry(Error::silent(connect_timeout));
    tokio::time::timeout(connect_timeout, claims).await.map_err(silent)?
}

/// Fixes [`SETTINGS`], and refuses what cannot be fixed. The path on which tables would have
/// been found is kept for the search of the schema; until that is over, nothing is on it.
async fn fix_settings(connection: &mut PgConnection) -> Result<(), Error> {
    let mut fix = String::from(
        "select pg_catalog.set_config('synchronous_commit', \
         pg_catalog.current_setting('synchronous_commit'), false), \
         pg_catalog.set_config('waybill.search_path', \
         pg_catalog.current_schemas(false)::pg_catalog.text, false), \
         pg_catalog.set_config('search_path', 'pg_catalog', false)",
    );
    for name in MUST_BE_OFF {
        // Writing to a string cannot fail, here and below.
        let _ = write!(fix, ", pg_catalog.current_setting('{name}')");
    }
    // What is asked of the trigger that keeps erased orders out of the table.
    fix.push_str(", pg_catalog.set_config('waybill.erased_orders', 'refuse', false)");
    for (name, value, _) in SETTINGS {
        let _ = write!(
            fix,
            ", case when pg_catalog.current_setting('{name}', true) is not null \
             then pg_catalog.set_config('{name}', '{value}', false) end"
        );
    }
    let rows = run(connection, fix).await?;
    let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    if row.try_get::<String, _>(0)? == "off" {
        return Err(Error::SynchronousCommitOff);
    }
    for (name, column) in MUST_BE_OFF.into_iter().zip(3..) {
        if row.try_get::<String, _>(column)? != "off" {
            return Err(Error::UnsafeSetting(name));
        }
    }
    Ok(())
}

/// The one schema whose tables are those of the migrations.
fn sole_schema(rows: &[PgRow]) -> Result<String, Error> {
    let mut found = Vec::new();
    let mut faults = Vec::new();
    for row in rows {
        let (schema, fault): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        if fault.is_empty() {
            found.push(schema);
        } else {
            faults.push(format!("in schema {schema} {fault}"));
        }
    }
    match (&found[..], faults.is_empty()) {
        ([schema], _) => Ok(schema.clone()),
        ([], true) => Err(Error::WrongTables(
            "there are none in any schema that this role may use and its search_path names"
                .to_owned(),
        )),
        ([], false) => Err(Error::WrongTables(faults.join("; "))),
        _ => Err(Error::WrongTables(format!(
            "the search_path of this role leads to several schemas with tables of waybill: {}",
            found.join(", ")
        ))),
    }
}

/// Runs a statement without preparing it first, which takes one round trip less and leaves
/// nothing behind in a session that may turn out to be another's.
async fn run(connection: &mut PgConnection, sql: String) -> sqlx::Result<Vec<PgRow>> {
    with_timeout(connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(sql)))).await
}
