//! Which server is the primary, which ones have been, and the repairs that a change of them calls
//! for.

use std::collections::BTreeMap;
use std::fmt;

use sqlx::postgres::PgConnection;
use sqlx::types::Json;

use super::connection::with_timeout;
use super::{Error, Store, migrate, session};

/// Names the lock of the one that repairs, among the advisory locks of the database.
const REPAIR_LOCK: i64 = 0x7761_7962_696c_6c01;

/// A primary: a cluster, and the timeline of its write-ahead log. A fail-over begins a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Primary {
    /// The cluster's identifier, as `pg_control_system()` tells it.
    pub system: String,
    /// From 1.
    pub timeline: i64,
}

impl Primary {
    /// Whether it came after the other in the same cluster, so that the other is none any more.
    #[must_use]
    pub fn is_later_than(&self, other: &Self) -> bool {
        self.system == other.system && self.timeline > other.timeline
    }
}

/// What the server at the other end says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standpoint {
    /// None if it is a standby.
    pub primary: Option<Primary>,
    /// What it was marked with when it was noted. None before that, so that two primaries of one
    /// timeline, as of two standbys that were promoted one after the other, are told apart.
    pub mark: Option<String>,
    /// Whether a repair was asked for and is not finished.
    pub repairs_pending: bool,
    /// The repair that was asked for last.
    pub repair: Option<Repair>,
}

/// A repair that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The replica that noticed another primary.
    pub requested_by: String,
    /// How far it is.
    pub progress: RepairProgress,
    /// What could not be compared.
    pub gone: Gone,
    /// Whether it is done.
    pub finished: bool,
}

/// What became of a note of a primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// None if another replica was about to note it at the same moment: then nothing is done.
    pub mark: Option<String>,
    /// Whether a repair was asked for.
    pub repair_asked: bool,
}

/// How far a repair is: by source, the first sequence that is not compared yet.
pub type RepairProgress = BTreeMap<String, u64>;

/// By source, the sequences that it has no more, such as `3, 5–7`.
pub type Gone = BTreeMap<String, String>;

/// A repair that is to be done, and that nobody else does while this is kept.
#[derive(Debug)]
pub struct RepairClaim {
    /// The newest request that it is for; the older ones are done with it.
    pub id: i64,
    /// How far an earlier run for the same requests has come.
    pub progress: RepairProgress,
    /// What could not be compared, also by an earlier run.
    pub gone: Gone,
    lock: PgConnection,
}

impl fmt::Display for Primary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "timeline {} of system {}", self.timeline, self.system)
    }
}

/// Which primary the server is; none if it is a standby.
pub(super) async fn of(connection: &mut PgConnection) -> sqlx::Result<Option<Primary>> {
    // On a standby the function for the log's file name is an error.
    let query = sqlx::query!(
        "select (select system_identifier::text from pg_control_system()) as \"system!\", \
         case when not pg_is_in_recovery() \
             then left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline",
    );
    let row = with_timeout(query.fetch_one(connection)).await?;
    let timeline = row.timeline.and_then(|hex| i64::from_str_radix(&hex, 16).ok());
    Ok(timeline.map(|timeline| Primary { system: row.system, timeline }))
}

impl Store {
    /// Asks the server which primary it is.
    pub async fn standpoint(&self) -> Result<Standpoint, Error> {
        self.run("SELECT repairs", async |connection| {
            let primary = of(connection).await?;
            let query = sqlx::query!(
                "select exists (select from repairs where finished_at is null) as \"pending!\", \
                 (select mark::text from primaries \
                  where system_identifier = $1 and timeline = $2) as mark, \
                 newest.requested_by as \"requested_by?\", \
                 newest.progress as \"progress?: Json<RepairProgress>\", \
                 newest.gone as \"gone?: Json<Gone>\", \
                 newest.finished_at is not null as \"finished!\" \
                 from (values (1)) as one \
                 left join (select * from repairs order by id desc limit 1) as newest on true",
                primary.as_ref().map(|primary| &primary.system),
                primary.as_ref().map(|primary| primary.timeline),
            );
            let row = query.fetch_one(connection).await?;
            let repair = row.requested_by.map(|requested_by| Repair {
                requested_by,
                progress: row.progress.unwrap_or_default().0,
                gone: row.gone.unwrap_or_default().0,
                finished: row.finished,
            });
            let (mark, repairs_pending) = (row.mark, row.pending);
            Ok::<_, Error>(Standpoint { primary, mark, repairs_pending, repair })
        })
        .await
    }

