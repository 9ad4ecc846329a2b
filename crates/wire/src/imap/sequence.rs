//! Sequence sets: `1,3:5,7:*` (RFC 3501 §9 `sequence-set`), of message numbers or UIDs.

use std::fmt;
use std::ops::RangeInclusive;

use mail::limits;

use super::cursor::{Bad, Cursor};

/// Messages that a command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageSet {
    /// By number or by UID.
    Numbers(SequenceSet),
    /// `$`: what the last SEARCH saved (RFC 5182).
    Saved,
}

/// Part of a result (RFC 9394 §4, RFC 5267 §4.4): the first ones are 1, the last one is -1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// As written, without the sign.
    pub from: u32,
    /// The same.
    pub to: u32,
    /// Counted from the end.
    pub backwards: bool,
}

impl Partial {
    /// The places of the part in a result of `len`.
    pub fn places(self, len: usize) -> std::ops::Range<usize> {
        let place = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let (low, high) = (place(self.from.min(self.to)), place(self.from.max(self.to)));
        if self.backwards {
            len.saturating_sub(high)..len.saturating_sub(low - 1)
        } else {
            (low - 1).min(len)..high.min(len)
        }
    }
}

impl fmt::Display for Partial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.backwards { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.from, self.to)
    }
}

/// A set of numbers as written; `*` is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(pub Vec<(Option<u32>, Option<u32>)>);

impl SequenceSet {
    /// One number.
    pub fn single(number: u32) -> Self {
        Self(vec![(Some(number), Some(number))])
    }

    /// The numbers as ascending ranges that neither touch nor overlap, where `*` is `last`; with `last` 0
    /// (an empty mailbox) `*` is nothing. RFC 3501 §9: `4:2` is `2:4`, and `9:*` holds the last even if that is below 9.
    pub fn ranges(&self, last: u32) -> Vec<RangeInclusive<u32>> {
        let mut pairs: Vec<(u32, u32)> = self
            .0
            .iter()
            .filter(|(a, b)| last != 0 || a.is_some() && b.is_some())
            .map(|(a, b)| (a.unwrap_or(last), b.unwrap_or(last)))
            .map(|(a, b)| (a.min(b), a.max(b)))
            .collect();
        pairs.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(pairs.len());
        for (from, to) in pairs {
            match ranges.last_mut() {
                Some(range) if from <= range.1.saturating_add(1) => range.1 = range.1.max(to),
                _ => ranges.push((from, to)),
            }
        }
        ranges.into_iter().map(|(from, to)| from..=to).collect()
    }

    /// The highest number that is written out.
    pub fn highest(&self) -> Option<u32> {
        self.0.iter().flat_map(|(a, b)| [*a, *b]).flatten().max()
    }

    /// How many numbers it has as written; `None`: it has a `*`.
    pub fn count(&self) -> Option<u64> {
        self.0.iter().try_fold(0, |sum, (a, b)| Some(sum + u64::from((*a)?.abs_diff((*b)?)) + 1))
    }

    /// The shortest set of these ascending numbers, as in COPYUID and ESEARCH.
    pub fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut set: Vec<(Option<u32>, Option<u32>)> = Vec::new();
        for number in numbers {
            match set.last_mut() {
                Some((_, Some(to))) if to.checked_add(1) == Some(number) => *to = number,
                _ => set.push((Some(number), Some(number))),
            }
        }
        Self(set)
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |f: &mut fmt::Formatter<'_>, n: Option<u32>| match n {
            Some(n) => write!(f, "{n}"),
            None => f.write_str("*"),
        };
        for (at, (from, to)) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            number(f, *from)?;
            if from != to {
                f.write_str(":")?;
                number(f, *to)?;
            }
        }
        Ok(())
    }
}

