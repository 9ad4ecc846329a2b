//! Sizes for crash tests: what a server comes to after hours (a new segment, a checkpoint, space given back) a test must
//! reach in seconds. Nobody else sets them; HACKING.md says how.

use std::time::Duration;

use mail::limits;
use store_local::Options;

/// `POSTRIDER_TEST_SIZES="segment=300000 wal=200000 reserve=0 care=300 digests=0"`: octets, `care` in milliseconds, and
/// whether digests are made.
const VARIABLE: &str = "POSTRIDER_TEST_SIZES";

/// How the store is opened, and how often it is cared for.
#[derive(Debug)]
pub(crate) struct Sizes {
    /// For the store.
    pub(crate) options: Options,
    /// Between two times that old journeys are forgotten and space is given back.
    pub(crate) care: Duration,
}

impl Sizes {
    /// A server's, but for what the environment says.
    pub(crate) fn from_environment() -> Result<Self, String> {
        Self::parse(&std::env::var(VARIABLE).unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let options = Options { create: false, digests: Some(imap::digest::VERSION), ..Options::default() };
        let mut sizes = Self { options, care: limits::CARE_INTERVAL };
        for word in text.split_whitespace() {
            let wrong = || format!("{VARIABLE}: {word:?} is none of segment=N wal=N reserve=N care=N digests=0");
            let (name, value) = word.split_once('=').ok_or_else(wrong)?;
            let value: u64 = value.parse().map_err(|_| wrong())?;
            match name {
                "segment" => sizes.options.segment_len = value,
                "wal" => sizes.options.wal_len = value,
                "reserve" => sizes.options.reserve = value,
                "digests" if value == 0 => sizes.options.digests = None,
                "care" => sizes.care = Duration::from_millis(value),
                _ => return Err(wrong()),
            }
        }
        Ok(sizes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_taken_and_the_rest_is_a_servers() {
        let sizes = Sizes::parse("segment=300000 care=250").unwrap();
        assert_eq!(sizes.options.segment_len, 300_000);
        assert_eq!(sizes.options.wal_len, limits::WAL_LEN as u64);
        assert_eq!(sizes.care, Duration::from_millis(250));
        assert_eq!(Sizes::parse("").unwrap().care, limits::CARE_INTERVAL);
        assert_eq!(Sizes::parse("digests=0").unwrap().options.digests, None);
        for wrong in ["segment", "segment=", "segment=-1", "segmnt=1", "digests=1"] {
            assert!(Sizes::parse(wrong).unwrap_err().contains(wrong));
        }
    }
}
