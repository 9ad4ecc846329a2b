//! What stands beside a mail server says: filters (milters), and proxies in front of it.

use wire::milter::{Command, Response, packet, reply};
use wire::proxy::{Step, read};

use crate::alike;

/// Packets are alike under every cut; what is read is written again to the same meaning, and no words of a filter make two lines.
pub fn milter(data: &[u8]) {
    alike(data, |pieces| {
        let (mut input, mut packets) = (Vec::new(), Vec::new());
        for piece in pieces {
            input.extend_from_slice(piece);
            loop {
                match packet(&input) {
                    Ok(Some((one, used))) => {
                        packets.push(one.to_vec());
                        input.drain(..used);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        packets.push(error.to_string().into_bytes());
                        return packets;
                    }
                }
            }
        }
        packets
    });
    let mut out = Vec::new();
    if let Ok(command) = Command::read(data) {
        command.write(&mut out);
        if let Ok(Some((again, _))) = packet(&out) {
            assert_eq!(Command::read(again), Ok(command));
        }
    }
    out.clear();
    if let Ok(response) = Response::read(data) {
        response.write(&mut out);
        if let Ok(Some((again, _))) = packet(&out) {
            assert_eq!(Response::read(again), Ok(response));
        }
    }
    if let Some(reply) = reply(data) {
        assert!(reply.code.get() >= 400 && reply.text.bytes().all(|b| b == b'\n' || b == b' ' || b.is_ascii_graphic()));
    }
}

/// A PROXY header is read as a listener does it: each time so many octets as are wanted, which are never none, and in bounds.
pub fn proxy(data: &[u8]) {
    let mut used = 0;
    while used <= data.len() {
        match read(&data[..used]) {
            Ok(Step::More(more)) => {
                assert!(more > 0 && used + more <= mail::limits::PROXY_HEADER_LEN);
                used += more;
            }
            Ok(Step::Done(_)) | Err(_) => return,
        }
    }
}
