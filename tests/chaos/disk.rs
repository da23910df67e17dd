//! A small disk of its own for the tables or the stream, so that it can be full. Needs root.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sqlx::postgres::PgPool;
use testbed::{Database, Postgres};

/// Room for what one world stores.
const SIZE: &str = "size=256m";

/// A tmpfs, unmounted when this is dropped.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
}

/// Whether this process may mount: it is root, and not one that a container keeps from it.
pub(crate) fn is_possible() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    effective.is_some_and(|set| set & CAP_SYS_ADMIN != 0)
}

impl Disk {
    /// Mounts a disk at a place that is not there yet.
    pub(crate) fn mount(dir: PathBuf) -> Result<Self> {
        fs::create_dir(&dir)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "waybill-chaos"])
            .arg(&dir)
            .status()
            .context("cannot start mount")?;
        ensure!(status.success(), "mount failed");
        Ok(Self { dir })
    }

    /// Mounts a disk and has the tables of the database made there.
    pub(crate) async fn for_tables(
        postgres: &Postgres,
        sql: &PgPool,
        database: &Database,
    ) -> Result<Self> {
        let data = postgres.data_directory();
        let server = fs::metadata(&data)?;
        let disk = Self::mount(data.with_file_name("small-disk"))?;
        let tables = disk.dir.join("tables");
        fs::create_dir(&tables)?;
        chown(&tables, Some(server.uid()), Some(server.gid()))?;
        let Database { runtime_role, .. } = database;
        let statements = [
            format!("create tablespace small location '{}'", tables.display()),
            format!("grant create on tablespace small to {runtime_role}_owner"),
            format!("alter role {runtime_role}_owner set default_tablespace = small"),
        ];
        for statement in statements {
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(sql).await?;
        }
        Ok(disk)
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut ballast = File::create(self.ballast())?;
        let block = vec![0; 64 * 1024];
        loop {
            match ballast.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("cannot fill the small disk"),
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn empty(&self) -> Result<()> {
        fs::remove_file(self.ballast()).context("cannot empty the small disk")
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    /// Unmounts at once; open files keep it alive until they are closed.
    pub(crate) fn unmount(&self) -> Result<()> {
        let status = Command::new("umount").arg("-l").arg(&self.dir).status();
        ensure!(status.context("cannot start umount")?.success(), "umount failed");
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What was not unmounted cannot be told to anybody here.
        let _ = self.unmount();
    }
}
