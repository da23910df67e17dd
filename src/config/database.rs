//! Where orders are kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow};

use super::{
    Secret, names,
    postgres_url::{self, DATABASE_URL, DatabaseUrl},
    reader::{Section, trimmed},
};

const ROLE: &str = "the name of a role, 1 to 63 bytes, not `public` or `none`";

/// `[database]`: Postgres.
#[derive(Debug, Clone)]
pub struct Database {
    url: DatabaseUrl,
    /// A file that holds the URL instead, read again every second.
    pub url_file: Option<PathBuf>,
    migrate_url: Option<DatabaseUrl>,
    erase_url: Option<DatabaseUrl>,
    /// Whether `serve` migrates before it starts.
    pub migrate: bool,
    /// Whether what a new primary may lack is put back from the channel and the stream.
    pub auto_repair: bool,
    /// The role the service logs in as, when it is not the owner of the tables.
    pub runtime_role: Option<String>,
    /// The role that erases orders, when it is not the owner of the tables.
    pub erase_role: Option<String>,
    /// The most connections that this replica opens to Postgres.
    pub max_connections: u32,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// What was logged of ignored parameters, for URLs are asked for again and again.
    logged: Arc<Mutex<BTreeSet<String>>>,
}

impl Database {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let parse = postgres_url::parse;
        let nowhere = DatabaseUrl { for_driver: Secret::new(String::new()), ignored: Vec::new() };
        Self {
            url: section.required_secret_url("url", DATABASE_URL, nowhere, parse),
            url_file: section.file("url_file"),
            migrate_url: section.secret_url("migrate_url", DATABASE_URL, parse),
            erase_url: section.secret_url("erase_url", DATABASE_URL, parse),
            migrate: section.flag("migrate"),
            auto_repair: section.flag("auto_repair"),
            runtime_role: section.optional_text("runtime_role", ROLE, names::is_role),
            erase_role: section.optional_text("erase_role", ROLE, names::is_role),
            max_connections: section.number("max_connections", 1..=1000),
            connect_timeout: section
                .duration("connect_timeout", Duration::from_millis(100)..=Duration::from_mins(5)),
            logged: Arc::default(),
        }
    }

    /// The URL to connect to now, with the parameters that the driver knows. With
    /// `database.url_file` the file is read each time, for the password may have changed.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds no URL.
    pub fn url(&self) -> anyhow::Result<Secret> {
        self.current().map(|(setting, url)| self.for_driver(setting, url))
    }

    /// The URL to migrate with: the owner's, or else the same as [`Self::url`].
    ///
    /// # Errors
    ///
    /// The same as [`Self::url`].
    pub fn migrate_url(&self) -> anyhow::Result<Secret> {
        match &self.migrate_url {
            Some(url) => Ok(self.for_driver("database.migrate_url", url.clone())),
            None => self.url(),
        }
    }

    /// The URL to erase orders with: that of a role of its own, or else the same as
    /// [`Self::migrate_url`].
    ///
    /// # Errors
    ///
    /// The same as [`Self::url`].
    pub fn erase_url(&self) -> anyhow::Result<Secret> {
        match &self.erase_url {
            Some(url) => Ok(self.for_driver("database.erase_url", url.clone())),
            None => self.migrate_url(),
        }
    }

    /// What to know of URLs that are valid: the parameters in them that are ignored.
    ///
    /// # Errors
    ///
    /// The same as [`Self::url`].
    pub fn notes(&self) -> anyhow::Result<Vec<String>> {
        let owner = self.migrate_url.clone().map(|url| ("database.migrate_url", url));
        let erase = self.erase_url.clone().map(|url| ("database.erase_url", url));
        let urls = [Some(self.current()?), owner, erase];
        Ok(urls.into_iter().flatten().filter_map(|(setting, url)| note(setting, &url)).collect())
    }

    /// The URL in force, and the setting it comes from.
    fn current(&self) -> anyhow::Result<(&'static str, DatabaseUrl)> {
        let Some(path) = &self.url_file else {
            return Ok(("database.url", self.url.clone()));
        };
        let name = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {name}, named by database.url_file"))?;
        let url = postgres_url::parse(trimmed(&text)).map_err(|reason| {
            anyhow!(
                "{name}, named by database.url_file, holds no valid URL: {reason}; it must be \
                 {DATABASE_URL}"
            )
        })?;
        Ok(("database.url_file", url))
    }

    fn for_driver(&self, setting: &str, url: DatabaseUrl) -> Secret {
        if let Some(note) = note(setting, &url)
            && self.logged.lock().unwrap_or_else(PoisonError::into_inner).insert(note.clone())
        {
            tracing::warn!(note, "Parameters of a URL of Postgres are ignored");
        }
        url.for_driver
    }
}

fn note(setting: &str, url: &DatabaseUrl) -> Option<String> {
    let names = url.ignored.join("`, `");
    let note = || format!("parameters of the URL in `{setting}` are ignored: `{names}`");
    (!url.ignored.is_empty()).then(note)
}
