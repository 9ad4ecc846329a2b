//! Rows that follow each other, in few octets: 38 each.

use mail::{BodyId, Flags, ModSeq, ThreadId, Timestamp, Uid};

use super::MessageRow;

/// Rows in ascending order of UID; never changed.
#[derive(Debug)]
pub(super) enum Chunk {
    /// As differences to the least of each column.
    Packed(Packed),
    /// Rows that are too far apart for that, and how many of them lack \Seen.
    Whole(Box<[MessageRow]>, u32),
}

#[derive(Debug)]
pub(super) struct Packed {
    least: Least,
    rows: Box<[Row]>,
    /// Of each row; empty where no row has any.
    keywords: Box<[u64]>,
    /// Rows without \Seen.
    unseen: u32,
}

#[derive(Clone, Copy, Debug)]
struct Least {
    modseq: u64,
    body: u64,
    thread: u64,
    internal_date: i64,
    saved: i64,
}

/// A row beside [`Least`]. Times are milliseconds in five octets: up to 34 years apart. Packed, since the place that
/// alignment leaves free at the end of each would be a twentieth of all.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(2))]
struct Row {
    uid: u32,
    size: u32,
    modseq: u32,
    created: u32,
    body: u32,
    thread: [u8; 6],
    internal_date: [u8; 5],
    saved: [u8; 5],
    flags: u8,
}

impl Row {
    /// `None`: it does not fit.
    fn of(row: &MessageRow, least: &Least) -> Option<Self> {
        let near = |value: u64, least: u64| value.checked_sub(least).and_then(|by| u32::try_from(by).ok());
        Some(Self {
            uid: row.uid.get(),
            size: row.size,
            modseq: near(row.modseq.0, least.modseq)?,
            created: near(row.created.0, least.modseq)?,
            body: near(row.body.0, least.body)?,
            thread: in_six(row.thread.0.checked_sub(least.thread)?)?,
            internal_date: later(row.internal_date, least.internal_date)?,
            saved: later(row.saved, least.saved)?,
            flags: row.flags.bits(),
        })
    }
}

fn in_six(number: u64) -> Option<[u8; 6]> {
    let [a, b, c, d, e, f, 0, 0] = number.to_le_bytes() else { return None };
    Some([a, b, c, d, e, f])
}

