//! Which addresses of the network files are not fetched from.
//!
//! Whoever may make a document chooses the URLs of its attachments, and this service follows them from where it stands.
//! There lies what is not for everybody: services on its own machine, and the metadata of a cloud's machine with its
//! credentials. Private networks are not among the refused: that is where an organisation keeps its files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services that are not at a link-local address.
const METADATA: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254)),
];

/// Whether nothing is fetched from an address unless the settings say so.
pub(crate) fn is_refused(address: IpAddr) -> bool {
    // 127.0.0.1 may be written as ::ffff:127.0.0.1.
    let address = address.to_canonical();
    let is_local = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.octets()[0] == 0 || v4.is_broadcast(),
        // ::/96 held IPv4 addresses once.
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.octets()[..12] == [0; 12],
    };
    is_local || address.is_multicast() || METADATA.contains(&address)
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
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(is_refused(bad.parse().unwrap()), "{bad}");
        }
        for good in ["10.0.0.1", "192.168.1.1", "93.184.216.34", "2606:4700::1111", "fd12::1"] {
            assert!(!is_refused(good.parse().unwrap()), "{good}");
        }
    }
}
