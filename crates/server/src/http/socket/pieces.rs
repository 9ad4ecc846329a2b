//! What comes in, with long frames cut into short ones (RFC 6455 §5.4), as if the client had sent its message in pieces.
//!
//! The library holds a frame whole in a buffer that it keeps afterwards for good, though nothing that long may ever come again; a message
//! it gives away. So a frame is never longer than `limits::JMAP_SOCKET_FRAME` there.
//!
//! Does: read the heads of frames, and write others for those that are cut. Does not: unmask, or judge: what is wrong goes on as it is, and is
//! refused there; so does what is longer than any message may be.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use mail::limits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that are read at once, and held while nothing comes.
const AHEAD: usize = 4096;
/// RFC 6455 §5.2: the two octets, the longest length, the key.
const LONGEST_HEAD: usize = 14;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;
/// RFC 6455 §5.5: from here on, kinds are those of control frames.
const CONTROL: u8 = 0x08;

// Each piece but the last begins where the key does.
const _: () = assert!(limits::JMAP_SOCKET_FRAME.is_multiple_of(4));

/// See above.
pub(super) struct Pieces<S> {
    stream: S,
    ahead: Vec<u8>,
    /// Octets of `ahead` that went on.
    taken: usize,
    /// A head that was written here, to go on next.
    head: Vec<u8>,
    /// Octets to go on as they are.
    left: u64,
    /// The rest of a frame that is cut.
    rest: Option<Rest>,
}

/// See above.
struct Rest {
    /// Whether the frame ends its message.
    fin: u8,
    key: [u8; 4],
    octets: u64,
}

/// What a frame begins with.
struct Head {
    first: u8,
    octets: u64,
    key: Option<[u8; 4]>,
    /// Its own length.
    len: usize,
}

impl Head {
    /// `None`: there is more to come.
    fn read(octets: &[u8]) -> Option<Self> {
        let (&[first, second], mut rest) = octets.split_first_chunk()?;
        let octets_of = |octets: &[u8]| octets.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet));
        // RFC 6455 §5.2: the length itself, or where it stands.
        let length = match second & !MASKED {
            126 => 2,
            127 => 8,
            short => {
                let key = if second & MASKED == 0 { None } else { Some(*rest.first_chunk()?) };
                return Some(Self { first, octets: short.into(), key, len: 2 + key.map_or(0, |key| key.len()) });
            }
        };
        let said = octets_of(rest.split_off(..length)?);
        let key = if second & MASKED == 0 { None } else { Some(*rest.first_chunk()?) };
        Some(Self { first, octets: said, key, len: 2 + length + key.map_or(0, |key| key.len()) })
    }
}

impl<S> Pieces<S> {
    pub(super) fn new(stream: S) -> Self {
        let (ahead, head) = (Vec::with_capacity(AHEAD), Vec::with_capacity(LONGEST_HEAD));
        Self { stream, ahead, taken: 0, head, left: 0, rest: None }
    }

    /// What the next frame is made of. `false`: more of its head must come first.
    fn begin(&mut self) -> bool {
        let Some(head) = self.ahead.get(self.taken..).and_then(Head::read) else { return false };
        let piece = limits::JMAP_SOCKET_FRAME as u64;
        match head.key {
            Some(key)
                if head.octets > piece
                    && head.octets <= limits::JMAP_REQUEST_LEN as u64
                    && head.first & CONTROL == 0 =>
            {
                self.taken += head.len;
                self.rest = Some(Rest { fin: head.first & FIN, key, octets: head.octets });
                self.next_piece(head.first & !FIN);
            }
            _ => self.left = (head.len as u64).saturating_add(head.octets),
        }
        true
    }

    /// Writes the head of the next piece of a frame; all but the first are more of the same (RFC 6455 §5.4).
    fn next_piece(&mut self, kind: u8) {
        let Some(mut rest) = self.rest.take() else { return };
        self.left = rest.octets.min(limits::JMAP_SOCKET_FRAME as u64);
        rest.octets -= self.left;
        let fin = if rest.octets == 0 { rest.fin } else { 0 };
        self.head.clear();
        self.head.extend([fin | kind, MASKED | 127]);
        self.head.extend(self.left.to_be_bytes());
        self.head.extend(rest.key);
        self.rest = (rest.octets > 0).then_some(rest);
    }
}

