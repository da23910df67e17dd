//! How a session is.

use tokio::sync::watch;

/// Whether a session receives messages, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Looking for the server for the first time.
    Connecting,
    /// Stream and consumer are there and are pulled from: messages are received.
    Live,
    /// The last attempt failed so, or pulling ended so; the next will follow.
    Retrying(String),
    /// Ended by [`Session::close`](crate::Session::close), or dropped.
    Closed,
}

/// Sets the state; tells whether it was another one. Watchers are woken only then.
pub(crate) fn replace(state: &watch::Sender<SessionState>, present: SessionState) -> bool {
    state.send_if_modified(|state| {
        let changed = *state != present;
        *state = present;
        changed
    })
}
