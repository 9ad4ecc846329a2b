//! What a context has found, as the client has it, and how an update of it is written (RFC 5267 §4.3.2–§4.3.4).

use std::ops::RangeInclusive;

use mail::limits;
use wire::imap::SequenceSet;

use crate::qresync::holds;

/// UIDs that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// In the mailbox's order, ascending ranges.
    Set(Vec<RangeInclusive<u32>>),
    /// In an order that was asked for.
    Order(Vec<Placed>),
}

/// A message of a sorted result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) uid: u32,
    pub(crate) relevancy: u32,
}

/// Messages that come to a place of the result, or go from it; places begin with 1. 0: wherever the mailbox's order has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) place: usize,
    pub(crate) uids: Vec<u32>,
}

impl Found {
    /// What has to be remembered.
    pub(crate) const fn entries(&self) -> usize {
        match self {
            Self::Set(ranges) => ranges.len(),
            Self::Order(placed) => placed.len(),
        }
    }

    /// Those of `uids` that were found; both ascend.
    pub(crate) fn among(&self, uids: &[u32]) -> Vec<u32> {
        match self {
            Self::Set(ranges) => uids.iter().copied().filter(|uid| holds(ranges, *uid)).collect(),
            Self::Order(placed) => {
                let there = placed.iter().map(|placed| placed.uid).filter(|uid| uids.binary_search(uid).is_ok());
                let mut there: Vec<u32> = there.collect();
                there.sort_unstable();
                there
            }
        }
    }

    /// Takes messages out that are in it; `uids` ascend.
    pub(crate) fn remove(&mut self, uids: &[u32]) -> Vec<Part> {
        match self {
            Self::Set(ranges) => {
                *ranges = without(ranges, uids);
                vec![Part { place: 0, uids: uids.to_vec() }]
            }
            Self::Order(placed) => {
                let mut parts: Vec<Part> = Vec::new();
                let mut end = 0;
                for (place, gone) in (1..).zip(placed.iter()).filter(|(_, one)| uids.binary_search(&one.uid).is_ok()) {
                    match parts.last_mut() {
                        Some(part) if end == place => part.uids.push(gone.uid),
                        _ => parts.push(Part { place, uids: vec![gone.uid] }),
                    }
                    end = place + 1;
                }
                placed.retain(|one| uids.binary_search(&one.uid).is_err());
                // From the end on, places are those of before.
                parts.reverse();
                parts
            }
        }
    }

    /// Puts messages in that are not in it; `uids` ascend. For a result in the mailbox's order.
    pub(crate) fn add(&mut self, uids: &[u32]) -> Vec<Part> {
        if let Self::Set(ranges) = self {
            let all = ranges.iter().cloned().chain(uids.iter().map(|uid| *uid..=*uid));
            *ranges =
                SequenceSet(all.map(|range| (Some(*range.start()), Some(*range.end()))).collect()).ranges(u32::MAX);
        }
        vec![Part { place: 0, uids: uids.to_vec() }]
    }

    /// The same for a sorted one: each goes before the one that stands at its index now; indexes don't descend.
    pub(crate) fn insert(&mut self, new: &[(usize, Placed)]) -> Vec<Part> {
        let Self::Order(placed) = self else { return Vec::new() };
        let mut parts: Vec<Part> = Vec::new();
        let (mut all, mut from) = (Vec::with_capacity(placed.len() + new.len()), 0);
        for run in new.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((at, _)) = run.first() else { continue };
            all.extend_from_slice(&placed[from..*at]);
            from = *at;
            parts.push(Part { place: all.len() + 1, uids: run.iter().map(|(_, placed)| placed.uid).collect() });
            all.extend(run.iter().map(|(_, placed)| *placed));
        }
        all.extend_from_slice(&placed[from..]);
        *placed = all;
        parts
    }
}

/// Ascending ranges without some numbers that they hold.
fn without(ranges: &[RangeInclusive<u32>], numbers: &[u32]) -> Vec<RangeInclusive<u32>> {
    let mut left = Vec::with_capacity(ranges.len());
    let mut numbers = numbers.iter().copied().peekable();
    for range in ranges {
        let (mut from, mut ended) = (*range.start(), false);
        while let Some(number) = numbers.next_if(|number| number <= range.end()) {
            if from < number {
                left.push(from..=number - 1);
            }
            // The last number there is has none after it.
            ended = number == *range.end();
            from = number.saturating_add(1);
        }
        if !ended {
            left.push(from..=*range.end());
        }
    }
    left
}

/// How the parts of an update follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// ADDTO
    Added,
    /// REMOVEFROM
    Removed,
}

impl Change {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDTO",
            Self::Removed => "REMOVEFROM",
        }
    }
}

