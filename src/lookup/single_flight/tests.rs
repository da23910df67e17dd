use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::cache::Prepared;

const TIMEOUT: Duration = Duration::from_secs(2);

/// A Postgres whose answers are held until the test gives them.
struct Held {
    sent: mpsc::UnboundedSender<oneshot::Sender<Answer>>,
    queries: mpsc::UnboundedReceiver<oneshot::Sender<Answer>>,
}

impl Held {
    fn new() -> Self {
        let (sent, queries) = mpsc::unbounded_channel();
        Self { sent, queries }
    }

    /// Starts a request that asks this Postgres.
    fn ask(&self, flights: &SingleFlight, name: &str) -> JoinHandle<Answer> {
        let (flights, sent, uid) = (flights.clone(), self.sent.clone(), uid(name));
        let asked = Instant::now();
        let query = move || {
            let sent = sent.clone();
            async move {
                let (answer, answered) = oneshot::channel();
                sent.send(answer).unwrap();
                answered.await.expect("the test answers")
            }
        };
        tokio::spawn(async move { flights.ask(&uid, asked, query).await })
    }

    /// The next query that is sent.
    async fn query(&mut self) -> oneshot::Sender<Answer> {
        timeout(TIMEOUT, self.queries.recv()).await.expect("a query is sent").unwrap()
    }
}

fn uid(uid: &str) -> OrderUid {
    uid.parse().unwrap()
}

fn found() -> Answer {
    Answer::Found(Prepared::from_row("a", b"{}").expect("a short id"))
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_no_answer_to_whoever_asked_after_the_query_began() {
    let (flights, mut postgres) = (SingleFlight::new(8, TIMEOUT), Held::new());
    let first = postgres.ask(&flights, "a");
    let query = postgres.query().await;
    advance(Duration::from_millis(1)).await;
    let second = postgres.ask(&flights, "a");

    query.send(Answer::Absent).unwrap();
    assert_eq!(first.await.unwrap(), Answer::Absent);
    // Stored between the two requests: only a query of its own can see it.
    postgres.query().await.send(found()).unwrap();
    assert_eq!(second.await.unwrap(), found());
}

#[tokio::test(start_paused = true)]
async fn a_found_order_is_shared_by_all_who_wait() {
    let (flights, mut postgres) = (SingleFlight::new(8, TIMEOUT), Held::new());
    let waiting: Vec<_> = (0..100).map(|_| postgres.ask(&flights, "a")).collect();
    let query = postgres.query().await;
    query.send(found()).unwrap();
    for request in waiting {
        assert_eq!(request.await.unwrap(), found());
    }
    assert!(postgres.queries.is_empty(), "one query was enough");
}

#[tokio::test(start_paused = true)]
async fn a_query_that_panics_is_an_unknown_and_is_not_waited_for_again() {
    let flights = SingleFlight::new(8, TIMEOUT);
    let panics = || async { panic!("on purpose") };
    let answer = flights.ask(&uid("a"), Instant::now(), panics).await;
    assert_eq!(answer, Answer::CannotTell);
    let answer = flights.ask(&uid("a"), Instant::now(), || async { found() }).await;
    assert_eq!(answer, found());
}

#[tokio::test(start_paused = true)]
async fn who_gets_no_turn_is_told_that_it_is_unknown() {
    let (flights, mut postgres) = (SingleFlight::new(1, TIMEOUT), Held::new());
    let running = postgres.ask(&flights, "running");
    let query = postgres.query().await;
    let waiting: Vec<_> =
        (1..WAITING_PER_RUNNING).map(|n| postgres.ask(&flights, &n.to_string())).collect();

    let refused = postgres.ask(&flights, "one-too-many");
    let began = Instant::now();
    assert_eq!(refused.await.unwrap(), Answer::CannotTell);
    assert_eq!(began.elapsed(), Duration::ZERO);

    for request in waiting {
        assert_eq!(request.await.unwrap(), Answer::CannotTell);
    }
    assert_eq!(began.elapsed().as_secs(), TIMEOUT.as_secs());
    query.send(found()).unwrap();
    assert_eq!(running.await.unwrap(), found());
}
