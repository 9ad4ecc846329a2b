//! `[log]`: what is written to standard error.

use toml::de::DeValue;

use super::read::{Value, section};

section! {
    /// What the server writes to standard error. Every line about a message has its queue id.
    Log {
        /// `text` for people, `json` for programs: one object per line.
        format: LogFormat = LogFormat::Text;
        /// How much.
        level: LogLevel = LogLevel("info");
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Value for LogFormat {
    const KIND: &'static str = "\"text\" or \"json\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        match value.as_str() {
            Some("text") => Ok(Self::Text),
            Some("json") => Ok(Self::Json),
            _ => Err(format!("write {}", Self::KIND)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text => "\"text\"".into(),
            Self::Json => "\"json\"".into(),
        }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogLevel(pub(crate) &'static str);

impl Value for LogLevel {
    const KIND: &'static str = "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"";

    fn read(value: &DeValue<'_>) -> Result<Self, String> {
        let levels = ["error", "warn", "info", "debug", "trace"];
        let level = value.as_str().and_then(|text| levels.into_iter().find(|level| *level == text));
        level.map(Self).ok_or_else(|| format!("write {}", Self::KIND))
    }

    fn show(&self) -> String {
        format!("\"{}\"", self.0)
    }
}
