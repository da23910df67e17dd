//! Waiting for a state instead of sleeping.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `probe` again and again until it answers `Some`.
///
/// # Panics
///
/// When `deadline` has passed without an answer; the text names `what` was awaited.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let end = Instant::now() + deadline;
    loop {
        match timeout_at(end, probe()).await {
            Ok(Some(answer)) => return answer,
            Ok(None) if Instant::now() < end => sleep(PAUSE).await,
            Ok(None) | Err(_) => panic!("{what}: not within {deadline:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_ends_the_wait() {
        let mut asked = 0;
        let answer = eventually("third time", Duration::from_secs(5), async || {
            asked += 1;
            (asked == 3).then_some(asked)
        })
        .await;
        assert_eq!(answer, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "a probe that hangs: not within 50ms")]
    async fn a_probe_that_hangs_is_given_up() {
        eventually("a probe that hangs", Duration::from_millis(50), async || {
            std::future::pending::<Option<()>>().await
        })
        .await;
    }
}
