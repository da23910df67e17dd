//! A database with the two roles the service uses.

use super::Postgres;

/// A database, its owner for migrations and its runtime role, which may only connect until
/// the migrations grant it more.
#[derive(Debug, Clone)]
pub struct Database {
    /// Name of the database, such as `db_1`.
    pub name: String,
    /// Name of the role that the service works as.
    pub runtime_role: String,
    /// URL with the login of the runtime role.
    pub url: String,
    /// URL with the login of the owner, for migrations.
    pub owner_url: String,
}

/// The passwords of a database's two roles; of characters that need no escaping.
pub(crate) struct Passwords {
    pub(crate) runtime: String,
    pub(crate) owner: String,
}

impl Database {
    /// The logins of the database `name`; its roles are `name` and `name_owner`.
    pub(crate) fn new(name: &str, port: u16, passwords: &Passwords) -> Self {
        let login = |role: &str, password: &str| {
            format!("postgres://{role}:{password}@127.0.0.1:{port}/{name}")
        };
        Self {
            name: name.to_owned(),
            runtime_role: name.to_owned(),
            url: login(name, &passwords.runtime),
            owner_url: login(&format!("{name}_owner"), &passwords.owner),
        }
    }

    /// The same database on another server: a standby, or the primary it has become.
    #[must_use]
    pub fn on(&self, server: &Postgres) -> Self {
        self.at(server.port())
    }

    /// The same database by another port.
    pub(crate) fn at(&self, port: u16) -> Self {
        let there = |url: &str| match url.rsplit_once('@') {
            Some((login, _)) => format!("{login}@127.0.0.1:{port}/{}", self.name),
            None => url.to_owned(),
        };
        Self {
            url: there(&self.url),
            owner_url: there(&self.owner_url),
            name: self.name.clone(),
            runtime_role: self.runtime_role.clone(),
        }
    }
}

/// What psql runs as the superuser to make the database; it may run again at any time.
pub(crate) fn creation(name: &str, Passwords { runtime, owner }: &Passwords) -> String {
    format!(
        r"
select format('create role %I', role) from (values ('{name}'), ('{name}_owner')) as roles (role)
    where not exists (select from pg_roles where rolname = role) \gexec
alter role {name} login password '{runtime}';
alter role {name}_owner login password '{owner}';
select 'create database {name} owner {name}_owner'
    where not exists (select from pg_database where datname = '{name}') \gexec
revoke all on database {name} from public;
grant connect on database {name} to {name};
\connect {name}
alter schema public owner to {name}_owner;
revoke create on schema public from public;
"
    )
}
