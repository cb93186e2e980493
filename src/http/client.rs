//! The address of a client: the peer of the connection, or what a trusted proxy says of it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;
use poem::Request;

const FORWARDED_FOR: &str = "x-forwarded-for";
/// More proxies in a row are not believed.
const MAX_PROXIES: usize = 16;
/// A subscriber to IPv6 gets a network of at least this size, so its addresses count as one client.
const IPV6_CLIENT_BITS: u32 = 64;

/// The client of a request. The server puts it into each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The proxies whose `X-Forwarded-For` is believed (`TRUSTED_PROXIES`). Without any, the client is the peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// The networks, each an address or a CIDR block.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Parses an address (`10.0.0.7`) or a block (`10.0.0.0/8`, `fd00::/8`).
    #[must_use]
    pub fn parse_network(text: &str) -> Option<IpNet> {
        text.parse()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }

    /// The client behind `peer`. Each proxy appends the address that it saw, so the header is read from its end, for
    /// as long as the address that vouches for the next one is a trusted proxy. Anything to the left of that was
    /// written by the client.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let values = headers.get_all(FORWARDED_FOR).iter();
        let entries: Vec<&str> = values
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .collect();
        for entry in entries.into_iter().rev().take(MAX_PROXIES) {
            if !self.trusts(client) {
                break;
            }
            match address(entry.trim()) {
                Some(address) => client = address,
                None => break,
            }
        }
        client
    }

    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// An address of `X-Forwarded-For`. Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let address = text
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The client of a request. `None` in tests that have no connection.
pub(super) fn of(request: &Request) -> Option<IpAddr> {
    match request.data::<ClientAddress>() {
        Some(ClientAddress(address)) => Some(*address),
        None => request
            .remote_addr()
            .as_socket_addr()
            .map(|peer| peer.ip().to_canonical()),
    }
}

/// The address under which a client is counted: an IPv4 address, or the network of an IPv6 address.
pub(super) fn counted_as(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network =
                u128::from(address) >> (128 - IPV6_CLIENT_BITS) << (128 - IPV6_CLIENT_BITS);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        headers
    }

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let networks = trusted
            .iter()
            .map(|text| TrustedProxies::parse_network(text).unwrap());
        TrustedProxies::new(networks.collect())
            .client(peer.parse().unwrap(), &headers(forwarded))
            .to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_what_it_appended() {
        let proxies: &[&str] = &["10.0.0.0/8", "2001:db8::1"];
        for (trusted, peer, forwarded, expected) in [
            // Nobody is trusted: the header is a claim of the client.
            (&[][..], "10.0.0.7", &["1.2.3.4"][..], "10.0.0.7"),
            (proxies, "9.9.9.9", &["1.2.3.4"], "9.9.9.9"),
            (proxies, "10.0.0.7", &[], "10.0.0.7"),
            (proxies, "10.0.0.7", &["1.2.3.4"], "1.2.3.4"),
            (proxies, "::ffff:10.0.0.7", &["::ffff:1.2.3.4"], "1.2.3.4"),
            (
                proxies,
                "2001:db8::1",
                &["[2001:db8::9]:443"],
                "2001:db8::9",
            ),
            // The client wrote the first entry, the proxy the last.
            (proxies, "10.0.0.7", &["6.6.6.6, 1.2.3.4:5678"], "1.2.3.4"),
            // Two proxies, which append to one header or add a second one.
            (
                proxies,
                "10.0.0.7",
                &["6.6.6.6, 1.2.3.4, 10.0.0.8"],
                "1.2.3.4",
            ),
            (
                proxies,
                "10.0.0.7",
                &["6.6.6.6, 1.2.3.4", "10.0.0.8"],
                "1.2.3.4",
            ),
            // What cannot be read ends the chain at the proxy that passed it on.
            (proxies, "10.0.0.7", &["1.2.3.4, unknown"], "10.0.0.7"),
            (
                proxies,
                "10.0.0.7",
                &["1.2.3.4, unknown, 10.0.0.8"],
                "10.0.0.8",
            ),
        ] {
            assert_eq!(
                client(trusted, peer, forwarded),
                expected,
                "{peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let counted = |text: &str| counted_as(text.parse().unwrap()).to_string();
        assert_eq!(counted("1.2.3.4"), "1.2.3.4");
        assert_eq!(counted("::ffff:1.2.3.4"), "1.2.3.4");
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
    }
}
