//! What a piece of code allocates: a measure of its work and its memory that is the same on every machine.
#![allow(unsafe_code, reason = "an allocator is; it only counts and hands on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<Allocated> = const { Cell::new(Allocated { octets: 0, now: 0, most: 0 }) };
}

/// The system's allocator, counting for each thread. A test's binary makes it its own:
/// `#[global_allocator] static COUNTING: Counting = Counting;`
#[derive(Debug)]
pub struct Counting;

/// What was allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Octets in all, freed ones too.
    pub octets: usize,
    now: isize,
    /// Octets at once, at most.
    pub most: isize,
}

impl Counting {
    fn add(taken: usize, freed: usize) {
        // A thread that ends has no count any more.
        let _ = COUNT.try_with(|count| {
            let before = count.get();
            let now = before.now + taken as isize - freed as isize;
            count.set(Allocated { octets: before.octets + taken, now, most: before.most.max(now) });
        });
    }
}

// SAFETY: each call is the system allocator's own, with what was given.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        Self::add(0, layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::add(size, layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

/// Runs `work` on this thread; what it gives and what it allocated. Counts nothing unless [`Counting`] is the
/// binary's allocator.
pub fn allocated<T>(work: impl FnOnce() -> T) -> (T, Allocated) {
    let before = COUNT.replace(Allocated { octets: 0, now: 0, most: 0 });
    let result = work();
    let found = COUNT.replace(before);
    (result, found)
}
