//! Where orders are kept.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};

use super::{
    Secret,
    names::{self, DATABASE_URL},
    reader::Section,
};

/// `[database]`: Postgres.
#[derive(Debug, Clone)]
pub struct Database {
    url: Secret,
    /// Holds the URL instead.
    pub url_file: Option<PathBuf>,
    migrate_url: Option<Secret>,
    /// Whether `serve` migrates before it starts.
    pub migrate: bool,
    /// The role the service logs in as, when it is not the owner of the tables.
    pub runtime_role: Option<String>,
    /// Connections of this replica.
    pub max_connections: u32,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
}

impl Database {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let is_url = names::is_database_url;
        Self {
            url: section.required_secret_url("url", DATABASE_URL, is_url),
            url_file: section.file("url_file"),
            migrate_url: section.secret_url("migrate_url", DATABASE_URL, is_url),
            migrate: section.flag("migrate"),
            runtime_role: section.optional_text(
                "runtime_role",
                "1 to 63 letters, digits, `_` and `-`",
                names::is_role,
            ),
            max_connections: section.number("max_connections", 1..=1000),
            connect_timeout: section
                .duration("connect_timeout", Duration::from_millis(100)..=Duration::from_mins(5)),
        }
    }

    /// The URL to connect to now. With `database.url_file` the file is read each
    /// time, for the password may have changed.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds no URL.
    pub fn url(&self) -> anyhow::Result<Secret> {
        let Some(path) = &self.url_file else {
            return Ok(self.url.clone());
        };
        let name = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {name}, named by database.url_file"))?;
        let url = text.trim_end();
        ensure!(
            names::is_database_url(url),
            "{name}, named by database.url_file, holds no legal URL; legal is {DATABASE_URL}"
        );
        Ok(Secret::new(url.to_owned()))
    }

    /// The URL to migrate with: the owner's, or else the same as [`Self::url`].
    ///
    /// # Errors
    ///
    /// The same as [`Self::url`].
    pub fn migrate_url(&self) -> anyhow::Result<Secret> {
        match &self.migrate_url {
            Some(url) => Ok(url.clone()),
            None => self.url(),
        }
    }
}
