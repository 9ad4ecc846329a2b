//! Reading ahead: while one batch is looked at, the store reads the next.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// Batches that are read one after the other, each begun before the one before it is given out.
pub struct Ahead<I: Iterator, R, F: Future> {
    wanted: I,
    read: R,
    next: Option<(I::Item, Reading<F>)>,
}

enum Reading<F: Future> {
    /// It goes on by itself, on another thread.
    Begun(Pin<Box<F>>),
    Ended(F::Output),
}

impl<I: Iterator, R: Fn(&I::Item) -> F, F: Future> Ahead<I, R, F> {
    /// `read` reads what each of `wanted` names.
    pub const fn new(wanted: I, read: R) -> Self {
        Self { wanted, read, next: None }
    }

    /// The next batch: what was wanted, and what was read.
    pub async fn next(&mut self) -> Option<(I::Item, F::Output)> {
        let (wanted, reading) = match self.next.take() {
            Some(begun) => begun,
            None => self.begin().await?,
        };
        let output = match reading {
            Reading::Begun(read) => read.await,
            Reading::Ended(output) => output,
        };
        self.next = self.begin().await;
        Some((wanted, output))
    }

    async fn begin(&mut self) -> Option<(I::Item, Reading<F>)> {
        let wanted = self.wanted.next()?;
        let mut read = Box::pin((self.read)(&wanted));
        // Asked once, it has handed its work to a thread.
        let reading = match poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await {
            Poll::Ready(output) => Reading::Ended(output),
            Poll::Pending => Reading::Begun(read),
        };
        Some((wanted, reading))
    }
}
