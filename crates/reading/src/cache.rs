//! What was found out of messages that somebody looked at lately, for all sessions together, bounded in octets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mail::BodyId;
use message::structure::{Part, Structure};

/// Shared bytes and their length as one recipient sees them. What precedes the shared bytes (Return-Path, Delivered-To) moves
/// all ranges by its length and is not part of the structure, so equal lengths have equal structures.
pub type Key = (BodyId, u64);

/// Something that is kept.
pub trait Weighed {
    /// Octets that it takes, about.
    fn weight(&self) -> usize;
}

/// Two generations: what was not asked for while the young one filled up is forgotten with the old one.
pub struct Cache<V> {
    generations: Mutex<Generations<V>>,
    most: usize,
}

struct Generations<V> {
    young: HashMap<Key, Arc<V>>,
    old: HashMap<Key, Arc<V>>,
    /// Octets in `young`, about.
    size: usize,
}

impl<V: Weighed> Cache<V> {
    /// Holds about `most` octets.
    pub fn new(most: usize) -> Self {
        let generations = Generations { young: HashMap::new(), old: HashMap::new(), size: 0 };
        Self { generations: Mutex::new(generations), most }
    }

    /// What is kept of one.
    pub fn get(&self, key: Key) -> Option<Arc<V>> {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = generations.young.get(&key) {
            return Some(value.clone());
        }
        let value = generations.old.remove(&key)?;
        generations.put(key, value.clone(), self.most);
        Some(value)
    }

    /// Keeps it.
    pub fn put(&self, key: Key, value: Arc<V>) {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).put(key, value, self.most);
    }
}

impl<V: Weighed> Generations<V> {
    fn put(&mut self, key: Key, value: Arc<V>, most: usize) {
        self.size += value.weight();
        self.young.insert(key, value);
        if self.size > most / 2 {
            self.old = std::mem::take(&mut self.young);
            self.size = 0;
        }
    }
}

impl Weighed for Structure {
    fn weight(&self) -> usize {
        self.parts().iter().map(part_weight).sum::<usize>() + 128
    }
}

fn part_weight(part: &Part) -> usize {
    let parameters: usize = part.parameters.iter().map(|(name, value)| name.len() + value.len() + 64).sum();
    let envelope = part.envelope.as_ref().map_or(0, |envelope| {
        let lists = [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc];
        1024 + lists.into_iter().map(|list| list.len() * 160).sum::<usize>()
    });
    std::mem::size_of::<Part>() + 128 + parameters + envelope
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for usize {
        fn weight(&self) -> usize {
            *self
        }
    }

    /// `IMAP_STRUCTURES`, `IMAP_FACTS`: half of it is young; one octet more, and the young are the old, and the old go.
    #[test]
    fn octets_that_are_kept() {
        for most in [mail::limits::IMAP_STRUCTURES, mail::limits::IMAP_FACTS] {
            let cache = Cache::new(most);
            let young = |cache: &Cache<usize>| cache.generations.lock().unwrap().young.len();
            let mut n = 0;
            let mut put = |weight| {
                n += 1;
                cache.put((BodyId(n), 1), Arc::new(weight));
                young(&cache)
            };
            assert_eq!([put(most / 2 - 1), put(1), put(1)], [1, 2, 0]);
            assert_eq!([put(most / 2), put(1)], [1, 0]);
            assert!(cache.get((BodyId(1), 1)).is_none() && cache.get((BodyId(4), 1)).is_some());
        }
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
        let structure = Arc::new(Structure::of(b"Subject: x\r\n\r\nbody\r\n"));
        let most = 100 * structure.weight();
        let structures = Cache::new(most);
        let first = (BodyId(0), 1);
        structures.put(first, structure.clone());
        for n in 1..200 {
            structures.put((BodyId(n), 1), structure.clone());
            assert!(structures.get(first).is_some());
        }
        let generations = structures.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 102);
    }
}
