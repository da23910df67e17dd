//! A way for messages to be published: to the channel or to the stream, reconnecting for ever.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jetstream::{Publisher, Terms};
use stan::{Connection, ConnectionState};
use testbed::broker::CLUSTER_ID;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::ledger::Outcome;
use crate::streams;
use crate::world::{CHANNEL, SUBJECT};

/// How long a publish may take before its outcome counts as unknown.
const PUB_ACK_TIMEOUT: Duration = Duration::from_secs(4);

/// Time between two attempts to reach the server.
const RETRY: Duration = Duration::from_millis(100);

/// A way for messages, if its server is there.
pub(crate) struct Outlet(watch::Receiver<Option<Arc<Link>>>);

/// A connection that messages can be published by.
pub(crate) enum Link {
    Channel(Connection),
    Stream(Box<Publisher>),
}

/// What is connected to.
enum Server {
    Channel(stan::Options),
    Stream(jetstream::Options),
}

impl Outlet {
    /// To the channel of a broker.
    pub(crate) fn to_channel(url: &str) -> Self {
        let mut options = stan::Options::new(url, CLUSTER_ID, "publisher");
        options.request_timeout = Duration::from_millis(500);
        options.ping_interval = Duration::from_secs(1);
        options.ping_max_out = 2;
        options.pub_ack_timeout = PUB_ACK_TIMEOUT;
        Self::open(Server::Channel(options))
    }

    /// To the stream.
    pub(crate) fn to_stream(urls: &str) -> Self {
        let mut options = streams::options(urls, "publisher");
        options.pub_ack_timeout = PUB_ACK_TIMEOUT;
        Self::open(Server::Stream(options))
    }

    fn open(server: Server) -> Self {
        let (link, links) = watch::channel(None);
        tokio::spawn(async move {
            tokio::select! {
                () = server.keep(&link) => {}
                () = link.closed() => {}
            }
        });
        Self(links)
    }

    /// The connection, while there is one.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.0.borrow().clone()
    }
}

impl Server {
    /// Connects again and again.
    async fn keep(&self, link: &watch::Sender<Option<Arc<Link>>>) {
        loop {
            match self {
                Self::Channel(options) => {
                    if let Ok(connection) = Connection::connect(options.clone()).await {
                        let mut state = connection.state();
                        link.send_replace(Some(Arc::new(Link::Channel(connection))));
                        // An error means that the connection has ended, which is waited for.
                        let _ = state.wait_for(|state| *state != ConnectionState::Open).await;
                        link.send_replace(None);
                    }
                }
                Self::Stream(options) => {
                    let publisher = async {
                        let connection = jetstream::Connection::connect(options.clone()).await?;
                        connection.publisher(SUBJECT).await
                    };
                    if let Ok(publisher) = publisher.await {
                        link.send_replace(Some(Arc::new(Link::Stream(Box::new(publisher)))));
                        // It finds the servers again by itself.
                        return std::future::pending().await;
                    }
                }
            }
            sleep(RETRY).await;
        }
    }
}

impl Link {
    /// Publishes, and tells how it ended.
    pub(crate) async fn publish(&self, payload: Bytes) -> Outcome {
        match self {
            Self::Channel(connection) => {
                let ack = match connection.publish_async(CHANNEL, payload).await {
                    Ok(ack) => ack.await,
                    Err(error) => Err(error),
                };
                match ack {
                    Ok(()) => Outcome::Confirmed,
                    Err(stan::PublishError::Disconnected | stan::PublishError::TooLarge { .. }) => {
                        Outcome::Unsent
                    }
                    Err(_) => Outcome::Maybe,
                }
            }
            Self::Stream(publisher) => {
                let stored = match publisher.publish(payload, Terms::default()).await {
                    Ok(ack) => ack.await,
                    Err(error) => Err(error),
                };
                match stored {
                    Ok(_) => Outcome::Confirmed,
                    Err(error) if error.may_be_stored() => Outcome::Maybe,
                    Err(_) => Outcome::Unsent,
                }
            }
        }
    }
}
