//! A TCP proxy that can fail the way networks do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::port::Port;

/// How long a process may take from its fork to its program, on a busy machine.
const FORKED: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

mod tap;

pub use tap::{Held, Publication, Tap};

/// The direction in which bytes pass the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the clients to the server behind the proxy.
    ToServer,
    /// From the server behind the proxy to its clients.
    ToClient,
}

/// A proxy on a free port of 127.0.0.1; its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    server: SocketAddr,
    port: Port,
    holes: Arc<Holes>,
    tap: Option<Tap>,
    /// Owns the listener and every connection; none while cut.
    traffic: Option<JoinHandle<()>>,
}

/// The directions whose bytes are swallowed.
#[derive(Debug, Default)]
struct Holes {
    to_server: AtomicBool,
    to_client: AtomicBool,
}

impl Proxy {
    /// Passes everything on to `server`.
    pub async fn start(server: SocketAddr) -> Result<Self> {
        Self::start_with(server, None).await
    }

    /// Passes everything on to a NATS server, with a tap on what clients publish.
    pub async fn start_tapped(server: SocketAddr, tap: Tap) -> Result<Self> {
        Self::start_with(server, Some(tap)).await
    }

    async fn start_with(server: SocketAddr, tap: Option<Tap>) -> Result<Self> {
        let port = Port::lease()?;
        let mut proxy = Self { server, port, holes: Arc::default(), tap, traffic: None };
        proxy.heal().await?;
        Ok(proxy)
    }

    /// The port clients connect to; it stays the same.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// Drops all connections and refuses new ones.
    pub async fn cut(&mut self) {
        if let Some(traffic) = self.traffic.take() {
            traffic.abort();
            // Its end is awaited: then everything is closed. That it was aborted is no news.
            let _ = traffic.await;
        }
    }

    /// Leads to another server from now on; the connections to the one before are dropped.
    pub async fn redirect(&mut self, server: SocketAddr) -> Result<()> {
        self.cut().await;
        self.server = server;
        self.heal().await
    }

    /// Swallows the bytes of one direction, while connections stay open and new ones are
    /// taken: as a firewall does that has forgotten them. Both directions by two calls.
    pub fn black_hole(&self, direction: Direction) {
        self.holes.of(direction).store(true, Ordering::SeqCst);
    }

    /// Ends every fault. What was swallowed stays lost.
    pub async fn heal(&mut self) -> Result<()> {
        for direction in [Direction::ToServer, Direction::ToClient] {
            self.holes.of(direction).store(false, Ordering::SeqCst);
        }
        if self.traffic.is_none() {
            let listener = listen(self.port()).await;
            let listener = listener
                .with_context(|| format!("cannot listen on port {} for a proxy", self.port()))?;
            let to =
                Behind { server: self.server, holes: self.holes.clone(), tap: self.tap.clone() };
            self.traffic = Some(tokio::spawn(serve(listener, to)));
        }
        Ok(())
    }
}

/// Listens on a port of ours. A process that is just being started holds, until it has become
/// another program, all that was open when it was forked: also a listener that was closed since.
async fn listen(port: u16) -> io::Result<TcpListener> {
    let until = Instant::now() + FORKED;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                sleep(PAUSE).await;
            }
            listener => return listener,
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(traffic) = &self.traffic {
            traffic.abort();
        }
    }
}

impl Holes {
    fn of(&self, direction: Direction) -> &AtomicBool {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }
}

/// Where connections lead, and what is in their way.
#[derive(Clone)]
struct Behind {
    server: SocketAddr,
    holes: Arc<Holes>,
    tap: Option<Tap>,
}

async fn serve(listener: TcpListener, to: Behind) {
    // Dropped with this task, and then all connections with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connect(client, to.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connect(client: TcpStream, Behind { server, holes, tap }: Behind) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let hole = holes.of(Direction::ToServer);
    let to_server = async {
        match tap {
            Some(tap) => tap::pass(from_client, to_server, hole, tap).await,
            None => pass(from_client, to_server, hole).await,
        }
    };
    tokio::join!(to_server, pass(from_server, to_client, holes.of(Direction::ToClient)));
}

