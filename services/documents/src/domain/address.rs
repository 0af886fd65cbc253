//! Which addresses of the network files are not fetched from.
//!
//! Whoever may make a document chooses the URLs of its attachments, and this service follows them from where it stands.
//! There lies what is not for everybody: services on its own machine, and the metadata of a cloud's machine with its
//! credentials. Private networks are not among the refused: that is where an organisation keeps its files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services that are not at a link-local address.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254)),
];

/// Whether nothing is fetched from an address unless the settings say so.
pub(crate) fn is_refused(address: IpAddr) -> bool {
    // 127.0.0.1 may be written as ::ffff:127.0.0.1.
    let address = address.to_canonical();
    if let IpAddr::V6(v6) = address
        && let Some(v4) = embedded(v6)
    {
        return is_refused(v4.into());
    }
    let is_local = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.octets()[0] == 0 || v4.is_broadcast(),
        // ::/96 held IPv4 addresses once.
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.octets()[..12] == [0; 12],
    };
    is_local || address.is_multicast() || METADATA.contains(&address)
}

/// The IPv4 address that a gateway on the way makes of an IPv6 address: NAT64 (64:ff9b::/96), 6to4 (2002::/16).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.octets() {
        [0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        [0x20, 0x02, a, b, c, d, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ones_own_machine_and_metadata_are_refused_and_networks_are_not() {
        for bad in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "169.254.169.254",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::7f00:1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "fd20:ce::254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "2002:a9fe:a9fe::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(is_refused(bad.parse().unwrap()), "{bad}");
        }
        for good in [
            "10.0.0.1",
            "192.168.1.1",
            "93.184.216.34",
            "2606:4700::1111",
            "fd12::1",
            "64:ff9b::5db8:d822",
            "2002:5db8:d822::1",
        ] {
            assert!(!is_refused(good.parse().unwrap()), "{good}");
        }
    }
}
