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

/// Where lines go in the end.
type Out = Box<dyn Fn(&[u8]) + Send + Sync>;

struct Waiting {
    lines: Mutex<Vec<u8>>,
    news: Condvar,
    out: Out,
}

impl Waiting {
    fn new(out: Out) -> Self {
        Self { lines: Mutex::default(), news: Condvar::new(), out }
    }

    fn add(&self, line: &[u8], urgent: bool) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let first = lines.is_empty();
        lines.extend_from_slice(line);
        if urgent || lines.len() >= MOST {
            self.write_out(&mut lines);
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
            self.write_out(&mut lines);
        }
    }

    /// Under the lock, so that lines keep their order.
    fn write_out(&self, lines: &mut Vec<u8>) {
        (self.out)(lines);
        lines.clear();
        lines.shrink_to(MOST);
    }
}

fn to_stderr(lines: &[u8]) {
    // Nobody can be told that the log can't be written.
    let _ = io::stderr().lock().write_all(lines);
}

/// Where `tracing` writes.
pub(crate) struct Lines(Arc<Waiting>);

impl Lines {
    /// Starts the thread that writes, once in a process.
    pub(crate) fn start() -> Self {
        Self(
            WAITING
                .get_or_init(|| {
                    let waiting = Arc::new(Waiting::new(Box::new(to_stderr)));
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn waiting() -> (Arc<Waiting>, mpsc::Receiver<String>) {
        let (sender, written) = mpsc::channel();
        let out = move |lines: &[u8]| sender.send(String::from_utf8_lossy(lines).into_owned()).unwrap_or_default();
        (Arc::new(Waiting::new(Box::new(out))), written)
    }

    #[test]
    fn chatter_waits_and_a_warning_takes_it_along() {
        // No thread writes here: what leaves, leaves because of the line itself.
        let (waiting, written) = waiting();
        waiting.add(b"one\n", false);
        waiting.add(b"two\n", false);
        assert!(written.try_recv().is_err());
        waiting.add(b"WARN\n", true);
        assert_eq!(written.try_recv().unwrap(), "one\ntwo\nWARN\n");
        waiting.add(&vec![b'x'; MOST - 1], false);
        assert!(written.try_recv().is_err());
        waiting.add(b"y", false);
        assert_eq!(written.try_recv().unwrap().len(), MOST);
        // The end of the process.
        waiting.add(b"last\n", false);
        waiting.add(b"", true);
        assert_eq!(written.try_recv().unwrap(), "last\n");
    }

    #[test]
    fn chatter_leaves_by_itself() {
        let (waiting, written) = waiting();
        let writer = waiting.clone();
        std::thread::spawn(move || writer.run());
        for n in 0..3 {
            waiting.add(format!("{n}\n").as_bytes(), false);
            let mut said = String::new();
            while !said.ends_with(&format!("{n}\n")) {
                said += &written.recv().unwrap();
            }
        }
    }

    #[test]
    fn no_line_ends_within_an_event() {
        let (waiting, written) = waiting();
        let mut line = Line { waiting: &waiting, urgent: true };
        line.write_all(b"INFO user=\"a\x1b[2J\nFORGED\"\n").unwrap();
        assert_eq!(written.try_recv().unwrap(), "INFO user=\"a\\u001b[2J\\u000aFORGED\"\n");
    }
}
