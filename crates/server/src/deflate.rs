//! A compressed connection (RFC 4978): raw DEFLATE both ways, flushed whenever the engine has said something.
//!
//! Does: turn octets into octets, bounded in both directions. Does not: know a socket or a protocol.
//!
//! What is received needs the window of the client's stream for as long as the connection lives. What is sent does not: each
//! piece is compressed by itself and ends at an octet's border (an empty stored block, RFC 1951 §3.2.4), so that a connection
//! that is idle holds nothing for it.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use mail::limits;

/// What is received was no DEFLATE, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Both directions of one connection.
pub(crate) struct Deflate {
    inflate: Decompress,
    /// Received and not yet inflated.
    waiting: Vec<u8>,
    /// The last piece filled all the room that it was given: there may be more of it.
    more: bool,
}

impl Deflate {
    /// With what was received already.
    pub(crate) fn new(received: &[u8]) -> Self {
        Self { inflate: Decompress::new(false), waiting: received.to_vec(), more: false }
    }

    /// Whether [`Self::inflate`] has something to do without new input.
    pub(crate) fn is_waiting(&self) -> bool {
        self.more || !self.waiting.is_empty()
    }

    /// Takes what was received.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Appends the next piece to `out`, at most `limits::INFLATED_AT_ONCE` octets: a little input may hold a thousand
    /// times as much.
    pub(crate) fn inflate(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut piece = Vec::with_capacity(limits::INFLATED_AT_ONCE);
        let before = self.inflate.total_in();
        let status = self.inflate.decompress_vec(&self.waiting, &mut piece, FlushDecompress::Sync);
        let used = usize::try_from(self.inflate.total_in() - before).map_err(|_| Broken)?;
        self.waiting.drain(..used);
        if self.waiting.is_empty() {
            self.waiting = Vec::new();
        }
        self.more = piece.len() == piece.capacity();
        out.extend_from_slice(&piece);
        match status {
            Ok(Status::Ok) => Ok(()),
            // No progress can be made without more input.
            Ok(Status::BufError) if self.waiting.is_empty() => Ok(()),
            Ok(Status::BufError | Status::StreamEnd) | Err(_) => Err(Broken),
        }
    }

    /// Compresses a piece, whole: the other side can read all of it.
    pub(crate) fn deflate(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let mut compress = Compress::new(Compression::fast(), false);
        let mut rest = bytes;
        loop {
            // A sync flush is over only when it leaves room.
            out.reserve(rest.len() / 2 + 1024);
            let before = compress.total_in();
            compress.compress_vec(rest, out, FlushCompress::Sync).map_err(|_| Broken)?;
            rest = &rest[usize::try_from(compress.total_in() - before).map_err(|_| Broken)?..];
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::random::Random;

    fn inflated(stream: &[u8], random: &mut Random) -> Vec<u8> {
        let (mut ours, mut out) = (Deflate::new(&[]), Vec::new());
        let mut rest = stream;
        while !rest.is_empty() || ours.is_waiting() {
            if !ours.is_waiting() {
                let (now, later) = rest.split_at(1 + random.below(rest.len().min(5_000)));
                ours.received(now);
                rest = later;
            }
            let before = out.len();
            ours.inflate(&mut out).unwrap();
            assert!(out.len() - before <= limits::INFLATED_AT_ONCE);
        }
        out
    }

    /// Pieces of any size, each flushed, cut anywhere: what comes out is what went in, and all of a piece is there once all
    /// of it was received.
    #[test]
    fn any_pieces_come_through() {
        let mut random = Random::from_environment(0xdef1);
        for _ in 0..60 {
            let (mut sent, mut stream) = (Vec::new(), Vec::new());
            for _ in 0..random.below(8) {
                let len = [0, 1, 10, 5_000, 200_000][random.below(5)];
                let kinds = 1 + random.below(255);
                let piece: Vec<u8> = (0..len).map(|_| random.below(kinds) as u8).collect();
                let mut packed = Vec::new();
                Deflate::deflate(&piece, &mut packed).unwrap();
                assert_eq!(inflated(&packed, &mut random), piece);
                sent.extend_from_slice(&piece);
                stream.extend_from_slice(&packed);
            }
            assert_eq!(inflated(&stream, &mut random), sent);
        }
    }

    /// A client's stream is one: later pieces refer to earlier ones. Partial, sync and full flushes are all read.
    #[test]
    fn a_clients_stream_goes_on() {
        let mut random = Random::from_environment(0xdef2);
        let (mut theirs, mut ours) = (Compress::new(Compression::best(), false), Deflate::new(&[]));
        for n in 0..500 {
            let line = format!("{n} NOOP and the same words again and again\r\n");
            let mut packed = Vec::with_capacity(1_000);
            let flush = [FlushCompress::Partial, FlushCompress::Sync, FlushCompress::Full][random.below(3)];
            theirs.compress_vec(line.as_bytes(), &mut packed, flush).unwrap();
            let mut out = Vec::new();
            ours.received(&packed);
            while ours.is_waiting() {
                ours.inflate(&mut out).unwrap();
            }
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }

    #[test]
    fn what_is_no_deflate_is_an_error() {
        let mut out = Vec::new();
        assert_eq!(
            Deflate::new(b"a NOOP\r\n").inflate(&mut out).and_then(|()| Deflate::new(&[7; 50]).inflate(&mut out)),
            Err(Broken)
        );
        let mut whole = Compress::new(Compression::fast(), false);
        let mut packed = Vec::with_capacity(100);
        whole.compress_vec(b"end", &mut packed, FlushCompress::Finish).unwrap();
        assert_eq!(Deflate::new(&packed).inflate(&mut out), Err(Broken));
    }

    /// A few octets may stand for very many: they come in pieces.
    #[test]
    fn a_bomb_is_bounded() {
        let mut packed = Vec::new();
        Deflate::deflate(&vec![0; 50_000_000], &mut packed).unwrap();
        assert!(packed.len() < 400_000);
        let mut ours = Deflate::new(&packed);
        let mut total = 0;
        while ours.is_waiting() {
            let mut out = Vec::new();
            ours.inflate(&mut out).unwrap();
            assert!(out.len() <= limits::INFLATED_AT_ONCE);
            total += out.len();
        }
        assert_eq!(total, 50_000_000);
    }
}
