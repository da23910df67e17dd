//! Whether a registration still holds, as everything under it sees.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::Lost;

/// Whether a registration still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// As far as we know the server counts us among its clients.
    Open,
    /// It ended without our asking; nothing is sent under its client id any more.
    Lost(Lost),
    /// We closed it.
    Closed,
}

/// Waits until the registration has ended, one way or the other.
pub(crate) async fn until_ended(mut state: watch::Receiver<ConnectionState>) {
    // An error means that the sender is gone, and with it the connection.
    let _ = state.wait_for(|state| *state != ConnectionState::Open).await;
}

/// Marks a registration as lost, unless it has ended already.
pub(crate) fn lose(state: &watch::Sender<ConnectionState>, ended: &CancellationToken, lost: Lost) {
    // Our answer to the server's heartbeats would keep the client id from whoever comes next.
    ended.cancel();
    end(state, ConnectionState::Lost(lost));
}

/// Ends an open registration as `last`; tells whether it was open.
pub(crate) fn end(state: &watch::Sender<ConnectionState>, last: ConnectionState) -> bool {
    state.send_if_modified(|state| {
        let open = *state == ConnectionState::Open;
        if open {
            *state = last;
        }
        open
    })
}
