//! Accepting connections: one listener and one single-threaded runtime a core.
//!
//! axum's own `serve` has no limit on the time a head takes, nor on connections.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::deadline::{Activity, Limits};
use super::handshake::{self, Peer};
use super::refuse::{ProbesOnly, SpeakTls};
use super::request_body::RequestBody;
use super::timed_io::TimedIo;
use crate::http::body::Body;
use crate::metrics::Metrics;
use crate::tls::ServerTls;

/// Request heads and pipelined requests that a connection may hold in memory, in bytes.
const MAX_BUFFER: usize = 16 * 1024;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

pub(super) const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// How long a peer may be stuck once the service stops; the stop has other things to do.
pub(super) const LAST_ANSWER: Duration = Duration::from_secs(5);

/// How long to wait when the process has no file descriptor left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Binds `count` listeners to one address, among which the kernel spreads connections.
///
/// # Errors
/// An address in use, by whomever: the kernel would let another process of this user share it
/// in silence, so that is tried first.
pub(super) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<StdListener>> {
    let alone = listen(address, false)?;
    let address = alone.local_addr()?;
    if count == 1 {
        return Ok(vec![alone]);
    }
    drop(alone);
    (0..count).map(|_| listen(address, true)).collect()
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Something that answers requests. Called once a request, on the connection's own thread.
pub trait Respond: Clone + Send + 'static {
    /// The answer to one request.
    fn respond(
        &self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Body>> + Send + use<Self>;
}

/// What all listeners of a port share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) limits: Limits,
    pub(super) max_connections: usize,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) metrics: Metrics,
    pub(super) tls: Option<ServerTls>,
}

/// Accepts and serves until `stop`, then lets the connections finish what they are at.
pub(super) async fn serve<A: Respond>(
    listener: TcpListener,
    answer: A,
    shared: Shared,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "A connection could not be accepted");
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = ConnectionPermit::acquire(&shared) else {
            shared.metrics.http.connections_rejected.inc();
            continue;
        };
        let (answer, stop) = (answer.clone(), stop.clone());
        connections.spawn(async move {
            connection(stream, peer.ip(), answer, &permit.0, stop).await;
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// One of `max_connections`; returned when it is dropped.
struct ConnectionPermit(Shared);

impl ConnectionPermit {
    fn acquire(shared: &Shared) -> Option<Self> {
        let before = shared.connections.fetch_add(1, Ordering::Relaxed);
        // Made before the check, so that its drop takes the count back either way.
        let permit = Self(shared.clone());
        shared.metrics.http.connections.inc();
        (before < shared.max_connections).then_some(permit)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.http.connections.dec();
    }
}

fn protocol() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // Head and body in one buffer and one write. Not `pipeline_flush`, with which hyper
        // makes answers without end for a peer that sends requests and reads nothing.
        .writev(false)
        .max_buf_size(MAX_BUFFER)
        // A client may end its side after the request and still wait for the answer; one that
        // is gone is noticed when the answer, which is bounded in time, is written.
        .half_close(true);
    builder
}

async fn connection<A: Respond>(
    stream: TcpStream,
    peer: IpAddr,
    answer: A,
    shared: &Shared,
    stop: CancellationToken,
) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let activity = Activity::new(peer);
    match &shared.tls {
        None => converse(stream, answer, activity, shared.limits, stop).await,
        // Boxed: else the future of every plain connection would have room for it.
        Some(tls) => Box::pin(tls_connection(stream, answer, tls, shared, activity, stop)).await,
    }
}

async fn tls_connection<A: Respond>(
    stream: TcpStream,
    answer: A,
    tls: &ServerTls,
    shared: &Shared,
    activity: Arc<Activity>,
    stop: CancellationToken,
) {
    let limits = shared.limits;
    match handshake::meet(stream, tls, shared, &activity, &stop).await {
        None => {}
        Some(Peer::Plain(stream)) => converse(stream, SpeakTls, activity, limits, stop).await,
        Some(Peer::Encrypted { stream, has_certificate }) => {
            if tls.is_for_certificates() && !has_certificate {
                converse(stream, ProbesOnly(answer), activity, limits, stop).await;
            } else {
                converse(stream, answer, activity, limits, stop).await;
            }
        }
    }
}

