//! Refusing databases whose text is not UTF-8.

use sqlx::postgres::PgConnection;

use super::super::Error;
use super::super::connection::with_timeout;

/// Documents are stored as bytes, but the views read them as text of the database's encoding:
/// in any other than UTF-8 they would fail for every row, or show other letters.
pub(in crate::store) async fn refuse_other_encodings(
    connection: &mut PgConnection,
) -> Result<(), Error> {
    let other = sqlx::query!(
        "select pg_encoding_to_char(encoding)::text as \"encoding!\", datname::text as \"database!\", \
             quote_ident(datname) as \"quoted!\", \
             quote_ident(pg_get_userbyid(datdba)) as \"owner!\" \
         from pg_database \
         where datname = current_database() and pg_encoding_to_char(encoding) <> 'UTF8'",
    );
    let error = other.map(|other| Error::Encoding {
        encoding: other.encoding,
        database: other.database,
        quoted: other.quoted,
        owner: other.owner,
    });
    with_timeout(error.fetch_optional(connection)).await?.map_or(Ok(()), Err)
}
