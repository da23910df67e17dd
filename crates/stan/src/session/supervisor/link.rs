//! What the state of the NATS link asks of a session.

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
