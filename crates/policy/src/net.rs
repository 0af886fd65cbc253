//! Ranges of IP addresses.

use std::net::IpAddr;

/// An address with the number of its leading bits that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Net {
    address: IpAddr,
    bits: u32,
}

impl Net {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or an address alone.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        // Requests never have such an address, so a rule about one would be a rule about nothing.
        if address.to_canonical() != address {
            return None;
        }
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => longest,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        (bits <= longest).then_some(Self { address, bits })
    }

    /// Whether the address lies in the range. An IPv4 address that came over IPv6 is an IPv4 address.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let same = |differ: u128, width: u32| self.bits == 0 || differ >> (width - self.bits) == 0;
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(address)) => same(u128::from(net.to_bits() ^ address.to_bits()), 32),
            (IpAddr::V6(net), IpAddr::V6(address)) => same(net.to_bits() ^ address.to_bits(), 128),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_ranges() {
        for (net, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3", "10.1.2.4", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "1.2.3.4", false),
            ("2001:db8::/33", "2001:db8:8000::", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ] {
            let (range, address) = (Net::parse(net).unwrap(), address.parse().unwrap());
            assert_eq!(range.contains(address), expected, "{net} {address}");
        }
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "a",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(Net::parse(bad), None, "{bad}");
        }
    }
}