const fn of_six([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
}

fn later(time: Timestamp, least: i64) -> Option<[u8; 5]> {
    let by = u64::try_from(time.millis().checked_sub(least)?).ok()?;
    let [a, b, c, d, e, 0, 0, 0] = by.to_le_bytes() else { return None };
    Some([a, b, c, d, e])
}

fn time(least: i64, [a, b, c, d, e]: [u8; 5]) -> Timestamp {
    Timestamp::from_millis(least.saturating_add(i64::from_le_bytes([a, b, c, d, e, 0, 0, 0])))
}

impl Packed {
    fn of(rows: &[MessageRow]) -> Option<Self> {
        let least = Least {
            modseq: rows.iter().map(|row| row.modseq.0.min(row.created.0)).min()?,
            body: rows.iter().map(|row| row.body.0).min()?,
            thread: rows.iter().map(|row| row.thread.0).min()?,
            internal_date: rows.iter().map(|row| row.internal_date.millis()).min()?,
            saved: rows.iter().map(|row| row.saved.millis()).min()?,
        };
        let some = rows.iter().any(|row| row.keywords != 0);
        // Collected into an Option it would grow by doubling, and keep what it does not need.
        let mut packed = Vec::with_capacity(rows.len());
        for row in rows {
            packed.push(Row::of(row, &least)?);
        }
        Some(Self {
            least,
            rows: packed.into_boxed_slice(),
            keywords: if some { rows.iter().map(|row| row.keywords).collect() } else { Box::default() },
            unseen: unseen(rows),
        })
    }

    fn get(&self, index: usize) -> Option<MessageRow> {
        let (row, least) = (self.rows.get(index)?, &self.least);
        Some(MessageRow {
            uid: Uid::new(row.uid)?,
            flags: Flags::from_bits(row.flags),
            keywords: self.keywords.get(index).copied().unwrap_or(0),
            modseq: ModSeq(least.modseq + u64::from(row.modseq)),
            created: ModSeq(least.modseq + u64::from(row.created)),
            size: row.size,
            internal_date: time(least.internal_date, row.internal_date),
            saved: time(least.saved, row.saved),
            body: BodyId(least.body + u64::from(row.body)),
            thread: ThreadId(least.thread + of_six(row.thread)),
        })
    }
}

fn unseen(rows: &[MessageRow]) -> u32 {
    let count = rows.iter().filter(|row| !row.flags.contains(Flags::SEEN)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl Chunk {
    pub(super) fn new(rows: &[MessageRow]) -> Self {
        Packed::of(rows).map_or_else(|| Self::Whole(rows.into(), unseen(rows)), Self::Packed)
    }

    /// How many rows lack \Seen.
    pub(super) const fn unseen(&self) -> u32 {
        match self {
            Self::Packed(Packed { unseen, .. }) | Self::Whole(_, unseen) => *unseen,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Packed(packed) => packed.rows.len(),
            Self::Whole(rows, _) => rows.len(),
        }
    }

    /// What it takes in memory.
    pub(super) fn octets(&self) -> usize {
        let rows = match self {
            Self::Packed(packed) => size_of_val(&*packed.rows) + size_of_val(&*packed.keywords),
            Self::Whole(rows, _) => size_of_val(&**rows),
        };
        size_of::<Self>() + rows
    }

    pub(super) fn get(&self, index: usize) -> Option<MessageRow> {
        match self {
            Self::Packed(packed) => packed.get(index),
            Self::Whole(rows, _) => rows.get(index).copied(),
        }
    }

    /// The highest UID; a chunk is never empty.
    pub(super) fn last(&self) -> Uid {
        let last = match self {
            Self::Packed(packed) => packed.rows.last().and_then(|row| Uid::new(row.uid)),
            Self::Whole(rows, _) => rows.last().map(|row| row.uid),
        };
        last.unwrap_or(Uid::FIRST)
    }

    /// The index of `uid`: `Ok` where it is, `Err` where it would be.
    pub(super) fn find(&self, uid: Uid) -> Result<usize, usize> {
        match self {
            Self::Packed(packed) => packed.rows.binary_search_by_key(&uid.get(), |row| row.uid),
            Self::Whole(rows, _) => rows.binary_search_by_key(&uid, |row| row.uid),
        }
    }

    /// The rows from `index` on.
    pub(super) fn rows(&self, index: usize) -> impl DoubleEndedIterator<Item = MessageRow> {
        (index..self.len()).filter_map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(uid: u32, far: u64) -> MessageRow {
        MessageRow {
            uid: Uid::new(uid).unwrap(),
            flags: Flags::from_bits(uid as u8),
            keywords: if far.is_multiple_of(2) { u64::MAX } else { 0 },
            modseq: ModSeq(5 + far),
            created: ModSeq(5),
            size: u32::MAX,
            internal_date: Timestamp::from_millis(-(far as i64)),
            saved: Timestamp::from_millis(1_795_000_000_123),
            body: BodyId(1 << 40),
            thread: ThreadId(far << 16),
        }
    }

    /// What fits is packed, what is one too far stays whole, and both read back to the last bit.
    #[test]
    fn rows_read_back() {
        for (far, fits) in [(0, true), (7, true), (u64::from(u32::MAX), true), (1 << 32, false), (u64::MAX / 4, false)]
        {
            let rows = [row(1, far), row(2, 0), row(7, far / 3), row(u32::MAX, far)];
            let chunk = Chunk::new(&rows);
            assert_eq!(matches!(chunk, Chunk::Packed(_)), fits, "{far}");
            assert_eq!(chunk.rows(0).collect::<Vec<_>>(), rows);
            assert_eq!(chunk.rows(3).collect::<Vec<_>>(), rows[3..]);
            assert_eq!((chunk.len(), chunk.last().get(), chunk.get(4)), (4, u32::MAX, None));
            assert_eq!(chunk.find(Uid::new(7).unwrap()), Ok(2));
            assert_eq!(chunk.find(Uid::new(8).unwrap()), Err(3));
        }
        let times =
            [0, (1 << 40) - 1, 1 << 40].map(|late| MessageRow { saved: Timestamp::from_millis(late), ..row(1, 1) });
        assert!(matches!(Chunk::new(&times[..2]), Chunk::Packed(_)));
        assert!(matches!(Chunk::new(&times), Chunk::Whole(..)));
    }

    /// A row takes 38 octets; what its chunk takes beside is less than one for each of 256.
    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Row>(), 38);
        assert!(size_of::<Chunk>() < 256);
    }
}
