//! How a reply is written (RFC 5321 §4.2).

use std::io::Write;

use mail::Reply;

/// Appends `reply` to `out`: one line for each line of its text, each with code and enhanced code (RFC 2034 §4).
pub fn write(reply: &Reply, out: &mut Vec<u8>) {
    // Once for all: byte by byte, the small buffer would grow five times.
    out.reserve(reply.text.len() + 16);
    let mut lines = reply.text.split('\n').peekable();
    while let Some(line) = lines.next() {
        // RFC 5321 §4.2.1: a hyphen on all lines but the last.
        let mark = if lines.peek().is_some() { '-' } else { ' ' };
        // Writing to a Vec can't fail.
        let _ = match reply.enhanced {
            Some(enhanced) => write!(out, "{}{mark}{enhanced} ", reply.code),
            None => write!(out, "{}{mark}", reply.code),
        };
        // What comes from elsewhere into our words must not end the line.
        out.extend(line.bytes().filter(|b| !b.is_ascii_control()));
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_its_codes() {
        let mut out = Vec::new();
        write(&Reply::new(550, (5, 1, 1), "one\ntwo\r"), &mut out);
        write(&Reply::plain(250, "three"), &mut out);
        assert_eq!(out, b"550-5.1.1 one\r\n550 5.1.1 two\r\n250 three\r\n");
    }
}
