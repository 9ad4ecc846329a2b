//! Buffers for what comes in, shared by all connections: one is taken when bytes are there and given back
//! when they are consumed, so that an idle connection holds none.
//!
//! Does: keep a few buffers for the next one who needs them. Does not: bound how many are in use; the
//! number of connections does.

use std::sync::Mutex;

use mail::limits;

static POOL: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer with what was read and not consumed: `data[start..end]`. Goes back to the pool when dropped.
pub(crate) struct Buffer {
    data: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn take() -> Self {
        let pooled = POOL.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let data = pooled.unwrap_or_else(|| vec![0; limits::CONNECTION_BUFFER].into_boxed_slice());
        Self { data, start: 0, end: 0 }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.data[self.start..self.end]
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// The free space behind the bytes, which move to the front first. Empty: the buffer is full.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.data.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        &mut self.data[self.end..]
    }

    pub(crate) fn filled(&mut self, count: usize) {
        self.end = self.data.len().min(self.end + count);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        let mut pool = POOL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if pool.len() < limits::CONNECTION_BUFFERS_KEPT {
            pool.push(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_consumed_stays_in_order() {
        let mut buffer = Buffer::take();
        buffer.space()[..6].copy_from_slice(b"abcdef");
        buffer.filled(6);
        buffer.consume(4);
        assert_eq!(buffer.bytes(), b"ef");
        let free = buffer.space().len();
        assert_eq!(free, limits::CONNECTION_BUFFER - 2);
        buffer.space()[..2].copy_from_slice(b"gh");
        buffer.filled(2);
        assert_eq!(buffer.bytes(), b"efgh");
        buffer.consume(100);
        assert!(buffer.is_empty());
    }

    /// Of `CONNECTION_BUFFERS_KEPT` and one more that end at once, one is given back to the system.
    #[test]
    fn no_more_than_so_many_are_kept() {
        drop((0..=limits::CONNECTION_BUFFERS_KEPT).map(|_| Buffer::take()).collect::<Vec<_>>());
        assert!(POOL.lock().unwrap().len() <= limits::CONNECTION_BUFFERS_KEPT);
    }
}