impl Cursor<'_> {
    /// `sequence-set = (seq-number / seq-range) *("," sequence-set)`, `seq-range = seq-number ":" seq-number`
    pub fn sequence_set(&mut self) -> Result<SequenceSet, Bad> {
        let mut set = Vec::new();
        loop {
            let from = self.seq_number()?;
            let to = if self.take(b':') { self.seq_number()? } else { from };
            set.push((from, to));
            if set.len() > limits::IMAP_ITEMS {
                return Err(Bad("The set has too many items"));
            }
            if !self.take(b',') {
                return Ok(SequenceSet(set));
            }
        }
    }

    /// RFC 5182 §3: `sequence-set =/ seq-last-command`, `seq-last-command = "$"`
    pub fn message_set(&mut self) -> Result<MessageSet, Bad> {
        if self.take(b'$') { Ok(MessageSet::Saved) } else { self.sequence_set().map(MessageSet::Numbers) }
    }

    /// RFC 9394 §4: `partial-range = nz-number ":" nz-number / MINUS nz-number ":" MINUS nz-number`
    pub fn partial_range(&mut self) -> Result<Partial, Bad> {
        let backwards = self.take(b'-');
        let from = self.nz_number()?;
        self.expect(b':', "The range is broken")?;
        if self.take(b'-') != backwards {
            return Err(Bad("The range goes from one end to the other"));
        }
        Ok(Partial { from, to: self.nz_number()?, backwards })
    }

    /// `seq-number = nz-number / "*"`
    pub(super) fn seq_number(&mut self) -> Result<Option<u32>, Bad> {
        if self.take(b'*') { Ok(None) } else { self.nz_number().map(Some) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<SequenceSet, Bad> {
        Cursor::new(text.as_bytes()).sequence_set()
    }

    #[test]
    fn sets_resolve() {
        let ranges = |text, last| parse(text).unwrap().ranges(last);
        assert_eq!(ranges("4:2,9,3:5,*", 12), [2..=5, 9..=9, 12..=12]);
        assert_eq!(ranges("9:*", 4), [4..=9]);
        assert_eq!(ranges("1:*", 0), [] as [RangeInclusive<u32>; 0]);
        assert_eq!(ranges("1:4294967295,4294967295", 3), [1..=u32::MAX]);
        assert!(parse("0").is_err());
        assert!(parse("1,").is_err());
        assert!(parse("4294967296").is_err());
        assert_eq!(SequenceSet::of([1, 2, 3, 7, 9, 10]).to_string(), "1:3,7,9:10");
    }

    #[test]
    fn parts_of_a_result() {
        let places = |text: &str, len| Cursor::new(text.as_bytes()).partial_range().unwrap().places(len);
        assert_eq!(places("1:3", 10), 0..3);
        assert_eq!(places("9:12", 10), 8..10);
        assert_eq!(places("12:11", 10), 10..10);
        assert_eq!(places("-1:-3", 10), 7..10);
        assert_eq!(places("-12:-9", 10), 0..2);
        assert_eq!(places("-11:-12", 10), 0..0);
        assert_eq!(places("1:4294967295", 2), 0..2);
        for bad in ["0:1", "1:-1", "-1:1", "1", "1:"] {
            assert!(Cursor::new(bad.as_bytes()).partial_range().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_parts_read_back(from in 1u32.., to in 1u32.., backwards: bool) {
            let partial = Partial { from, to, backwards };
            prop_assert_eq!(Cursor::new(partial.to_string().as_bytes()).partial_range(), Ok(partial));
        }

        #[test]
        fn written_sets_read_back(set in proptest::collection::vec((proptest::option::of(1u32..), proptest::option::of(1u32..)), 1..20)) {
            let set = SequenceSet(set);
            prop_assert_eq!(parse(&set.to_string()), Ok(set));
        }

        #[test]
        fn ranges_are_the_members(pairs in proptest::collection::vec((1u32..30, 1u32..30), 1..8)) {
            let set = SequenceSet(pairs.iter().map(|(a, b)| (Some(*a), Some(*b))).collect());
            let members: Vec<u32> = set.ranges(30).into_iter().flatten().collect();
            let naive: Vec<u32> = (1..30).filter(|n| pairs.iter().any(|(a, b)| (*a.min(b)..=*a.max(b)).contains(n))).collect();
            prop_assert_eq!(members, naive);
        }
    }
}
