//! What comes before the requests on a port with TLS.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::accept::{LAST_ANSWER, Shared};
use super::deadline::{Activity, Limits};
use crate::tls::ServerTls;

/// Bytes of answers that a connection may hold encrypted for a peer that does not take them.
const MAX_UNSENT: usize = 16 * 1024;

/// Who is at the other end.
pub(super) enum Peer {
    /// It speaks TLS, and may have presented a certificate.
    Encrypted { stream: Box<TlsStream<TcpStream>>, has_certificate: bool },
    /// It speaks plain HTTP; nothing of its request is read yet.
    Plain(TcpStream),
}

/// Finds out who is there and agrees on keys, within the limits of the head of a request, which
/// goes on counting for the first one. Nothing when that fails, which is counted.
pub(super) async fn meet(
    stream: TcpStream,
    tls: &ServerTls,
    shared: &Shared,
    activity: &Arc<Activity>,
    stop: &CancellationToken,
) -> Option<Peer> {
    let metrics = &shared.metrics.tls;
    let met = in_time(shake_hands(stream, tls), activity, shared.limits, stop).await;
    let counter = match &met {
        None => &metrics.timed_out,
        Some(Err(_)) => &metrics.failed,
        Some(Ok(Peer::Plain(_))) => &metrics.plain_http,
        Some(Ok(Peer::Encrypted { .. })) => &metrics.completed,
    };
    counter.inc();
    met?.inspect_err(|error| tracing::debug!(%error, "A TLS handshake failed")).ok()
}

async fn shake_hands(stream: TcpStream, tls: &ServerTls) -> io::Result<Peer> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // A request begins with the letters of its method, TLS with a byte below 32.
    if first[0].is_ascii_alphabetic() {
        return Ok(Peer::Plain(stream));
    }
    let acceptor = TlsAcceptor::from(tls.config());
    let limit = |session: &mut rustls::ServerConnection| {
        session.set_buffer_limit(Some(MAX_UNSENT));
    };
    let stream = Box::new(acceptor.accept_with(stream, limit).await?);
    let has_certificate = stream.get_ref().1.peer_certificates().is_some();
    Ok(Peer::Encrypted { stream, has_certificate })
}

/// What `work` comes to, or nothing if the connection expires before; a stop shortens the limits.
async fn in_time<F: Future>(
    work: F,
    activity: &Activity,
    limits: Limits,
    stop: &CancellationToken,
) -> Option<F::Output> {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return Some(done),
        () = activity.expired(limits) => return None,
        () = stop.cancelled() => {}
    }
    tokio::select! {
        done = &mut work => Some(done),
        () = activity.expired(limits.at_most(LAST_ANSWER)) => None,
    }
}
