//! How a message stands in the log.
//!
//! A file (segment or blob) begins with 32 octets: magic, version, number, salt, checksum. A segment goes
//! on with frames of 16 octets of header (magic, length, checksum of the payload, checksum of the header)
//! and the payload; a blob with one such frame. Checksums are CRC-32 over the file's salt and the
//! data, so that a frame of another file, or of a former life of this one, is never taken for valid.
//! Numbers are little-endian.

use std::hash::{BuildHasher, Hasher};

/// Octets of a file's header.
pub(crate) const FILE_HEADER: usize = 32;
/// Octets of a frame's header.
pub(crate) const HEADER: usize = 16;

const FILE_MAGIC: &[u8; 8] = b"PRLOG\r\n\0";
const FRAME_MAGIC: u32 = 0x4d_47_52_50;
const VERSION: u32 = 1;

/// A file's header.
pub(crate) fn file_header(number: u32, salt: u64) -> [u8; FILE_HEADER] {
    let mut header = [0; FILE_HEADER];
    header[..8].copy_from_slice(FILE_MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&number.to_le_bytes());
    header[16..24].copy_from_slice(&salt.to_le_bytes());
    let sum = crc32fast::hash(&header[..28]);
    header[28..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// The salt in a file's header, if it is the header of file `number`.
pub(crate) fn read_file_header(header: &[u8; FILE_HEADER], number: u32) -> Option<u64> {
    let at = |from: usize| u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]]);
    let whole = &header[..8] == FILE_MAGIC && crc32fast::hash(&header[..28]) == at(28);
    (whole && at(8) == VERSION && at(12) == number).then(|| u64::from(at(16)) | u64::from(at(20)) << 32)
}

/// The checksum of a payload, begun.
pub(crate) fn checksum(salt: u64) -> crc32fast::Hasher {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&salt.to_le_bytes());
    sum
}

/// A frame's header.
pub(crate) fn header(salt: u64, length: u32, payload_sum: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..12].copy_from_slice(&payload_sum.to_le_bytes());
    let mut sum = checksum(salt);
    sum.update(&header[..12]);
    header[12..].copy_from_slice(&sum.finalize().to_le_bytes());
    header
}

/// Length and checksum of the payload, if this is a frame's header under `salt`.
pub(crate) fn read_header(header: &[u8; HEADER], salt: u64) -> Option<(u32, u32)> {
    let at = |from: usize| u32::from_le_bytes([header[from], header[from + 1], header[from + 2], header[from + 3]]);
    let mut sum = checksum(salt);
    sum.update(&header[..12]);
    (at(0) == FRAME_MAGIC && sum.finalize() == at(12)).then(|| (at(4), at(8)))
}

/// A new file's salt. Needs to differ, not to be secret: the seed of std's hash maps will do.
pub(crate) fn new_salt() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_seen() {
        let file = file_header(7, 99);
        assert_eq!(read_file_header(&file, 7), Some(99));
        assert_eq!(read_file_header(&file, 8), None);
        let frame = header(99, 5, 1234);
        assert_eq!(read_header(&frame, 99), Some((5, 1234)));
        assert_eq!(read_header(&frame, 98), None);
        for bit in 0..HEADER * 8 {
            let mut bad = frame;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read_header(&bad, 99), None, "bit {bit}");
        }
    }
}
