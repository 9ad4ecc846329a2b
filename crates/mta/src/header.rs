//! The header of a message that is stored.

use mail::limits;
use message::header::HeaderEnd;
use store::{Body, StoreResult};

/// The header's octets, the empty line included; of one longer than `HEADER_LEN`, about so many.
///
/// # Errors
/// The store's.
pub async fn read(body: &dyn Body) -> StoreResult<Vec<u8>> {
    let (mut octets, mut end) = (Vec::new(), HeaderEnd::default());
    while (octets.len() as u64) < body.size() && octets.len() < limits::HEADER_LEN {
        let at = octets.len() as u64;
        let piece = body.read(at..body.size().min(at + limits::READ_CHUNK as u64)).await?;
        if piece.is_empty() {
            break;
        }
        octets.extend_from_slice(&piece);
        if let Some(end) = end.push(&piece) {
            octets.truncate(usize::try_from(end).unwrap_or(usize::MAX));
            break;
        }
    }
    Ok(octets)
}
