//! DNS as the doctor asks it.

use std::net::{IpAddr, SocketAddr};

use ::doctor::{Answers, Plan, Told, questions};
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use mta::world::Answer;
use tokio::net::UdpSocket;

use super::{in_time, told};
use crate::dns::Resolver;

/// Questions at once.
const AT_ONCE: usize = 16;

/// Everything that the plan asks, and what follows from the answers.
pub(super) async fn answers(resolver: &Resolver, plan: &Plan) -> Answers {
    let mut answers = Answers::default();
    loop {
        let asked = questions(plan, &answers);
        if asked.is_empty() {
            return answers;
        }
        let told: Vec<_> = iter(asked)
            .map(|(name, kind)| async move {
                let told = match resolver.written(&name, kind).await {
                    Answer::Found(records, _) => Told::Known(records),
                    Answer::NoData | Answer::NoDomain => Told::Known(Vec::new()),
                    Answer::Temporary(why) => Told::Unknown(why),
                };
                ((name, kind), told)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        // Each round answers what it asked, so that there is an end.
        answers.0.extend(told);
    }
}

/// Whether the first of the servers says of the root's own records that it has checked them (RFC 6840 §5.7: asked by AD).
pub(super) async fn validates(servers: &[SocketAddr]) -> Told<bool> {
    let first = servers.first().copied().or_else(systems);
    told(in_time(async { ask(first.ok_or("no DNS server is known")?).await }).await)
}

/// resolv.conf(5)
fn systems() -> Option<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").ok()?;
    let named = text.lines().find_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok())?;
    Some(SocketAddr::new(named, 53))
}

async fn ask(server: SocketAddr) -> Result<bool, String> {
    let words = |error: std::io::Error| format!("{server}: {error}");
    let local = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(local).await.map_err(words)?;
    socket.connect(server).await.map_err(words)?;
    // RFC 1035 §4.1: RD and AD, one question: the root's NS.
    let id = getrandom::u32().unwrap_or_default().to_be_bytes();
    let question = [id[0], id[1], 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    socket.send(&question).await.map_err(words)?;
    let mut answer = [0; 1232];
    loop {
        let length = socket.recv(&mut answer).await.map_err(words)?;
        if length >= 12 && answer[..2] == id[..2] {
            return said(&answer[..length]);
        }
    }
}

/// Of an answer's header: AD, where it has answers at all.
fn said(answer: &[u8]) -> Result<bool, String> {
    match answer {
        [_, _, _, flags, _, _, high, low, ..] if flags & 0x0f == 0 && (*high, *low) != (0, 0) => Ok(flags & 0x20 != 0),
        _ => Err("it knows nothing of the root, as a server of a closed network does".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_whether_it_was_checked() {
        let answer = |flags: u8, records: u8| said(&[1, 2, 0x81, flags, 0, 1, 0, records, 0, 0, 0, 0]);
        assert_eq!(answer(0xa0, 13), Ok(true));
        assert_eq!(answer(0x80, 13), Ok(false));
        assert!(answer(0xa3, 0).is_err() && answer(0xa0, 0).is_err() && said(&[]).is_err());
    }
}
