//! The address of a client that may be behind proxies.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Proxies name in it whom they had the request from, each at its end (RFC 7239 calls it the
/// de-facto standard that it replaces).
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address next to the service that is not one of a trusted proxy: whoever is behind that
/// could say anything.
pub(super) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    // A listener for both families has IPv4 peers in IPv6's notation.
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let fields: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
    let named = fields.iter().rev().flat_map(|field| {
        let field = field.to_str().unwrap_or_default();
        field.rsplit(',').map(|address| address.trim().parse::<IpAddr>())
    });
    for address in named {
        if !is_trusted(&client) {
            break;
        }
        // What is no address was not written by a proxy that is trusted.
        let Ok(address) = address else { break };
        client = address.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_say_is_believed() {
        let proxies = &["10.0.0.0/8", "fd00::/8"][..];
        for (peer, forwarded, trusted, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], proxies, "192.0.2.1"),
            ("10.0.0.1", &[], proxies, "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], proxies, "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], proxies, "198.51.100.7"),
            ("fd00::1", &["2001:db8::5"], proxies, "2001:db8::5"),
            // The client has sent the field itself.
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], proxies, "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.7, 10.2.3.4"], proxies, "198.51.100.7"),
            ("10.0.0.1", &["nobody"], proxies, "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, "], proxies, "10.0.0.1"),
        ] {
            assert_eq!(client(peer, forwarded, trusted), expected, "{peer} {forwarded:?}");
        }
    }
}