/// Ends with either side; dropping the write half tells the other side so.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, hole: &AtomicBool) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let swallowed = hole.load(Ordering::SeqCst);
        if !swallowed && to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;
    use tokio::time::timeout;

    use super::*;
    use crate::eventually;

    const SOON: Duration = Duration::from_secs(5);

    async fn echo_server() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn client(proxy: &Proxy) -> std::io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).await
    }

    async fn echo(stream: &mut TcpStream, byte: u8) -> std::io::Result<u8> {
        stream.write_u8(byte).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn a_cut_drops_connections_and_refuses_new_ones_until_healed() {
        let mut proxy = Proxy::start(echo_server().await).await.unwrap();
        let mut stream = client(&proxy).await.unwrap();
        assert_eq!(echo(&mut stream, 1).await.unwrap(), 1);

        proxy.cut().await;
        assert!(timeout(SOON, stream.read_u8()).await.unwrap().is_err());
        assert!(client(&proxy).await.is_err());

        proxy.heal().await.unwrap();
        let mut stream = client(&proxy).await.unwrap();
        assert_eq!(echo(&mut stream, 2).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_black_hole_swallows_one_direction_and_keeps_the_connection() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        let mut near = client(&proxy).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();

        proxy.black_hole(Direction::ToClient);
        far.write_u8(1).await.unwrap();
        near.write_u8(2).await.unwrap();
        assert_eq!(timeout(SOON, far.read_u8()).await.unwrap().unwrap(), 2);
        let silence = Duration::from_millis(100);
        assert!(timeout(silence, near.read_u8()).await.is_err(), "nothing may come through");

        proxy.heal().await.unwrap();
        far.write_u8(3).await.unwrap();
        assert_eq!(timeout(SOON, near.read_u8()).await.unwrap().unwrap(), 3);
    }

    /// A tapped proxy's two ends, and what it holds: publications to `acks`.
    async fn tapped() -> (Proxy, TcpStream, TcpStream, mpsc::UnboundedReceiver<Held>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (held, holding) = mpsc::unbounded_channel();
        let tap = Tap { holds: |seen| seen.subject == "acks", held };
        let proxy = Proxy::start_tapped(listener.local_addr().unwrap(), tap).await.unwrap();
        let near = client(&proxy).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        (proxy, near, far, holding)
    }

    async fn expect(far: &mut TcpStream, expected: &[u8]) {
        let mut bytes = vec![0; expected.len()];
        timeout(SOON, far.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(bytes, expected);
    }

    #[tokio::test]
    async fn what_is_held_keeps_its_place_or_vanishes() {
        let (_proxy, mut near, mut far, mut holding) = tapped().await;
        near.write_all(b"PUB acks 1\r\na\r\nPUB acks 1\r\nb\r\nPING\r\n").await.unwrap();
        let (a, b) = (holding.recv().await.unwrap(), holding.recv().await.unwrap());
        assert_eq!((&a.payload[..], &b.payload[..]), (&b"a"[..], &b"b"[..]));
        b.pass();
        a.swallow();
        expect(&mut far, b"PUB acks 1\r\nb\r\nPING\r\n").await;
    }

    #[tokio::test]
    async fn what_is_not_decided_on_holds_up_nobody_for_long() {
        let (_proxy, mut near, mut far, mut holding) = tapped().await;
        near.write_all(b"PUB acks 1\r\na\r\nPING\r\n").await.unwrap();
        let held = holding.recv().await.unwrap();
        expect(&mut far, b"PING\r\n").await;
        held.pass();
        expect(&mut far, b"PUB acks 1\r\na\r\n").await;
    }

    #[tokio::test]
    async fn a_redirected_proxy_drops_its_connections_and_leads_elsewhere() {
        let mut proxy = Proxy::start(echo_server().await).await.unwrap();
        let mut stream = client(&proxy).await.unwrap();
        assert_eq!(echo(&mut stream, 1).await.unwrap(), 1);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        proxy.redirect(listener.local_addr().unwrap()).await.unwrap();
        assert!(timeout(SOON, stream.read_u8()).await.unwrap().is_err());
        let mut near = client(&proxy).await.unwrap();
        let (mut far, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
        near.write_u8(7).await.unwrap();
        assert_eq!(timeout(SOON, far.read_u8()).await.unwrap().unwrap(), 7);
    }

    #[tokio::test]
    async fn a_side_that_closes_is_heard_of_on_the_other() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap()).await.unwrap();
        let mut near = client(&proxy).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        drop(far);
        eventually("end of stream", SOON, async || near.read_u8().await.err()).await;
    }
}
