//! The servers of Postgres that the URL names, and which of them is used.
//!
//! Of several that say that they are the primary, as after a partition, the one of the latest
//! timeline is: a fail-over begins a new one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use super::primaries::{self, Primary};
use super::{Error, Store, one_server};
use crate::config::{TargetSession, server_urls};

/// How long each server may take to say what it is.
const WITHIN: Duration = Duration::from_millis(800);

/// What clones of a store share about its servers.
#[derive(Debug, Clone)]
pub(super) struct Servers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    named: Mutex<Named>,
    /// Which of them connections are made to.
    current: AtomicUsize,
    /// Held by the one who looks for another.
    looking: AsyncMutex<()>,
    /// Connections from before this are used for nothing more.
    renewed_at: Mutex<Instant>,
    /// The latest primary that is known; older ones are refused.
    latest: Mutex<Option<Primary>>,
}

/// What a URL names.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) servers: Vec<PgConnectOptions>,
    pub(super) target: TargetSession,
}

/// What a server says of itself.
struct Said {
    is_standby: bool,
    is_read_only: bool,
    primary: Option<Primary>,
}

impl Named {
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let no_url = |reason: String| Error::InvalidUrl(sqlx::Error::Configuration(reason.into()));
        let named = server_urls(url).map_err(no_url)?;
        let servers = named.urls.iter().map(|url| one_server(url)).collect::<Result<_, _>>()?;
        Ok(Self { servers, target: named.target })
    }

    /// The one to connect to, if one does what is asked for.
    pub(super) async fn choose(&self) -> Option<usize> {
        let answers = join_all(self.servers.iter().map(ask)).await;
        let fitting = answers.into_iter().enumerate().filter_map(|(number, said)| {
            let said = said.ok().filter(|said| said.fits(self.target))?;
            Some((number, said.primary.map_or(0, |primary| primary.timeline)))
        });
        // Of those of one timeline the first in the list.
        fitting.max_by_key(|(number, timeline)| (*timeline, usize::MAX - number)).map(|it| it.0)
    }
}

impl Said {
    fn fits(&self, target: TargetSession) -> bool {
        match target {
            TargetSession::Any => true,
            TargetSession::ReadWrite => !self.is_read_only && !self.is_standby,
            TargetSession::Primary => !self.is_standby,
        }
    }
}

async fn ask(server: &PgConnectOptions) -> Result<Said, Error> {
    let asking = async {
        let mut connection = PgConnection::connect_with(server).await?;
        let said = sqlx::query!(
            "select pg_is_in_recovery() as \"is_standby!\", \
             current_setting('default_transaction_read_only')::boolean as \"is_read_only!\"",
        );
        let said = said.fetch_one(&mut connection).await?;
        let primary = primaries::of(&mut connection).await?;
        connection.close().await?;
        let (is_standby, is_read_only) = (said.is_standby, said.is_read_only);
        Ok(Said { is_standby, is_read_only, primary })
    };
    timeout(WITHIN, asking).await.map_err(|_| Error::Retry(Error::silent(WITHIN)))?
}

impl Servers {
    pub(super) fn new(named: Named) -> Self {
        Self(Arc::new(Shared {
            named: Mutex::new(named),
            current: AtomicUsize::new(0),
            looking: AsyncMutex::default(),
            renewed_at: Mutex::new(Instant::now()),
            latest: Mutex::default(),
        }))
    }

    pub(super) fn named(&self) -> Named {
        self.0.named.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Names others, or the same with another login; the one to connect to.
    pub(super) fn rename(&self, named: Named) -> PgConnectOptions {
        let current = self.0.current.load(Ordering::Relaxed).min(named.servers.len() - 1);
        self.0.current.store(current, Ordering::Relaxed);
        let server = named.servers[current].clone();
        *self.0.named.lock().unwrap_or_else(PoisonError::into_inner) = named;
        server
    }

    /// Uses no connection any more that is open now.
    pub(super) fn renew(&self) {
        *self.0.renewed_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether a connection of this age may be used.
    pub(super) fn is_fresh(&self, age: Duration) -> bool {
        age < self.0.renewed_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Refuses older primaries than this from now on.
    pub(super) fn know(&self, primary: &Primary) {
        *self.0.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(primary.clone());
    }

    /// Says whether a connection that was just made leads to a server that may be used.
    pub(super) async fn check(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let target = self.0.named.lock().unwrap_or_else(PoisonError::into_inner).target;
        let latest = self.0.latest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if target == TargetSession::Any && latest.is_none() {
            return Ok(());
        }
        let primary = primaries::of(connection).await?;
        match (primary, latest) {
            (None, _) if target != TargetSession::Any => Err(Error::Standby),
            (Some(primary), Some(latest)) if latest.is_later_than(&primary) => {
                Err(Error::OldPrimary { old: primary.to_string(), now: latest.to_string() })
            }
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Looks which of several servers is the one to use, and moves there if it is another one;
    /// nothing if somebody else is looking, or if there is only one.
    pub async fn look_for_server(&self) {
        let Ok(_looking) = self.servers.0.looking.try_lock() else { return };
        let named = self.servers.named();
        if named.servers.len() == 1 {
            return;
        }
        let Some(chosen) = named.choose().await else { return };
        if self.servers.0.current.swap(chosen, Ordering::Relaxed) == chosen {
            return;
        }
        let server = named.servers[chosen].clone();
        tracing::warn!(
            host = server.get_host(),
            port = server.get_port(),
            "Postgres is used at another of its addresses now"
        );
        self.pool.set_connect_options(server);
        self.servers.renew();
    }

    /// Uses no connection any more that is open now: it may lead to a server that is not the
    /// primary any more.
    pub fn renew_connections(&self) {
        self.servers.renew();
    }

    /// From now on connections to primaries before this one are refused.
    pub fn refuse_before(&self, primary: &Primary) {
        self.servers.know(primary);
    }
}
