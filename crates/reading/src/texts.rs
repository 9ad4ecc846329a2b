//! The texts that SEARCH looks into, decoded and folded. A search stops at the first that it likes; a digest takes note of all
//! of them, so that both mean the same.

use mail::limits;
use message::header::Header;
use message::structure::{Kind, Part};
use message::text::{decode_words, fold, from_charset, from_html, of_part};
use message::transfer::{Decoder, Encoding};
use store::StoreResult;

use crate::body::{Message, looked_at};

/// Octets of a large part that are looked into again with what follows, beside four times what is looked for: a folded
/// character comes from at most four octets, and shift states of old character sets are short.
const OVERLAP: usize = 1024;

/// Looks into the fields of a header, or those of one name: their values, and without a name the whole fields too. True once
/// `is_it` is.
pub fn of_header(header: &Header<'_>, name: Option<&str>, mut is_it: impl FnMut(&str) -> bool) -> bool {
    header.fields().filter(|field| name.is_none_or(|name| field.is(name))).any(|field| {
        is_it(&fold(&decode_words(field.raw_value())))
            || name.is_none() && is_it(&fold(&String::from_utf8_lossy(field.bytes())))
    })
}

/// Looks into the texts of all parts, and the headers of messages within. `len`: of what is looked for.
pub async fn of_body(
    message: &mut Message<'_>,
    len: usize,
    mut is_it: impl FnMut(&str) -> bool + Send,
) -> StoreResult<bool> {
    let structure = message.structure().await?;
    for (at, part) in structure.parts().iter().enumerate() {
        if at > 0 && part.envelope.is_some() {
            let header = message.read_whole(looked_at(part.header.clone())).await?;
            if of_header(&Header::of(&header), None, &mut is_it) {
                return Ok(true);
            }
        }
        if is_text(part) && of_text(message, part, len, &mut is_it).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What people read as text: also the fields of a report (message/delivery-status), where the address and the words
/// stand that they look for.
fn is_text(part: &Part) -> bool {
    matches!(part.kind, Kind::Leaf) && (part.is_type("text") || part.is_type("message"))
}

/// A part at once where it is small; else in pieces that overlap by more than what is looked for is long.
async fn of_text(
    message: &mut Message<'_>,
    part: &Part,
    len: usize,
    is_it: &mut (impl FnMut(&str) -> bool + Send),
) -> StoreResult<bool> {
    if part.size() <= limits::IMAP_SEARCH_TEXT as u64 {
        let body = message.read_whole(part.body.clone()).await?;
        let text = of_part(part, &body);
        return Ok(is_it(&fold(&text)) || part.is("text", "html") && is_it(&fold(&from_html(&text))));
    }
    let charset = part.parameter("charset").unwrap_or(b"us-ascii");
    let mut decoder = Decoder::new(Encoding::of(&part.encoding));
    let overlap = len * 4 + OVERLAP;
    let (mut window, mut at) = (Vec::new(), part.body.start);
    while at < part.body.end {
        let piece = message.read(at..part.body.end).await?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
        decoder.push(&piece, &mut window);
        if window.len() >= limits::IMAP_SEARCH_TEXT {
            if is_it(&fold(&from_charset(charset, &window))) {
                return Ok(true);
            }
            window.drain(..window.len() - overlap.min(window.len()));
        }
    }
    decoder.finish(&mut window);
    Ok(is_it(&fold(&from_charset(charset, &window))))
}
