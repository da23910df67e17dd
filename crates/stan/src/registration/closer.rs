//! Ending a registration: the server is asked whether it still holds, then told to end it.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use crate::error::{Error, Lost, RequestKind};
use crate::protocol::{CloseRequest, CloseResponse, Ping, PingResponse};
use crate::transport::Transport;

/// What it takes to end a registration, also after its last owner is gone.
pub(super) struct Closer {
    pub(super) transport: Transport,
    pub(super) client_id: String,
    pub(super) conn_id: Bytes,
    /// The subject of close requests.
    pub(super) close: String,
    /// The subject of pings; empty with a server that takes none.
    pub(super) ping: String,
    pub(super) within: Duration,
}

impl Closer {
    /// Asks whether the registration still holds.
    pub(super) async fn verify(&self) -> Result<(), Error> {
        let ping = Ping { conn_id: self.conn_id.clone() };
        let within = self.within;
        match self.transport.request(RequestKind::Ping, &self.ping, &ping, within).await {
            Ok(PingResponse { .. }) => Ok(()),
            Err(Error::Refused { .. }) => Err(Lost::Replaced.into()),
            Err(error) => Err(error),
        }
    }

    /// Ends the registration, if it still holds.
    pub(super) async fn close(&self) -> Result<(), Error> {
        let Self { within, .. } = *self;
        let closing = async {
            if !self.ping.is_empty() {
                self.verify().await?;
            }
            self.request_close().await
        };
        let late = Error::Timeout { request: RequestKind::Close, after: within };
        timeout(within, closing).await.unwrap_or(Err(late))
    }

    async fn request_close(&self) -> Result<(), Error> {
        let request = CloseRequest { client_id: self.client_id.clone() };
        let within = self.within;
        let closed =
            self.transport.request(RequestKind::Close, &self.close, &request, within).await;
        closed.map(|CloseResponse { .. }| ())
    }
}
