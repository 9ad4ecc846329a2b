//! The PROXY protocol, versions 1 and 2: how a proxy tells whose connection it passes on.
//!
//! **Does:** reads the header before the connection's first octet, and says how many octets may be read next without taking
//! any of what follows it.
//!
//! **Does not:** decide who is believed: that is the listener's. What version 2 adds (TLS of the proxy, names) is passed over.
//!
//! **Data:** octets of the connection's beginning in, a [`Source`] out. The source is HAProxy's `proxy-protocol.txt`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use mail::limits;

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// This client's.
    Client(SocketAddr),
    /// The proxy's own, or one of which it knows nothing: its address counts.
    Proxy,
}

/// How far the header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many octets more belong to it.
    More(usize),
    /// It is whole.
    Done(Source),
}

/// There is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(&'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// §2.2: what no other protocol begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// §2.1: `PROXY UNKNOWN` and CRLF, the shortest line, is longer.
const FIRST: usize = SIGNATURE.len();
/// §2.1: the longest line of version 1, with CRLF.
const LINE: usize = 107;
/// §2.2: signature, command, family, length.
const FIXED: usize = 16;

/// Reads what has come so far.
///
/// # Errors
/// It is no header, or one that is too long.
pub fn read(input: &[u8]) -> Result<Step, Malformed> {
    if input.len() < FIRST {
        return Ok(Step::More(FIRST - input.len()));
    }
    if input.starts_with(&SIGNATURE) {
        return binary(input);
    }
    if !input.starts_with(b"PROXY ") {
        return Err(Malformed("there is no PROXY header"));
    }
    match input.strip_suffix(b"\r\n") {
        Some(line) => line_of_text(line).map(Step::Done),
        None if input.len() >= LINE || input.contains(&b'\n') => Err(Malformed("the PROXY line has no end")),
        None => Ok(Step::More(1)),
    }
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 1234 25`.
fn line_of_text(line: &[u8]) -> Result<Source, Malformed> {
    let wrong = Malformed("the PROXY line has no addresses");
    let text = std::str::from_utf8(line).map_err(|_| wrong)?;
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        // §2.1: whatever follows, it is not looked at.
        ["PROXY", "UNKNOWN", ..] => Ok(Source::Proxy),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let ip = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (family == "TCP4"));
            // §2.1: no leading zeros, nor a sign.
            let port = |text: &str| {
                let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
                text.parse::<u16>().ok().filter(|_| plain)
            };
            let (_, _) = (ip(to).ok_or(wrong)?, port(to_port).ok_or(wrong)?);
            Ok(Source::Client(SocketAddr::new(ip(from).ok_or(wrong)?, port(from_port).ok_or(wrong)?)))
        }
        _ => Err(wrong),
    }
}

fn binary(input: &[u8]) -> Result<Step, Malformed> {
    let Some((fixed, rest)) = input.split_first_chunk::<FIXED>() else {
        return Ok(Step::More(FIXED - input.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if FIXED + length > limits::PROXY_HEADER_LEN {
        return Err(Malformed("the PROXY header is too long"));
    }
    if rest.len() < length {
        return Ok(Step::More(length - rest.len()));
    }
    let cut = Malformed("the PROXY header has no addresses");
    Ok(Step::Done(match (command, family) {
        // §2.2: LOCAL, and a family that nobody knows: the connection's own addresses count.
        (0x20, _) | (0x21, 0x00) => Source::Proxy,
        (0x21, 0x11) => {
            let (from, rest) = rest.split_first_chunk::<4>().ok_or(cut)?;
            let port = rest.get(4..6).ok_or(cut)?;
            client(Ipv4Addr::from(*from).into(), port)
        }
        (0x21, 0x21) => {
            let (from, rest) = rest.split_first_chunk::<16>().ok_or(cut)?;
            let port = rest.get(16..18).ok_or(cut)?;
            client(Ipv6Addr::from(*from).into(), port)
        }
        (0x20..=0x2f, _) => return Err(Malformed("the PROXY header is of no connection over TCP")),
        _ => return Err(Malformed("the PROXY header has another version")),
    }))
}

fn client(ip: IpAddr, port: &[u8]) -> Source {
    let port = port.iter().fold(0, |port, octet| port << 8 | u16::from(*octet));
    Source::Client(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Source {
        Source::Client(text.parse().unwrap())
    }

    /// As HAProxy writes them.
    fn written(client: SocketAddr, more: &[u8]) -> [Vec<u8>; 2] {
        let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {0} {0} {1} 25\r\n", client.ip(), client.port());
        let addresses = match client.ip() {
            IpAddr::V4(ip) => [ip.octets(), ip.octets()].concat(),
            IpAddr::V6(ip) => [ip.octets(), ip.octets()].concat(),
        };
        let length = u16::try_from(addresses.len() + 4 + more.len()).unwrap();
        let mut header = SIGNATURE.to_vec();
        header.extend_from_slice(&[0x21, if client.is_ipv4() { 0x11 } else { 0x21 }]);
        header.extend_from_slice(&length.to_be_bytes());
        header.extend_from_slice(&addresses);
        header.extend_from_slice(&client.port().to_be_bytes());
        header.extend_from_slice(&25u16.to_be_bytes());
        header.extend_from_slice(more);
        [line.into_bytes(), header]
    }

    /// Reads as a listener does: never more than it is told to.
    fn whole(bytes: &[u8]) -> Result<(Source, usize), Malformed> {
        let mut used = 0;
        loop {
            match read(&bytes[..used])? {
                Step::Done(source) => return Ok((source, used)),
                Step::More(more) => used += more,
            }
            assert!(used <= bytes.len());
        }
    }

    proptest! {
        #[test]
        fn what_a_proxy_writes_is_read(ip: u128, v4: bool, port: u16, more in proptest::collection::vec(any::<u8>(), 0..60)) {
            let ip: IpAddr = if v4 { Ipv4Addr::from(ip as u32).into() } else { Ipv6Addr::from(ip).into() };
            let client = SocketAddr::new(ip, port);
            for header in written(client, &more) {
                let mut bytes = header.clone();
                bytes.extend_from_slice(b"EHLO x\r\n");
                prop_assert_eq!(whole(&bytes), Ok((Source::Client(client), header.len())));
            }
        }

        #[test]
        fn anything_is_read_or_refused(bytes: Vec<u8>, version in 0..3) {
            let begins: &[u8] = [&b""[..], b"PROXY TCP4 ", &SIGNATURE][version as usize];
            if let Ok(Step::More(more)) = read(&[begins, &bytes].concat()) {
                prop_assert!(more > 0);
            }
        }
    }

    #[test]
    fn lines_of_text() {
        let read = |text: &str| whole(format!("{text}\r\n").as_bytes()).map(|(source, _)| source);
        assert_eq!(read("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25"), Ok(at("192.0.2.1:1234")));
        assert_eq!(read("PROXY TCP6 2001:db8::1 2001:db8::2 1 25"), Ok(at("[2001:db8::1]:1")));
        assert_eq!(read("PROXY UNKNOWN"), Ok(Source::Proxy));
        assert_eq!(read("PROXY UNKNOWN ffff::1 x"), Ok(Source::Proxy));
        for bad in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 1234",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 25",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 25",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 25",
            "PROXY TCP4 192.0.2.1 192.0.2.2 99999 25",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 25",
            "EHLO client.example",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let longest = format!("PROXY UNKNOWN {}", "x".repeat(LINE - 16));
        assert_eq!((longest.len(), read(&longest)), (LINE - 2, Ok(Source::Proxy)));
        assert!(read(&format!("{longest}x")).is_err());
    }

    /// `PROXY_HEADER_LEN`: a header of that length, and one octet more.
    #[test]
    fn headers_are_bounded() {
        let client = "192.0.2.1:9".parse().unwrap();
        let [_, longest] = written(client, &vec![4; limits::PROXY_HEADER_LEN - FIXED - 12]);
        assert_eq!(whole(&longest), Ok((Source::Client(client), limits::PROXY_HEADER_LEN)));
        let [_, longer] = written(client, &vec![4; limits::PROXY_HEADER_LEN - FIXED - 11]);
        assert_eq!(whole(&longer), Err(Malformed("the PROXY header is too long")));
        let mut local = longest;
        local[12] = 0x20;
        assert_eq!(whole(&local).unwrap().0, Source::Proxy);
        for (place, octet) in [(12, 0x11), (13, 0x31), (12, 0x22)] {
            let mut bad = written(client, &[])[1].clone();
            bad[place] = octet;
            assert!(whole(&bad).is_err());
        }
    }
}
