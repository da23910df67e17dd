//! Asks a service for orders until it serves them.
//!
//! To ask for an order that is not stored yet costs the service more than to store it: each time
//! it asks Postgres. Orders are stored about in the order in which they were published, so only
//! the oldest few that are not served are asked for at a time, see [`Turns`], and those that were
//! not there are asked for again 1,600 times a second together. A time that is measured is too
//! long by 1 ms where one order is asked for, by up to 10 ms where sixteen are, and by the time of
//! an answer.

mod turns;

use std::time::Duration;

use anyhow::Context as _;
use backon::Retryable as _;
use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::http_client::HttpClient;
use crate::retry;
use crate::tls::ClientTls;
use crate::verify::Replica;
use turns::Turns;

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// No order is longer: the broker would not take it.
const MAX_ANSWER: usize = 64 << 20;

/// The pause between two attempts to reach the service at the start.
const START_PAUSE: Duration = Duration::from_millis(500);

/// The time between two questions for orders that were not there before, whichever: 1,600 a second.
const PAUSE: Duration = Duration::from_micros(625);

/// How long an order that is not served may keep younger ones from being asked for.
const TURN: Duration = Duration::from_millis(100);

/// Asks one service.
pub(super) struct Asker {
    client: HttpClient,
    service: Replica,
    turns: Turns,
}

impl Asker {
    pub(super) fn new(
        tls: &ClientTls,
        service: Replica,
        authorization: Option<HeaderValue>,
    ) -> Self {
        let client = HttpClient::new(tls, MAX_ANSWER).with_authorization(authorization);
        Self { client, service, turns: Turns::default() }
    }

    /// Waits until a lookup of an id that nobody has is answered.
    ///
    /// # Errors
    /// Why it is not, after so long.
    pub(super) async fn until_reached(&self, within: Duration) -> anyhow::Result<()> {
        let (uid, started) = (format!("{:016x}", fastrand::u64(..)), Instant::now());
        let attempt = async || match self.ask(&uid).await {
            Ok(StatusCode::NOT_FOUND) => Ok(()),
            Ok(status) => Err(format!("a lookup of an unknown id is answered with {status}")),
            Err(why) => Err(why),
        };
        let attempts = attempt.retry(retry::every(START_PAUSE));
        let reached = attempts.when(|_| started.elapsed() < within).await;
        reached.map_err(anyhow::Error::msg).with_context(|| self.service.to_string())
    }

    /// Asks for an order that was `sent` until it is served: when that was.
    ///
    /// # Errors
    /// What was answered last before `deadline`.
    pub(super) async fn until_served(
        &self,
        uid: &str,
        sent: Instant,
        deadline: Instant,
    ) -> Result<Instant, String> {
        let mut last = "not asked for".to_owned();
        timeout_at(deadline, self.ask_again_and_again(uid, sent, &mut last)).await.map_err(|_| last)
    }

    /// An order that is not served within its turn waits for a quarter of its age, then for
    /// another turn.
    async fn ask_again_and_again(&self, uid: &str, sent: Instant, last: &mut String) -> Instant {
        loop {
            let mut turn = self.turns.next().await;
            let turn_began = Instant::now();
            while turn_began.elapsed() < TURN {
                match self.ask(uid).await {
                    Ok(StatusCode::OK) => {
                        turn.served();
                        return Instant::now();
                    }
                    Ok(status) => *last = status.to_string(),
                    Err(why) => *last = why,
                }
                sleep(PAUSE * turn.missed()).await;
            }
            drop(turn);
            sleep(sent.elapsed() / 4).await;
        }
    }

    /// The status of the answer to a lookup, or why there was none.
    async fn ask(&self, uid: &str) -> Result<StatusCode, String> {
        let address = format!("{}/api/v1/orders/{uid}", self.service);
        match timeout(ANSWER_TIMEOUT, self.client.get(&address)).await {
            Ok(Ok(response)) => Ok(response.status()),
            // With its causes, which a client's own error text leaves out.
            Ok(Err(error)) => Err(format!("{error:#}")),
            Err(_) => Err(format!("no answer within {ANSWER_TIMEOUT:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A service that has every order whose id does not begin with `lost`, from the `first_hit`th
    /// request on, and how many requests it had.
    async fn service(first_hit: usize) -> (Asker, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, first_hit, Arc::clone(&counted)));
            }
        });
        (Asker::new(&ClientTls::none(), url.parse().unwrap(), None), requests)
    }

    async fn answer(mut stream: TcpStream, first_hit: usize, requests: Arc<AtomicUsize>) {
        let mut request = [0; 1024];
        while let Ok(length @ 1..) = stream.read(&mut request).await {
            let is_lost = request[..length].starts_with(b"GET /api/v1/orders/lost");
            let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
            let status = if is_lost || number < first_hit { "404 Not Found" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    }

    fn in_ms(milliseconds: u64) -> Instant {
        Instant::now() + Duration::from_millis(milliseconds)
    }

    #[tokio::test]
    async fn an_order_is_asked_for_until_it_is_served() {
        let (asker, requests) = service(4).await;
        let sent = Instant::now();
        let served = asker.until_served("a", sent, in_ms(60_000)).await.unwrap();
        assert_eq!(requests.load(Ordering::Relaxed), 4);
        assert!(served - sent >= 3 * PAUSE, "{:?}", served - sent);
    }

    #[tokio::test]
    async fn an_order_that_is_never_served_is_told_with_the_last_answer() {
        let (asker, _) = service(usize::MAX).await;
        let outcome = asker.until_served("a", Instant::now(), in_ms(50)).await;
        assert_eq!(outcome, Err("404 Not Found".to_owned()));
        let nobody = Asker::new(&ClientTls::none(), "http://127.0.0.1:1".parse().unwrap(), None);
        let error = nobody.until_served("a", Instant::now(), in_ms(50)).await.unwrap_err();
        assert!(error.contains("Connection refused"), "{error}");
        let error = nobody.until_reached(Duration::ZERO).await.unwrap_err();
        assert!(format!("{error:#}").starts_with("http://127.0.0.1:1: "), "{error:#}");
    }

    #[tokio::test]
    async fn lost_orders_do_not_keep_others_from_being_asked_for() {
        let (asker, _) = service(0).await;
        let sent = Instant::now();
        let deadline = in_ms(60_000);
        let lost: Vec<_> = (0..40).map(|number| format!("lost{number}")).collect();
        let lost = lost.iter().map(|uid| asker.until_served(uid, sent, deadline));
        let others = async {
            for _ in 0..3 {
                asker.until_served("a", Instant::now(), deadline).await.unwrap();
            }
        };
        tokio::select! {
            _ = join_all(lost) => panic!("what is lost is not served"),
            () = others => {}
        }
    }
}