impl<S: AsyncRead + Unpin> Pieces<S> {
    /// Reads more. `false`: there is none.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.ahead.drain(..self.taken);
        self.taken = 0;
        let had = self.ahead.len();
        self.ahead.resize(AHEAD, 0);
        let mut more = ReadBuf::new(&mut self.ahead[had..]);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut more).map_ok(|()| more.filled().len());
        let count = if let Poll::Ready(Ok(count)) = &read { *count } else { 0 };
        self.ahead.truncate(had + count);
        read.map_ok(|count| count > 0)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Pieces<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.head.is_empty() {
                let count = this.head.len().min(out.remaining());
                out.put_slice(&this.head[..count]);
                this.head.drain(..count);
                return Poll::Ready(Ok(()));
            }
            let ready = &this.ahead[this.taken..];
            if this.left > 0 && !ready.is_empty() {
                let left = usize::try_from(this.left).unwrap_or(usize::MAX);
                let count = ready.len().min(left).min(out.remaining());
                out.put_slice(&ready[..count]);
                this.taken += count;
                this.left -= count as u64;
                return Poll::Ready(Ok(()));
            }
            if this.left == 0 {
                if this.rest.is_some() {
                    this.next_piece(0);
                    continue;
                }
                if this.begin() {
                    continue;
                }
            }
            if !ready!(this.poll_more(cx))? {
                // Half a head at the end goes on as it is.
                this.left = (this.ahead.len() - this.taken) as u64;
                if this.left == 0 {
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Pieces<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut octets = vec![first, MASKED | 127];
        octets.extend((payload.len() as u64).to_be_bytes());
        octets.extend(KEY);
        octets.extend(payload.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key));
        octets
    }

    /// What comes out, where what comes in comes so much at a time.
    fn through(octets: &[u8], at_once: usize) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, far) = tokio::io::duplex(at_once);
            let mut out = Vec::new();
            let mut pieces = Pieces::new(far);
            let send = async {
                let mut near = near;
                tokio::io::AsyncWriteExt::write_all(&mut near, octets).await.unwrap();
            };
            let (_, read) = tokio::join!(send, pieces.read_to_end(&mut out));
            read.unwrap();
            out
        })
    }

    /// Frames as (first octet, payload unmasked), and what follows the last whole one.
    fn frames(mut octets: &[u8]) -> (Vec<(u8, Vec<u8>)>, Vec<u8>) {
        let mut all = Vec::new();
        while let Some(Head { first, octets: count, key: Some(key), len }) = Head::read(octets) {
            let Some(payload) = octets.get(len..len + count as usize) else { break };
            all.push((first, payload.iter().zip(key.iter().cycle()).map(|(octet, key)| octet ^ key).collect()));
            octets = &octets[len + count as usize..];
        }
        (all, octets.to_vec())
    }

    /// `JMAP_SOCKET_FRAME`, and one octet more; `JMAP_REQUEST_LEN`, and one octet more, which the library refuses.
    #[test]
    fn long_frames_are_cut() {
        let text = |length: usize| (0..length).map(|n| (n % 251) as u8).collect::<Vec<_>>();
        let piece = limits::JMAP_SOCKET_FRAME;
        for (first, length, wanted) in [
            (0x81, piece, vec![(0x81, piece)]),
            (0x81, piece + 1, vec![(0x01, piece), (0x80, 1)]),
            (0x01, 2 * piece + 7, vec![(0x01, piece), (0x00, piece), (0x00, 7)]),
            (0x80, 2 * piece, vec![(0x00, piece), (0x80, piece)]),
            (0xc2, piece + 1, vec![(0x42, piece), (0x80, 1)]),
            (0x89, piece + 1, vec![(0x89, piece + 1)]),
        ] {
            let whole = text(length);
            let (found, rest) = frames(&through(&frame(first, &whole), 1000));
            let shape: Vec<_> = found.iter().map(|(first, payload)| (*first, payload.len())).collect();
            assert_eq!((shape, rest.len()), (wanted, 0));
            assert!(found.iter().flat_map(|(_, payload)| payload).eq(&whole));
        }
        for (length, is_cut) in [(limits::JMAP_REQUEST_LEN, true), (limits::JMAP_REQUEST_LEN + 1, false)] {
            let whole = frame(0x81, &text(length));
            assert_eq!(through(&whole, 1 << 20) != whole, is_cut, "{length}");
        }
    }

    proptest! {
        /// Whatever comes, and however it is cut on the way: a short frame goes on as it is, and so does what is none.
        #[test]
        fn all_else_goes_on_as_it_is(octets in proptest::collection::vec(any::<u8>(), 0..300), lengths in proptest::collection::vec(0..200_usize, 0..5), at_once in 1..40_usize) {
            let mut all: Vec<u8> = lengths.iter().flat_map(|length| frame(0x81, &vec![b'x'; *length])).collect();
            all.extend(&octets);
            let is_long = frames(&octets).1.len() >= 2 && (frames(&octets).1[1] & 0x7f) > 125;
            prop_assume!(!is_long);
            prop_assert_eq!(through(&all, at_once), all);
        }
    }
}
