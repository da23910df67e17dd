//! A second server that streams from the first.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;

use super::{Postgres, temporary};
use crate::wait::eventually;

/// How long a server may take to read its settings again.
const RELOAD: Duration = Duration::from_secs(30);

impl Postgres {
    /// Starts a hot standby that streams from this server, with its settings and logins, on a
    /// port of its own. It is stopped and started like any server, which holds and releases the
    /// commits of a primary that waits for it; its slot keeps what it misses meanwhile.
    pub async fn standby(&self) -> Result<Self> {
        self.standby_with(|_| Ok(Vec::new())).await
    }

    /// The same of a server with tablespaces: `place`, given the directory of the standby, says
    /// where each of them is, and where the standby is to have it.
    pub async fn standby_with(
        &self,
        place: impl FnOnce(&Path) -> Result<Vec<(PathBuf, PathBuf)>>,
    ) -> Result<Self> {
        let (cluster, dir) = temporary()?;
        let tablespaces = place(dir.path())?;
        let number = self.standbys.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("standby_{number}");
        cluster.copy(&self.superuser_url(), &name, &tablespaces).await?;
        let mut settings = self.settings.clone();
        settings.push(("cluster_name".to_owned(), name));
        Self::serve(cluster, settings, self.password.clone(), dir).await
    }

    /// Has every commit wait for `standby`, or for none; in force when this returns.
    pub async fn set_synchronous(&self, standby: Option<&Self>) -> Result<()> {
        let name = match standby {
            Some(standby) => standby.psql(&standby.superuser_url(), "show cluster_name").await?,
            None => String::new(),
        };
        let url = self.superuser_url();
        let set = format!(
            "alter system set synchronous_standby_names = '{name}'; select pg_reload_conf()"
        );
        self.psql(&url, &set).await?;
        let in_force = if standby.is_some() {
            "select count(*) from pg_stat_replication where sync_state = 'sync'"
        } else {
            "select (current_setting('synchronous_standby_names') = '')::int"
        };
        eventually("the change of the synchronous standby", RELOAD, async || {
            (self.psql(&url, in_force).await.ok()? == "1").then_some(())
        })
        .await;
        Ok(())
    }

    /// Makes a standby a primary that waits for nobody.
    pub async fn promote(&self) -> Result<()> {
        let promote = "alter system reset synchronous_standby_names; select pg_reload_conf(); \
                       select pg_promote()";
        self.psql(&self.superuser_url(), promote).await.map(drop)
    }

    /// Makes a primary a standby that streams from nobody: it answers, and takes no writes.
    pub async fn demote(&mut self) -> Result<()> {
        self.stop().await?;
        self.cluster.write_for_server(&self.data_directory().join("standby.signal"), "")?;
        self.start_again().await
    }
}