/// Answers the requests of a connection until it ends.
async fn converse<T, A>(
    stream: T,
    answer: A,
    activity: Arc<Activity>,
    mut limits: Limits,
    stop: CancellationToken,
) where
    T: AsyncRead + AsyncWrite + Unpin,
    A: Respond,
{
    let service = service_fn({
        let activity = Arc::clone(&activity);
        move |request: Request<Incoming>| {
            let request = request.map(|incoming| RequestBody::new(incoming, &activity));
            let (activity, answering) = (Arc::clone(&activity), answer.respond(request));
            async move {
                let mut response = answering.await;
                if activity.is_partial() {
                    // hyper will close, and does not say so: the next request would go astray.
                    response.headers_mut().insert(CONNECTION, CLOSE);
                }
                activity.answer_made();
                Ok::<_, Infallible>(response)
            }
        }
    });
    let io = TimedIo::new(TokioIo::new(stream), Arc::clone(&activity));
    let mut connection = std::pin::pin!(protocol().serve_connection(io, service));
    let mut stopping = false;
    loop {
        tokio::select! {
            served = &mut connection => {
                if let Err(error) = served {
                    tracing::debug!(%error, "A connection ended badly");
                }
                return;
            }
            () = activity.expired(limits) => return,
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                limits = limits.at_most(LAST_ANSWER);
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Semaphore;

    use super::*;

    const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    /// Answers as often as there are permits, and says when it is asked.
    #[derive(Clone)]
    struct Held {
        asked: Arc<Semaphore>,
        permits: Arc<Semaphore>,
    }

    impl Respond for Held {
        fn respond(
            &self,
            _: Request<RequestBody>,
        ) -> impl Future<Output = Response<Body>> + Send + use<> {
            let Self { asked, permits } = self.clone();
            async move {
                asked.add_permits(1);
                permits.acquire().await.unwrap().forget();
                Response::new(Body::Routed("answer".into()))
            }
        }
    }

    struct Server {
        address: SocketAddr,
        held: Held,
        shared: Shared,
        stop: CancellationToken,
        end: tokio::task::JoinHandle<()>,
    }

    async fn start(max_connections: usize) -> Server {
        let listener = TcpListener::bind(ANYWHERE).await.unwrap();
        let address = listener.local_addr().unwrap();
        let none = || Arc::new(Semaphore::new(0));
        let held = Held { asked: none(), permits: none() };
        let minute = Duration::from_mins(1);
        let shared = Shared {
            limits: Limits { head: minute, idle: minute },
            max_connections,
            connections: Arc::default(),
            metrics: Metrics::new(),
            tls: None,
        };
        let stop = CancellationToken::new();
        let end = tokio::spawn(serve(listener, held.clone(), shared.clone(), stop.clone()));
        Server { address, held, shared, stop, end }
    }

    async fn request(server: &Server) -> TcpStream {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        server.held.asked.acquire().await.unwrap().forget();
        stream
    }

    #[test]
    fn an_address_in_use_is_refused_also_for_sharing() {
        let several = bind(ANYWHERE, 3).unwrap();
        let address = several[0].local_addr().unwrap();
        assert!(several.iter().all(|listener| listener.local_addr().unwrap() == address));
        for count in [1, 2] {
            assert_eq!(bind(address, count).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_answers_under_way_and_takes_nobody_new() {
        let server = start(2).await;
        let mut stream = request(&server).await;
        server.stop.cancel();
        while TcpStream::connect(server.address).await.is_ok() {}
        assert!(!server.end.is_finished());
        server.held.permits.add_permits(1);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("answer"), "{answer}");
        server.end.await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_before_the_end_of_a_request_reaches_who_sends_it() {
        let server = start(2).await;
        server.held.permits.add_permits(1);
        let body = "PUT / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n".to_owned();
        let head = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(MAX_BUFFER));
        for (request, answered) in [(body, b"HTTP/1.1 200"), (head, b"HTTP/1.1 431")] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, answered);
            for _ in 0..90 {
                stream.write_all(&[b'x'; 10_000]).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await.unwrap();
            assert!(rest.contains("connection: close"), "{rest}");
        }
        server.stop.cancel();
        server.end.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_closed_and_counted() {
        let server = start(1).await;
        let first = request(&server).await;
        let mut second = TcpStream::connect(server.address).await.unwrap();
        assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(server.shared.metrics.http.connections_rejected.get(), 1);
        drop(first);
        server.held.permits.add_permits(1);
        server.stop.cancel();
        server.end.await.unwrap();
        assert_eq!(server.shared.connections.load(Ordering::Relaxed), 0);
    }
}
