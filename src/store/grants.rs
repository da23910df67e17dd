//! What the roles of the service and of erasing are granted, and whether they have it.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::Error;

/// Privilege and relation of each grant. The service may add orders but never change or remove
/// one; what it does not use itself is for people who query with its role.
const GRANTS: [(&str, &str, Use); 17] = [
    ("select", "orders", Use::Read),
    ("insert", "orders", Use::Write),
    ("select", "rejected_messages", Use::Read),
    ("insert", "rejected_messages", Use::Write),
    ("delete", "rejected_messages", Use::Write),
    ("select", "erasures", Use::Read),
    ("select", "primaries", Use::Read),
    ("insert", "primaries", Use::Write),
    ("select", "repairs", Use::Read),
    ("insert", "repairs", Use::Write),
    ("update", "repairs", Use::Write),
    ("insert", "audit_records", Use::Audit),
    ("select", "order_details", Use::ByPeople),
    ("select", "order_deliveries", Use::ByPeople),
    ("select", "order_payments", Use::ByPeople),
    ("select", "order_items", Use::ByPeople),
    ("select", "_sqlx_migrations", Use::ByPeople),
];

/// What a grant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The service, and commands that only read.
    Read,
    /// The service, and commands that write.
    Write,
    /// The service and commands, where `audit.target` is `postgres`.
    Audit,
    /// Not for the service itself.
    ByPeople,
}

/// What a migration grants to a role.
#[derive(Debug)]
pub(super) struct Rights {
    privileges: Vec<&'static str>,
    relations: Vec<&'static str>,
    functions: &'static [&'static str],
}

impl Rights {
    /// Those of the role that the service works as.
    pub(super) fn of_service() -> Self {
        let (privileges, relations) = split(|_| true);
        Self { privileges, relations, functions: &["rfc3339_to_timestamptz(text)"] }
    }

    /// Those of the role that erases. It may look for what to erase, and delete nothing but by
    /// the functions that put it on record.
    pub(super) fn of_erasing() -> Self {
        Self {
            privileges: vec!["select", "select", "select", "insert"],
            relations: vec!["orders", "rejected_messages", "erasures", "audit_records"],
            functions: &[
                "lock_for_erasure()",
                "erase_orders(bytea[], timestamptz[], text[], text[], bigint[])",
            ],
        }
    }

    /// Grants `role` all of it.
    pub(super) async fn grant(
        &self,
        connection: &mut PgConnection,
        role: &str,
    ) -> Result<(), Error> {
        // A statement that grants takes no parameters: the server itself quotes the names for it.
        let grants = sqlx::query_scalar!(
            "select format('grant usage on schema %I to %I; ', current_schema(), $1::text) \
                 || (select string_agg(format('grant execute on function %s to %I; ', function, $1), '') \
                     from unnest($4::text[]) as function) \
                 || (select string_agg(format('grant %s on %I to %I', privilege, relation, $1), '; ') \
                     from unnest($2::text[], $3::text[]) as needed (privilege, relation)) as \"sql!\"",
            role,
            &self.privileges as _,
            &self.relations as _,
            self.functions as _,
        );
        let grants = grants.fetch_one(&mut *connection).await?;
        sqlx::raw_sql(AssertSqlSafe(grants)).execute(connection).await?;
        Ok(())
    }

    /// Whether `role` has all of it; not when there is no such role.
    pub(super) async fn are_granted(
        &self,
        connection: &mut PgConnection,
        role: &str,
    ) -> Result<bool, Error> {
        let granted = sqlx::query_scalar!(
            "select has_schema_privilege(r.oid, current_schema(), 'usage') \
                 and (select bool_and(has_function_privilege(r.oid, function, 'execute')) \
                     from unnest($4::text[]) as function) \
                 and (select bool_and(has_table_privilege(r.oid, relation, privilege)) \
                     from unnest($2::text[], $3::text[]) as needed (privilege, relation)) \
             from pg_roles r where r.rolname = $1",
            role,
            &self.privileges as _,
            &self.relations as _,
            self.functions as _,
        );
        Ok(granted.fetch_optional(connection).await?.flatten().unwrap_or(false))
    }
}

/// Says whether the session's role can do what the service does: read, and if `writes`, write.
pub(super) async fn check(connection: &mut PgConnection, writes: bool) -> Result<(), Error> {
    let (privileges, relations) =
        split(|purpose| purpose == Use::Read || (writes && purpose == Use::Write));
    let missing = sqlx::query_scalar!(
        "select string_agg(upper(privilege) || ' on ' || relation, ', ') \
         from unnest($1::text[], $2::text[]) as needed (privilege, relation) \
         where not has_table_privilege(relation, privilege)",
        &privileges as _,
        &relations as _,
    );
    missing
        .fetch_one(connection)
        .await?
        .map_or(Ok(()), |missing| Err(Error::MissingGrants(missing)))
}

fn split(is_meant: impl Fn(Use) -> bool) -> (Vec<&'static str>, Vec<&'static str>) {
    GRANTS
        .into_iter()
        .filter(|(_, _, purpose)| is_meant(*purpose))
        .map(|(privilege, relation, _)| (privilege, relation))
        .unzip()
}
