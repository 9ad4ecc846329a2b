//! What others publish about an address: DNS block and allow lists (RFC 5782), and its name.

use std::net::{IpAddr, Ipv4Addr};

use mail::Domain;

use crate::world::{Answer, Dns};

/// The name under which a list has an address (RFC 5782 §2.1, §2.4).
fn entry(ip: IpAddr, list: &Domain) -> String {
    let mut name = String::new();
    match ip {
        IpAddr::V4(ip) => ip.octets().iter().rev().for_each(|octet| name.push_str(&format!("{octet}."))),
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            nibbles.for_each(|nibble| name.push_str(&format!("{nibble:x}.")));
        }
    }
    name + list.as_str()
}

/// Whether a list has the address. One that does not answer, or answers with an error of its own, has nobody: it
/// must not stop the mail.
pub(super) async fn is_listed(dns: &dyn Dns, ip: IpAddr, list: &Domain) -> bool {
    match dns.ipv4(&entry(ip, list)).await {
        // RFC 5782 §2.1: 127.0.0.0/8; outside of it some domain was parked. 127.255.255.0/24 says that the list refuses
        // to answer us.
        Answer::Found(found, _) => {
            found.iter().any(|ip: &Ipv4Addr| ip.octets()[0] == 127 && ip.octets()[..3] != [127, 255, 255])
        }
        Answer::Temporary(why) => {
            tracing::warn!(%list, why, "a list of addresses does not answer; it is passed over");
            false
        }
        Answer::NoData | Answer::NoDomain => false,
    }
}

/// What the names of an address say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// One of its names leads back to it (RFC 1912 §2.1).
    Well,
    /// It has none, or none leads back.
    Badly,
    /// Nobody knows now.
    Unknown,
}

/// Asks for the address's names, and for their addresses.
pub(super) async fn named(dns: &dyn Dns, ip: IpAddr) -> Named {
    let names = match dns.ptr(ip).await {
        Answer::Found(names, _) => names,
        Answer::NoData | Answer::NoDomain => return Named::Badly,
        Answer::Temporary(_) => return Named::Unknown,
    };
    let mut unknown = false;
    for name in names.iter().take(mail::limits::POLICY_NAMES) {
        let found = match ip {
            IpAddr::V4(_) => dns.ipv4(name).await.map(IpAddr::V4),
            IpAddr::V6(_) => dns.ipv6(name).await.map(IpAddr::V6),
        };
        match found {
            Answer::Found(found, _) if found.contains(&ip) => return Named::Well,
            Answer::Temporary(_) => unknown = true,
            _ => {}
        }
    }
    if unknown { Named::Unknown } else { Named::Badly }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stand_backwards() {
        let list = Domain::from_ascii("zen.example").unwrap();
        assert_eq!(entry("192.0.2.7".parse().unwrap(), &list), "7.2.0.192.zen.example");
        let long = entry("2001:db8::7".parse().unwrap(), &list);
        assert!(long.starts_with("7.0.0.0.") && long.ends_with(".8.b.d.0.1.0.0.2.zen.example"), "{long}");
        assert_eq!(long.matches('.').count(), 33);
    }
}
