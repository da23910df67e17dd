//! Free ports for servers that are stopped and started again.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use anyhow::{Context, Result};

/// Below Linux's range for outgoing connections (from 32768 on): one of those could sit on
/// the port just while its server is down.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A TCP port on 127.0.0.1 that no other testbed takes while this value lives.
#[derive(Debug)]
pub struct Port {
    pub(crate) number: u16,
    /// The UDP port of the same number, bound: every testbed process of this machine sees
    /// it, also while the server is down, and it is free again when the process dies.
    _lease: UdpSocket,
}

impl Port {
    /// Chooses a port that nobody uses.
    ///
    /// # Errors
    ///
    /// When all of them are in use.
    pub fn lease() -> Result<Self> {
        let count = u64::from(RANGE.end - RANGE.start);
        let first = RandomState::new().hash_one(0) % count;
        (0..count)
            .filter_map(|step| u16::try_from((first + step) % count).ok())
            .find_map(|offset| Self::try_lease(RANGE.start + offset))
            .with_context(|| format!("no port of {RANGE:?} is free on 127.0.0.1"))
    }

    /// The number of the port.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    fn try_lease(number: u16) -> Option<Self> {
        let lease = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
        is_free(number).then_some(Self { number, _lease: lease })
    }
}

/// Whether a server could listen on this port of 127.0.0.1 now.
pub(crate) fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leased_port_is_not_leased_twice() {
        let port = Port::lease().unwrap();
        assert!(Port::try_lease(port.number).is_none());
    }

    #[test]
    fn a_port_in_use_is_not_leased() {
        let port = Port::lease().unwrap();
        let number = port.number;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).unwrap();
        drop(port);
        assert!(Port::try_lease(number).is_none());
        drop(listener);
    }
}
