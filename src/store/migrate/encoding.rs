//! Refusing databases whose text is not UTF-8.

use sqlx::postgres::PgConnection;

use super::super::Error;
use super::super::lease::answered;

/// Documents are stored as bytes, but the views read them as text of the database's encoding:
/// in any other than UTF-8 they would fail for every row, or show other letters.
pub(in crate::store) async fn refuse_other_encodings(
    connection: &mut PgConnection,
) -> Result<(), Error> {
    let other = sqlx::query_as::<_, (String, String, String, String)>(
        "select pg_encoding_to_char(encoding), datname, quote_ident(datname), \
             quote_ident(pg_get_userbyid(datdba)) \
         from pg_database \
         where datname = current_database() and pg_encoding_to_char(encoding) <> 'UTF8'",
    );
    match answered(other.fetch_optional(connection)).await? {
        None => Ok(()),
        Some((encoding, database, quoted, owner)) => {
            Err(Error::Encoding { encoding, database, quoted, owner })
        }
    }
}