    /// Notes the primary, and asks for a repair if something may be missing there: where it is not
    /// the first of these tables and nobody has noted it before, or not for longer than a day, for
    /// until it stopped a replica may have worked with the one before and nobody else knows; or
    /// where the one who asks `had_another`.
    pub async fn note_primary(
        &self,
        primary: &Primary,
        replica: &str,
        had_another: bool,
    ) -> Result<Noted, Error> {
        let query = sqlx::query!(
            "with fresh as (insert into primaries (system_identifier, timeline) values ($1, $2) \
                 on conflict do nothing returning mark, noticed_at), \
             this as (select * from fresh union all select mark, noticed_at from primaries \
                 where system_identifier = $1 and timeline = $2), \
             asked as (insert into repairs (requested_by, primary_mark) \
                 select $3, mark from this \
                 where $4 or (noticed_at > now() - interval '1 day' and exists ( \
                     select from primaries where (system_identifier, timeline) <> ($1, $2))) \
                 returning id) \
             select (select mark::text from this) as mark, \
                 exists (select from asked) as \"repair_asked!\"",
            primary.system,
            primary.timeline,
            replica,
            had_another,
        );
        let row =
            self.run("INSERT primaries", async |connection| query.fetch_one(connection).await);
        let row = row.await?;
        Ok(Noted { mark: row.mark, repair_asked: row.repair_asked })
    }

    /// Takes the repair that is to be done, if there is one that nobody does. It goes on where it
    /// stood, or begins where the last one of the same primary ended: what that has seen is there,
    /// and only later messages can have been stored elsewhere since. The lock is held by
    /// a connection beside the pool: who does the work needs those of the pool, which may be one.
    pub async fn claim_repair(&self) -> Result<Option<RepairClaim>, Error> {
        let within = self.pool.options().get_acquire_timeout();
        let mut lock = migrate::connect(&self.pool.connect_options(), within).await?;
        with_timeout(session::prepare(&mut lock, &self.servers)).await?;
        let locked =
            sqlx::query_scalar!("select pg_try_advisory_lock($1) as \"locked!\"", REPAIR_LOCK);
        if !with_timeout(locked.fetch_one(&mut lock)).await? {
            return Ok(None);
        }
        let newest = sqlx::query!(
            "select id, \
                 case when progress = '{}' then coalesce(( \
                     select done.progress from repairs as done \
                     where done.finished_at is not null \
                         and done.primary_mark = repairs.primary_mark \
                     order by done.id desc limit 1), progress) \
                 else progress end as \"progress!: Json<RepairProgress>\", \
                 gone as \"gone!: Json<Gone>\" \
             from repairs where finished_at is null order by id desc limit 1",
        );
        let newest = with_timeout(newest.fetch_optional(&mut lock)).await?;
        Ok(newest.map(|row| RepairClaim {
            id: row.id,
            progress: row.progress.0,
            gone: row.gone.0,
            lock,
        }))
    }

    /// Which of these orders are neither stored nor erased, in no particular order.
    pub async fn lacking_among(&self, uids: &[String]) -> Result<Vec<String>, Error> {
        let query = sqlx::query_scalar!(
            "select uid as \"uid!\" from unnest($1::text[]) as uid \
             where not exists (select from orders where order_uid = uid) \
                 and not exists (select from erasures \
                     where uid_sha256 = sha256(convert_to(uid, 'UTF8')))",
            uids,
        );
        self.run("SELECT orders", async |connection| query.fetch_all(connection).await).await
    }
}

impl RepairClaim {
    /// Notes how far it is, and what is gone. An error means that the claim may be lost with its connection.
    pub async fn note_progress(&mut self) -> Result<(), Error> {
        let (progress, gone) = (Json(&self.progress), Json(&self.gone));
        let query = sqlx::query!(
            "update repairs set progress = $2, gone = $3 where id = $1",
            self.id,
            progress as _,
            gone as _,
        );
        with_timeout(query.execute(&mut self.lock)).await?;
        Ok(())
    }

    /// Notes that it is done, and all those asked for before it.
    pub async fn finish(mut self) -> Result<(), Error> {
        let query = sqlx::query!(
            "update repairs set finished_at = now() where id <= $1 and finished_at is null",
            self.id,
        );
        with_timeout(query.execute(&mut self.lock)).await?;
        Ok(())
    }
}
