//! BINARY[…] and BINARY.SIZE[…] (RFC 3516 §4.2, §4.3): a part without its transfer encoding.

use std::ops::Range;

use message::structure::{Kind, Part, Section};
use message::transfer::{Decoder, Encoding};
use store::{StoreError, StoreResult};
use wire::imap::fetch::{Binary, write_part};
use wire::imap::write;

use crate::fetch::{Sending, partial, stream};
use crate::host::End;
use crate::io::Io;
use crate::refusal::Unread;
use reading::body::Message;

/// Where a part is, and how it is encoded.
async fn place(path: &[u32], message: &mut Message<'_>) -> Result<Option<(Range<u64>, Encoding)>, Unread> {
    if path.is_empty() {
        return Ok(Some((0..message.size(), Encoding::Identity)));
    }
    let structure = message.structure().await?;
    let Some(range) = structure.section(path, Section::Whole) else { return Ok(None) };
    match structure.find(path) {
        // What holds other parts has no encoding of its own that may change octets (RFC 2045 §6.4).
        Some(part) if part.kind == Kind::Leaf => Ok(Some((range, known_encoding(part)?))),
        _ => Ok(Some((range, Encoding::Identity))),
    }
}

fn known_encoding(part: &Part) -> Result<Encoding, Unread> {
    let is = |name: &&str| part.encoding.eq_ignore_ascii_case(name.as_bytes());
    if ["7bit", "8bit", "binary", "base64", "quoted-printable"].iter().any(is) {
        Ok(Encoding::of(&part.encoding))
    } else {
        Err(Unread::Encoding)
    }
}

/// A part that is decoded piece by piece.
struct Pieces {
    decoder: Option<Decoder>,
    left: Range<u64>,
}

impl Pieces {
    fn new(encoding: Encoding, left: Range<u64>) -> Self {
        Self { decoder: Some(Decoder::new(encoding)), left }
    }

    async fn next(&mut self, message: &mut Message<'_>) -> StoreResult<Option<Vec<u8>>> {
        let mut out = Vec::new();
        while out.is_empty() {
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            if self.left.is_empty() {
                if let Some(decoder) = self.decoder.take() {
                    decoder.finish(&mut out);
                }
                continue;
            }
            let piece = message.read(self.left.clone()).await?;
            if piece.is_empty() {
                return Err(StoreError::Failed("a message ended early".into()));
            }
            self.left.start += piece.len() as u64;
            decoder.push(&piece, &mut out);
        }
        Ok(Some(out))
    }
}

/// Octets of the content, and whether a NUL is among those of `wanted`.
async fn measure(
    encoding: Encoding,
    range: Range<u64>,
    wanted: Option<(u64, u64)>,
    message: &mut Message<'_>,
) -> StoreResult<(u64, bool)> {
    let (mut len, mut nul) = (0, false);
    let mut pieces = Pieces::new(encoding, range);
    while let Some(piece) = pieces.next(message).await? {
        nul |= piece[within(len, &piece, &partial(wanted, 0..u64::MAX))].contains(&0);
        len += piece.len() as u64;
    }
    Ok((len, nul))
}

/// What of a piece that begins at `at` is in `wanted`.
fn within(at: u64, piece: &[u8], wanted: &Range<u64>) -> Range<usize> {
    let place = |n: u64| usize::try_from(n.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
    place(wanted.start)..place(wanted.end).max(place(wanted.start))
}

/// `BINARY.SIZE[…] number`
pub(crate) async fn size(out: &mut Vec<u8>, path: &[u32], message: &mut Message<'_>) -> Result<(), Unread> {
    let len = match place(path, message).await? {
        Some((range, Encoding::Identity)) => range.end - range.start,
        Some((range, encoding)) => measure(encoding, range, None, message).await?.0,
        None => 0,
    };
    out.extend_from_slice(b"BINARY.SIZE");
    write_part(path, out);
    out.push(b' ');
    write::number(out, len);
    Ok(())
}

/// `BINARY[…] (nstring / literal8)`. The content is decoded twice, first for its length: it may be of any size.
pub(crate) async fn part(
    io: &mut Io<'_>,
    binary: &Binary,
    label: &[u8],
    message: &mut Message<'_>,
    sending: &mut Sending,
) -> Result<Result<(), Unread>, End> {
    let (range, encoding) = match place(&binary.path, message).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            io.out.extend_from_slice(label);
            io.out.extend_from_slice(b" NIL");
            return Ok(Ok(()));
        }
        Err(error) => return Ok(Err(error)),
    };
    let (len, nul) = match measure(encoding, range.clone(), binary.partial, message).await {
        Ok(measured) => measured,
        Err(error) => return Ok(Err(error.into())),
    };
    io.out.extend_from_slice(label);
    io.out.push(b' ');
    let wanted = partial(binary.partial, 0..len);
    if encoding == Encoding::Identity && !nul {
        return stream(io, range.start + wanted.start..range.start + wanted.end, message, sending).await;
    }
    if wanted.is_empty() {
        io.out.extend_from_slice(b"\"\"");
        return Ok(Ok(()));
    }
    // RFC 3516 §4.2: literal8 where there is a NUL; a plain one elsewhere, since not all clients read the other.
    if nul {
        io.out.push(b'~');
    }
    write::literal(&mut io.out, wanted.end - wanted.start);
    let mut pieces = Pieces::new(encoding, range);
    let mut at = 0;
    while at < wanted.end {
        match pieces.next(message).await {
            Ok(Some(piece)) => {
                io.out.extend_from_slice(&piece[within(at, &piece, &wanted)]);
                at += piece.len() as u64;
            }
            Ok(None) => return Ok(Err(StoreError::Failed("a message ended early".into()).into())),
            Err(error) => return Ok(Err(error.into())),
        }
        if at < wanted.end {
            sending.begun = true;
            io.flush().await?;
        }
    }
    Ok(Ok(()))
}
