//! How things look on the terminal.

use std::io::{IsTerminal as _, Write as _};

use mail::Timestamp;
use mua::{Progress, Summary, safe_text};

/// Transfers shorter than this show no progress.
const WORTH_SHOWING: u64 = 256 * 1024;

/// One line of a list.
pub(super) fn line(summary: &Summary) -> String {
    let date = summary.date.map_or_else(|| "-".repeat(16), day_and_time);
    let unread = summary.flags.iter().all(|flag| !flag.eq_ignore_ascii_case("\\Seen")) && !summary.flags.is_empty();
    format!(
        "{:>6} {} {date}  {}  {}  ({})",
        summary.number,
        if unread { "•" } else { " " },
        fit(&summary.from, 24),
        summary.subject,
        size(summary.size)
    )
}

/// The same for programs.
pub(super) fn json(summary: &Summary) -> serde_json::Value {
    serde_json::json!({
        "number": summary.number,
        "from": summary.from,
        "subject": summary.subject,
        "date": summary.date.map(Timestamp::secs),
        "size": summary.size,
        "flags": summary.flags,
    })
}

/// `2026-11-24 09:30`, UTC.
fn day_and_time(at: Timestamp) -> String {
    let day = message::date::utc_day(at);
    let seconds = at.secs().rem_euclid(86_400);
    format!("{:04}-{:02}-{:02} {:02}:{:02}", day.year, day.month, day.day, seconds / 3600, seconds / 60 % 60)
}

/// Exactly `width` characters: filled up, or cut with an ellipsis.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// `12 KB`.
pub(super) fn size(octets: u64) -> String {
    match octets {
        0..1000 => format!("{octets} B"),
        1000..1_000_000 => format!("{} KB", octets.div_ceil(1000)),
        _ => format!("{}.{} MB", octets / 1_000_000, octets / 100_000 % 10),
    }
}

/// Prints text that a stranger wrote.
pub(super) fn print_safe(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", safe_text(text).trim_end());
}

/// A line on standard error that grows, where that is a terminal.
pub(super) struct Meter {
    shown: bool,
    terminal: bool,
}

impl Meter {
    pub(super) fn new() -> Self {
        Self { shown: false, terminal: std::io::stderr().is_terminal() }
    }
}

impl Progress for Meter {
    fn advance(&mut self, done: u64, total: u64) {
        if self.terminal && total >= WORTH_SHOWING {
            self.shown = true;
            let percent = done * 100 / total.max(1);
            let _ = write!(std::io::stderr(), "\r{:>3} %  {} of {} ", percent.min(100), size(done), size(total));
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.shown {
            let _ = writeln!(std::io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        assert_eq!(fit("abc", 5), "abc  ");
        assert_eq!(fit("abcdef", 5), "abcd…");
        assert_eq!(day_and_time(Timestamp::from_secs(1_795_512_600)), "2026-11-24 09:30");
        assert_eq!((size(999), size(1001), size(2_550_000)), ("999 B".into(), "2 KB".into(), "2.5 MB".into()));
    }
}
