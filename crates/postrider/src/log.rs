//! The log on standard error. Does: set it up once in a process, and change level and format while it runs. Does not:
//! decide how lines reach the file ([`crate::lines`]).

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::{self, Format, Full, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};
use crate::lines::Lines;

static LEVEL: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();
static AS_JSON: AtomicBool = AtomicBool::new(false);

/// Logs to standard error from now on.
pub(crate) fn start(log: &Log) {
    AS_JSON.store(log.format == LogFormat::Json, Ordering::Relaxed);
    let (level, handle) = reload::Layer::new(EnvFilter::new(filter(log.level.0)));
    // No colours: then nothing that a terminal obeys is ours, and all of it can be made visible.
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).event_format(TextOrJson::new());
    let lines = lines.with_writer(Lines::start());
    // Only the first one in a process counts; a second would be a test's.
    if tracing_subscriber::registry().with(level).with(lines).try_init().is_ok() {
        let _ = LEVEL.set(handle);
    }
}

/// What is logged. Where everything is, the library for frames would write what people send and are sent.
fn filter(level: &str) -> String {
    match level {
        "trace" => "trace,tungstenite=debug,tokio_tungstenite=debug".to_owned(),
        level => level.to_owned(),
    }
}

/// Another level and format, from the next line on.
pub(crate) fn change(log: &Log) {
    AS_JSON.store(log.format == LogFormat::Json, Ordering::Relaxed);
    // It fails only where nothing is logged any more.
    let _ = LEVEL.get().map(|handle| handle.reload(EnvFilter::new(filter(log.level.0))));
}

/// Either format, as is configured at the moment. There are no spans here, whose fields would be kept in one of them.
struct TextOrJson {
    text: Format<Full>,
    json: Format<Json>,
}

impl TextOrJson {
    fn new() -> Self {
        let plain = || format::format().with_target(false);
        Self { text: plain(), json: plain().json().flatten_event(true).with_current_span(false).with_span_list(false) }
    }
}

impl<S, N> FormatEvent<S, N> for TextOrJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if AS_JSON.load(Ordering::Relaxed) {
            self.json.format_event(context, writer, event)
        } else {
            self.text.format_event(context, writer, event)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Where everything is logged, too, nothing is of what is sent over WebSockets.
    #[test]
    fn messages_are_not_logged() {
        let written = Written::default();
        let lines = tracing_subscriber::fmt::layer().with_writer({
            let written = written.clone();
            move || written.clone()
        });
        let subscriber = Registry::default().with(EnvFilter::new(filter("trace"))).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "tungstenite::protocol", "a message");
            tracing::trace!(target: "tokio_tungstenite", "a message");
            tracing::trace!("ours");
        });
        let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert!(written.contains("ours") && !written.contains("a message"), "{written}");
    }
}
