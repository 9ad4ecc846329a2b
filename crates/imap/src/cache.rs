//! Structures of messages that somebody looked at lately, for all sessions together, bounded in octets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use mail::{BodyId, limits};
use message::structure::{Part, Structure};

/// Shared bytes and their length as one recipient sees them. What precedes the shared bytes (Return-Path, Delivered-To) moves
/// all ranges by its length and is not part of the structure, so equal lengths have equal structures.
type Key = (BodyId, u64);

/// Two generations: what was not asked for while the young one filled up is forgotten with the old one.
#[derive(Default)]
pub(crate) struct Structures(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<Key, Arc<Structure>>,
    old: HashMap<Key, Arc<Structure>>,
    /// Octets in `young`, about.
    size: usize,
}

impl Structures {
    pub(crate) fn get(&self, key: Key) -> Option<Arc<Structure>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(structure) = generations.young.get(&key) {
            return Some(structure.clone());
        }
        let structure = generations.old.remove(&key)?;
        generations.put(key, structure.clone());
        Some(structure)
    }

    pub(crate) fn put(&self, key: Key, structure: Arc<Structure>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(key, structure);
    }
}

impl Generations {
    fn put(&mut self, key: Key, structure: Arc<Structure>) {
        self.size += weight(&structure);
        self.young.insert(key, structure);
        if self.size > limits::IMAP_STRUCTURES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.size = 0;
        }
    }
}

/// Octets that a structure takes, about.
fn weight(structure: &Structure) -> usize {
    structure.parts().iter().map(part_weight).sum::<usize>() + 128
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

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
        let structures = Structures::default();
        let structure = Arc::new(Structure::of(b"Subject: x\r\n\r\nbody\r\n"));
        let most = (limits::IMAP_STRUCTURES / weight(&structure)) as u64;
        let first = (BodyId(0), 1);
        structures.put(first, structure.clone());
        for n in 1..most * 2 {
            structures.put((BodyId(n), 1), structure.clone());
            assert!(structures.get(first).is_some());
        }
        let generations = structures.0.lock().unwrap();
        assert!(((generations.young.len() + generations.old.len()) as u64) <= most + 2);
    }
}
