//! The addresses under which other machines reach this one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Destinations whose routes tell an address: one in the internet, and one of
/// each private network. No packet is sent to them.
///
/// Source: RFC 5737, 3849, 1918 and 4193.
const DESTINATIONS: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 168, 255, 254)),
    IpAddr::V4(Ipv4Addr::new(10, 255, 255, 254)),
    IpAddr::V4(Ipv4Addr::new(172, 31, 255, 254)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
];

/// The addresses that reach a server that listens on all of them: on `0.0.0.0`
/// those of IPv4. The one of the way to the internet comes first. Networks that
/// no route leads to are not found.
pub(crate) fn reachable_addresses(listening: IpAddr) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for destination in DESTINATIONS {
        if listening.is_ipv4() && destination.is_ipv6() {
            continue;
        }
        if let Some(ip) = source_address(destination)
            && is_reachable(ip)
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    found
}

/// The address from which this machine would send to another.
fn source_address(destination: IpAddr) -> Option<IpAddr> {
    const ANY_PORT: u16 = 9;
    let own: IpAddr = match destination {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind(SocketAddr::new(own, 0)).ok()?;
    // A datagram's socket only looks up the way.
    socket
        .connect(SocketAddr::new(destination, ANY_PORT))
        .ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether others can use it without naming an interface of theirs.
fn is_reachable(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_loopback() && !ip.is_unspecified() && !is_link_local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_told_once_and_can_be_listened_on() {
        let any = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let found = reachable_addresses(any);
        for (place, ip) in found.iter().enumerate() {
            assert!(is_reachable(*ip) && !found[..place].contains(ip), "{ip}");
            assert!(UdpSocket::bind(SocketAddr::new(*ip, 0)).is_ok(), "{ip}");
        }
        let of_ipv4 = reachable_addresses(Ipv4Addr::UNSPECIFIED.into());
        let expected: Vec<IpAddr> = found.into_iter().filter(IpAddr::is_ipv4).collect();
        assert_eq!(of_ipv4, expected);
        assert_eq!(
            source_address(Ipv4Addr::LOCALHOST.into()),
            Some(Ipv4Addr::LOCALHOST.into())
        );
        for ip in ["127.0.0.1", "::1", "0.0.0.0", "fe80::1", "169.254.0.1"] {
            assert!(!is_reachable(ip.parse().unwrap()), "{ip}");
        }
    }
}
