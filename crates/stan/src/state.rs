//! Where registrations and sessions stand, as everything under them sees.

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
    /// Closed by [`Connection::close`](crate::Connection::close), or dropped.
    Closed,
}

/// Whether a session receives messages, and why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Looking for the server for the first time.
    Connecting,
    /// Registered and subscribed: messages are received.
    Live,
    /// The registration was lost; a new one is being made.
    Lost(Lost),
    /// The last attempt to register or subscribe failed so; the next will follow.
    Retrying(String),
    /// Ended by [`Session::close`](crate::Session::close), or dropped.
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

/// Sets the state; tells whether it was another one. Watchers are woken only then.
pub(crate) fn replace(state: &watch::Sender<SessionState>, present: SessionState) -> bool {
    state.send_if_modified(|state| {
        let changed = *state != present;
        *state = present;
        changed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_state_again_wakes_nobody() {
        let (sender, mut state) = watch::channel(SessionState::Connecting);
        let failed = |why: &str| SessionState::Retrying(why.to_owned());
        assert!(replace(&sender, failed("refused")));
        assert!(state.has_changed().is_ok_and(|changed| changed));
        state.mark_unchanged();
        assert!(!replace(&sender, failed("refused")));
        assert!(state.has_changed().is_ok_and(|changed| !changed));
        assert!(replace(&sender, failed("timed out")));
    }

    #[test]
    fn only_an_open_registration_is_lost_and_its_liveness_tasks_end_in_any_case() {
        let (sender, state) = watch::channel(ConnectionState::Closed);
        let ended = CancellationToken::new();
        lose(&sender, &ended, Lost::Replaced);
        assert!(ended.is_cancelled());
        assert_eq!(*state.borrow(), ConnectionState::Closed);
        sender.send_replace(ConnectionState::Open);
        lose(&sender, &ended, Lost::Replaced);
        lose(&sender, &ended, Lost::PingsUnanswered);
        assert_eq!(*state.borrow(), ConnectionState::Lost(Lost::Replaced), "the first counts");
    }
}