/// `"(" context-position SP sequence-set *(SP context-position SP sequence-set) ")"`, in several where there is much.
pub(crate) fn written(change: Change, parts: &[Part], number: impl Fn(u32) -> u32) -> Vec<String> {
    let mut lists = Vec::new();
    let (mut list, mut count) = (String::new(), 0);
    for part in parts {
        let mut done = 0;
        while done < part.uids.len() {
            let room = limits::IMAP_VANISHED_RANGES - count;
            let piece = &part.uids[done..part.uids.len().min(done + room)];
            // What was removed before from this place no longer stands at it; what was added does.
            let place = if part.place > 0 && change == Change::Added { part.place + done } else { part.place };
            let set = SequenceSet::of(piece.iter().map(|uid| number(*uid)));
            list.push_str(if list.is_empty() { "(" } else { " " });
            list.push_str(&format!("{place} {set}"));
            (done, count) = (done + piece.len(), count + piece.len());
            if count == limits::IMAP_VANISHED_RANGES {
                list.push(')');
                lists.push(std::mem::take(&mut list));
                count = 0;
            }
        }
    }
    if !list.is_empty() {
        list.push(')');
        lists.push(list);
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a client does with an update (RFC 5267 §4.3.3, §4.3.4).
    fn apply(list: &mut Vec<u32>, change: Change, text: &str) {
        let words: Vec<&str> = text.trim_matches(['(', ')']).split(' ').collect();
        for pair in words.chunks(2) {
            let place: usize = pair[0].parse().unwrap();
            let numbers = pair[1].split(',').flat_map(|range| {
                let (from, to) = range.split_once(':').unwrap_or((range, range));
                from.parse::<u32>().unwrap()..=to.parse().unwrap()
            });
            for (at, number) in numbers.enumerate() {
                match (change, place) {
                    (Change::Added, 0) => {
                        let at = list.binary_search(&number).unwrap_err();
                        list.insert(at, number);
                    }
                    (Change::Added, place) => list.insert(place - 1 + at, number),
                    (Change::Removed, 0) => {
                        let at = list.binary_search(&number).unwrap();
                        list.remove(at);
                    }
                    (Change::Removed, place) => assert_eq!(list.remove(place - 1), number),
                }
            }
        }
    }

    fn list(found: &Found) -> Vec<u32> {
        match found {
            Found::Set(ranges) => ranges.iter().cloned().flatten().collect(),
            Found::Order(placed) => placed.iter().map(|placed| placed.uid).collect(),
        }
    }

    proptest! {
        /// A client that does as it is told has what we have, in the order that is wanted.
        #[test]
        fn clients_follow(
            sorted in any::<bool>(),
            steps in proptest::collection::vec((any::<bool>(), proptest::collection::btree_set(1u32..60, 0..12)), 1..20)
        ) {
            let key = |uid: u32| if sorted { (uid * 7) % 11 * 100 + uid } else { uid };
            let mut found = if sorted { Found::Order(Vec::new()) } else { Found::Set(Vec::new()) };
            let mut client: Vec<u32> = Vec::new();
            for (adds, uids) in steps {
                let uids: Vec<u32> = uids.into_iter().collect();
                let there = found.among(&uids);
                let (change, parts) = if adds {
                    let mut new: Vec<u32> = uids.iter().copied().filter(|uid| !there.contains(uid)).collect();
                    if sorted {
                        new.sort_by_key(|uid| key(*uid));
                        let old = list(&found);
                        let at = |uid: &u32| old.partition_point(|there| key(*there) < key(*uid));
                        let new: Vec<_> =
                            new.iter().map(|uid| (at(uid), Placed { uid: *uid, relevancy: 100 })).collect();
                        (Change::Added, found.insert(&new))
                    } else {
                        (Change::Added, found.add(&new))
                    }
                } else {
                    (Change::Removed, found.remove(&there))
                };
                for text in written(change, &parts, |uid| uid) {
                    apply(&mut client, change, &text);
                }
                prop_assert_eq!(&client, &list(&found));
                prop_assert!(client.is_sorted_by_key(|uid| key(*uid)));
            }
        }
    }

    #[test]
    fn the_last_uid_there_is() {
        let mut found = Found::Set(vec![5..=7, u32::MAX - 1..=u32::MAX]);
        found.remove(&[5, u32::MAX]);
        assert_eq!(found, Found::Set(vec![6..=7, u32::MAX - 1..=u32::MAX - 1]));
        found.remove(&[7, u32::MAX - 1]);
        assert_eq!(found, Found::Set(vec![6..=6]));
    }

    /// `IMAP_VANISHED_RANGES` messages in one answer.
    #[test]
    fn much_is_told_in_several() {
        let most = limits::IMAP_VANISHED_RANGES as u32;
        let mut found = Found::Order(Vec::new());
        for (count, answers) in [(most, 1), (most + 1, 2)] {
            let new: Vec<_> = (1..=count).map(|n| (0, Placed { uid: n * 2, relevancy: 100 })).collect();
            let added = written(Change::Added, &found.insert(&new), |uid| uid);
            assert_eq!(added.len(), answers);
            let mut client = Vec::new();
            added.iter().for_each(|text| apply(&mut client, Change::Added, text));
            assert_eq!(client, list(&found));
            let removed = written(Change::Removed, &found.remove(&client.clone()), |uid| uid);
            assert_eq!(removed.len(), answers);
            removed.iter().for_each(|text| apply(&mut client, Change::Removed, text));
            assert!(client.is_empty() && list(&found).is_empty());
        }
    }
}
