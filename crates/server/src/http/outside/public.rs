//! Which addresses are everybody's. What is not known to be public is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// RFC 6890 §2.2.2, and IANA's registry that goes on from it: networks that are not globally reachable, or lead back into such.
const IPV4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // for everybody inside
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // between a provider's NAT and its customers
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // this machine
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // this link; also where clouds keep their secrets
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // for everybody inside
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocols
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // examples
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // where relays of 6to4 were
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // for everybody inside
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // measurements
    (Ipv4Addr::new(198, 51, 100, 0), 24),  // examples
    (Ipv4Addr::new(203, 0, 113, 0), 24),   // examples
    (Ipv4Addr::new(224, 0, 0, 0), 4),      // many at once
    (Ipv4Addr::new(240, 0, 0, 0), 4),      // reserved
    (Ipv4Addr::new(168, 63, 129, 16), 32), // a cloud's own services, on every machine in it
];

/// what is assigned to be reached from everywhere. All else is not: this machine (`::1`), this link
/// (fe80::/10), this site (fc00::/7, fec0::/10), many at once (ff00::/8), and IPv4 in disguise: mapped (`::ffff:0:0/96`),
/// compatible (`::/96`), by NAT64 (64:ff9b::/96 and 64:ff9b:1::/48).
const GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// RFC 6890 §2.2.3: and of that, not these.
const IPV6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocols, among them Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // examples
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4, whose next 32 bits are an address of IPv4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // examples
];

/// what an interface's part begins with, but for one bit, when an address of IPv4 follows (ISATAP).
const ISATAP: u64 = 0x0000_5efe;

/// Whether an address belongs to the internet that all can reach.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !IPV4.iter().any(|(network, bits)| ip.to_bits() >> (32 - bits) == network.to_bits() >> (32 - bits))
        }
        IpAddr::V6(ip) => {
            let within =
                |(network, bits): &(Ipv6Addr, u32)| ip.to_bits() >> (128 - bits) == network.to_bits() >> (128 - bits);
            let isatap = (ip.to_bits() >> 32) as u64 & 0xfdff_ffff == ISATAP;
            within(&GLOBAL) && !IPV6.iter().any(within) && !isatap
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public() {
        for public in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2000::1",
            "2001:200::1",
            "2606:4700::1111",
            "2a00::",
            "3ffe::",
            "3fff:1000::",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn what_is_not() {
        for private in [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.0",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:1.1.1.1",
            "64:ff9b::7f00:1",
            "64:ff9b::1.1.1.1",
            "64:ff9b:1::a00:1",
            "100::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:1ff::",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:101:101::1",
            "3fff::1",
            "3fff:fff::",
            "1fff::",
            "4000::",
            "2a00::5efe:a00:1",
            "2a00::200:5efe:101:101",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }
}
