//! Packs: the digests of [`MESSAGES`] messages of a mailbox in few long rows, so that what is asked of many messages is
//! read at the disk's speed.

use bytes::Bytes;
use store::Marks;

/// Messages in a pack.
pub(super) const MESSAGES: usize = 256;

/// Marks whose messages stand in one row.
pub(super) const GROUP: u16 = 64;

/// Says that what follows has a bit for each message, not their numbers.
const BITS: u8 = u8::MAX;

/// Which of the messages.
pub(super) type Set = [u64; MESSAGES / 64];

/// All.
pub(super) const ALL: Set = [u64::MAX; MESSAGES / 64];

/// None.
pub(super) const NONE: Set = [0; MESSAGES / 64];

/// The octets of all messages, one after the other: how many there are, where each ends, then they.
pub(super) fn join<'p>(parts: impl ExactSizeIterator<Item = &'p [u8]> + Clone) -> Vec<u8> {
    let count = u32::try_from(parts.len()).unwrap_or(0);
    let mut joined = count.to_le_bytes().to_vec();
    let mut end = 0u32;
    for part in parts.clone() {
        end += u32::try_from(part.len()).unwrap_or(0);
        joined.extend_from_slice(&end.to_le_bytes());
    }
    parts.for_each(|part| joined.extend_from_slice(part));
    joined
}

/// The octets of the message at `place`; `None` where there is none, or these are no pack.
pub(super) fn part(joined: &Bytes, place: usize) -> Option<Bytes> {
    let number = |at: usize| {
        let octets = joined.get(at * 4..at * 4 + 4)?;
        Some(u32::from_le_bytes(octets.try_into().ok()?) as usize)
    };
    let count = number(0)?;
    if place >= count {
        return None;
    }
    let (from, end) = (if place == 0 { 0 } else { number(place)? }, number(place + 1)?);
    let begin = 4 + count * 4;
    (from <= end && begin + end <= joined.len()).then(|| joined.slice(begin + from..begin + end))
}

/// UIDs as octets.
pub(super) fn uids(uids: &[u32]) -> Vec<u8> {
    uids.iter().flat_map(|uid| uid.to_le_bytes()).collect()
}

/// The same back.
pub(super) fn read_uids(octets: &[u8]) -> Vec<u32> {
    octets.chunks_exact(4).map(|uid| u32::from_le_bytes([uid[0], uid[1], uid[2], uid[3]])).collect()
}

/// The rows of groups: for each mark the messages that have it, as their numbers where they are few.
pub(super) fn groups(marks: &[Marks]) -> Vec<Vec<u8>> {
    let mut having = vec![Vec::new(); usize::from(Marks::COUNT)];
    for (place, marks) in (0u8..=u8::MAX).zip(marks) {
        marks.iter().for_each(|mark| having[usize::from(mark)].push(place));
    }
    let row = |group: &[Vec<u8>]| {
        let mut row = Vec::new();
        for places in group {
            if places.len() < MESSAGES / 8 {
                row.push(places.len() as u8);
                row.extend_from_slice(places);
            } else {
                let mut bits = [0u8; MESSAGES / 8];
                places.iter().for_each(|place| bits[usize::from(*place) / 8] |= 1 << (place % 8));
                row.push(BITS);
                row.extend_from_slice(&bits);
            }
        }
        row
    };
    having.chunks(usize::from(GROUP)).map(row).collect()
}

/// Keeps in `set` the messages that have a mark; `row` is that of the mark's group.
pub(super) fn keep(set: &mut Set, mut row: &[u8], mark: u16) {
    let mut bits = NONE;
    for at in 0..=mark % GROUP {
        let Some((&count, rest)) = row.split_first() else { break };
        let len = if count == BITS { MESSAGES / 8 } else { usize::from(count) };
        let Some((these, rest)) = rest.split_at_checked(len) else { break };
        row = rest;
        if at < mark % GROUP {
            continue;
        }
        if count == BITS {
            for (bits, octets) in bits.iter_mut().zip(these.chunks_exact(8)) {
                *bits = octets.iter().rev().fold(0, |all, octet| all << 8 | u64::from(*octet));
            }
        } else {
            these.iter().for_each(|place| bits[usize::from(*place) / 64] |= 1 << (place % 64));
        }
    }
    set.iter_mut().zip(bits).for_each(|(set, bits)| *set &= bits);
}

/// Whether the message at `place` is in a set.
pub(super) fn has(set: &Set, place: usize) -> bool {
    set.get(place / 64).is_some_and(|bits| bits & 1 << (place % 64) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back() {
        let parts: [&[u8]; 4] = [b"one", b"", b"three", b""];
        let joined = Bytes::from(join(parts.into_iter()));
        let back: Vec<_> = (0..4).map(|place| part(&joined, place).unwrap()).collect();
        assert_eq!(back, parts);
        assert_eq!(part(&joined, 4), None);
        // Half of one is none.
        assert!((0..joined.len()).all(|len| part(&joined.slice(..len), 2).is_none()));
        assert_eq!(read_uids(&uids(&[7, u32::MAX])), [7, u32::MAX]);
    }

    /// Each mark finds the messages that have it, whether they are few or many.
    #[test]
    fn marks_come_back() {
        let mut marks = vec![Marks::default(); MESSAGES];
        let has_mark = |place: usize, mark: u16| place % usize::from(mark % 70 + 1) == usize::from(mark % 3);
        for (place, marks) in marks.iter_mut().enumerate() {
            (0..Marks::COUNT).filter(|mark| has_mark(place, *mark)).for_each(|mark| marks.insert(mark));
        }
        for count in [MESSAGES, 100, 1, 0] {
            let groups = groups(&marks[..count]);
            for mark in [0, 1, 63, 64, 69, 140, Marks::COUNT - 1] {
                let mut set = ALL;
                keep(&mut set, &groups[usize::from(mark / GROUP)], mark);
                assert!((0..MESSAGES).all(|place| has(&set, place) == (place < count && has_mark(place, mark))));
            }
        }
        let mut set = ALL;
        keep(&mut set, &[], 5);
        assert_eq!(set, NONE);
    }
}
