//! What the state of the NATS link asks of a session.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::transport::Link;

/// What a session does next, by the state of its link.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The link is down: nothing can be done until it is up.
    Wait,
    /// The subscription was made over this link: nothing is left to do.
    Live,
    /// The server cannot be asked whether the registration still holds: the subscription made
    /// over an earlier link stays as it is.
    Keep,
    /// Subscribe, for the first time or again.
    Subscribe,
}

/// `link` is the number of the link that is up, if one is; `subscribed_over` that of the link over
/// which the session last became live.
pub(super) fn next_step(
    link: Option<u64>,
    subscribed_over: Option<u64>,
    has_subscription: bool,
    can_verify: bool,
) -> Step {
    match link {
        None => Step::Wait,
        link if link == subscribed_over => Step::Live,
        _ if has_subscription && !can_verify => Step::Keep,
        _ => Step::Subscribe,
    }
}

/// Waits; a link that comes up ends the wait, for then it is worth another try at once.
pub(super) async fn pause(
    mut link: watch::Receiver<Link>,
    stop: &CancellationToken,
    delay: Duration,
) {
    let times = link.borrow().times;
    tokio::select! {
        () = sleep(delay) => {}
        () = stop.cancelled() => {}
        Ok(_) = link.wait_for(|link| link.up && link.times > times) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const DELAY: Duration = Duration::from_secs(5);

    #[test]
    fn a_session_subscribes_once_over_each_link() {
        for (link, subscribed_over, has_subscription, can_verify, step) in [
            (None, None, false, true, Step::Wait),
            (None, Some(1), true, true, Step::Wait),
            (Some(1), None, false, true, Step::Subscribe),
            (Some(1), None, false, false, Step::Subscribe),
            (Some(1), Some(1), true, true, Step::Live),
            (Some(2), Some(1), true, true, Step::Subscribe),
            (Some(2), Some(1), true, false, Step::Keep),
            // Closed for the new link, and the subscribe request after it failed.
            (Some(2), Some(1), false, true, Step::Subscribe),
        ] {
            let next = next_step(link, subscribed_over, has_subscription, can_verify);
            assert_eq!(next, step, "{link:?} {subscribed_over:?} {has_subscription} {can_verify}");
        }
    }

    /// Pauses while `event` happens after a second; answers how long.
    async fn paused(
        from: Link,
        event: impl FnOnce(&watch::Sender<Link>, &CancellationToken),
    ) -> Duration {
        let (sender, link) = watch::channel(from);
        let stop = CancellationToken::new();
        let began = Instant::now();
        let happening = async {
            sleep(Duration::from_secs(1)).await;
            event(&sender, &stop);
        };
        tokio::join!(pause(link, &stop, DELAY), happening);
        began.elapsed()
    }

    fn set(sender: &watch::Sender<Link>, link: Link) {
        sender.send_replace(link);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_early_only_by_a_new_link_or_a_stop() {
        let (down, up) = (Link { up: false, times: 1 }, Link { up: true, times: 1 });
        let second = Duration::from_secs(1);
        assert_eq!(paused(down, |_, _| {}).await, DELAY);
        assert_eq!(paused(up, |_, _| {}).await, DELAY, "this link was up before");
        assert_eq!(paused(up, |link, _| set(link, down)).await, DELAY);
        let next = Link { up: true, times: 2 };
        assert_eq!(paused(down, |link, _| set(link, next)).await, second);
        assert_eq!(paused(down, |_, stop| stop.cancel()).await, second);
    }
}
