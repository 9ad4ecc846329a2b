//! Log lines on their way to standard error.
//!
//! A line for each message would cost a system call for each, a tenth of what storing it costs. So lines gather
//! for a moment and leave together. Warnings and errors leave at once, with all that came before them; a
//! process that is killed loses at most the last [`GATHER`] of its chatter, never mail.
//!
//! What strangers said stands in many lines: none of it ends a line or is obeyed by a terminal.

use std::io::{self, Write as _};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

use crate::visible;

/// How long lines gather.
const GATHER: Duration = Duration::from_millis(20);
/// Octets that may gather; then whoever writes a line writes them all.
const MOST: usize = 256 * 1024;

static WAITING: OnceLock<Arc<Waiting>> = OnceLock::new();

#[derive(Default)]
struct Waiting {
    lines: Mutex<Vec<u8>>,
    news: Condvar,
}

impl Waiting {
    fn add(&self, line: &[u8], urgent: bool) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let first = lines.is_empty();
        lines.extend_from_slice(line);
        if urgent || lines.len() >= MOST {
            write_out(&mut lines);
        } else if first {
            self.news.notify_one();
        }
    }

    /// The thread that writes what gathered.
    fn run(&self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if lines.is_empty() {
                lines = self.news.wait(lines).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // News of further lines does not come while some are there, so this is the whole time.
            lines = self.news.wait_timeout(lines, GATHER).unwrap_or_else(PoisonError::into_inner).0;
            write_out(&mut lines);
        }
    }
}

/// Under the lock, so that lines keep their order.
fn write_out(lines: &mut Vec<u8>) {
    // Nobody can be told that the log can't be written.
    let _ = io::stderr().lock().write_all(lines);
    lines.clear();
    lines.shrink_to(MOST);
}

/// Where `tracing` writes.
pub(crate) struct Lines(Arc<Waiting>);

impl Lines {
    /// Starts the thread that writes, once in a process.
    pub(crate) fn start() -> Self {
        Self(
            WAITING
                .get_or_init(|| {
                    let waiting = Arc::new(Waiting::default());
                    let writer = waiting.clone();
                    // Without the thread, lines leave when enough of them gathered, or with the next warning.
                    let _ = std::thread::Builder::new().name("log".into()).spawn(move || writer.run());
                    waiting
                })
                .clone(),
        )
    }
}

/// Writes what still gathers: at the end of the process.
pub(crate) fn flush() {
    if let Some(waiting) = WAITING.get() {
        waiting.add(b"", true);
    }
}

/// One line.
pub(crate) struct Line<'a> {
    waiting: &'a Waiting,
    urgent: bool,
}

impl io::Write for Line<'_> {
    /// An event comes in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.waiting.add(visible::line(&String::from_utf8_lossy(line)).as_bytes(), self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { waiting: &self.0, urgent: true }
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Line<'a> {
        Line { waiting: &self.0, urgent: *meta.level() <= tracing::Level::WARN }
    }
}
