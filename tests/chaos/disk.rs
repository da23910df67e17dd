//! A small disk of its own for the tables or the stream, so that it can be full. Needs root.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sqlx::postgres::PgPool;
use testbed::{Database, Postgres};

/// Room for what one world stores.
const SIZE: &str = "size=256m";

/// Of the directory it is mounted at, beside the data of the server.
const NAME: &str = "small-disk";

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
        let disk = Self::mount_for(&server, data.with_file_name(NAME))?;
        let tables = disk.tables();
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

    /// A standby of the server whose tables are on this disk, with one of its own.
    pub(crate) async fn standby(&self, postgres: &Postgres) -> Result<(Postgres, Self)> {
        let mut other = None;
        let server = fs::metadata(postgres.data_directory())?;
        let place = |dir: &Path| {
            let disk = Self::mount_for(&server, dir.join(NAME))?;
            let tablespaces = vec![(self.tables(), disk.tables())];
            other = Some(disk);
            Ok(tablespaces)
        };
        let standby = postgres.standby_with(place).await?;
        Ok((standby, other.context("nobody asked for a disk")?))
    }

    /// Mounts a disk with a directory for tables that the account of the server may write.
    fn mount_for(server: &fs::Metadata, dir: PathBuf) -> Result<Self> {
        let disk = Self::mount(dir)?;
        let tables = disk.tables();
        fs::create_dir(&tables)?;
        chown(&tables, Some(server.uid()), Some(server.gid()))?;
        Ok(disk)
    }

    fn tables(&self) -> PathBuf {
        self.dir.join("tables")
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
