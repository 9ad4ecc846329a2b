//! Until when a message is held back (RFC 4865), by SMTP and by JMAP (RFC 8621 §7) alike.

use mail::{Hold, Timestamp, limits};
use message::date::{DateTime, parse_rfc3339, rfc3339};
use wire::smtp::server::{FutureRelease, ReleaseLimits};

/// Why a message is not held back as it is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotHeld {
    /// HOLDUNTIL is no date and time.
    NoDate,
    /// It is longer than `limits::HOLD_LONGEST`.
    TooLong,
}

/// What a sender's words mean at `now`.
///
/// # Errors
/// They mean nothing, or more than may be.
pub fn hold(said: &FutureRelease, now: Timestamp) -> Result<Hold, NotHeld> {
    let latest = now.plus(limits::HOLD_LONGEST);
    match said {
        FutureRelease::For(seconds) if u64::from(*seconds) > limits::HOLD_LONGEST.as_secs() => Err(NotHeld::TooLong),
        FutureRelease::For(seconds) => Ok(Hold::For(*seconds)),
        FutureRelease::Until(text) => match parse_rfc3339(text) {
            Some(until) if until > latest => Err(NotHeld::TooLong),
            Some(until) => Ok(Hold::Until(until)),
            None => Err(NotHeld::NoDate),
        },
    }
}

/// What a session that begins at `now` is told of it. What it is told can be had to its end: it only becomes more.
pub fn release_limits(now: Timestamp) -> ReleaseLimits {
    let latest = DateTime { timestamp: now.plus(limits::HOLD_LONGEST), offset: 0 };
    ReleaseLimits { longest: limits::HOLD_LONGEST, latest: rfc3339(latest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `HOLD_LONGEST`: so long, and a second more.
    #[test]
    fn holding_is_bounded() {
        let now = Timestamp::from_secs(1_795_000_000);
        let longest = u32::try_from(limits::HOLD_LONGEST.as_secs()).unwrap();
        assert_eq!(hold(&FutureRelease::For(longest), now), Ok(Hold::For(longest)));
        assert_eq!(hold(&FutureRelease::For(longest + 1), now), Err(NotHeld::TooLong));
        let until = |text: &str, now| hold(&FutureRelease::Until(text.into()), now);
        let ReleaseLimits { longest: told, latest } = release_limits(now);
        assert_eq!((told, latest.as_str()), (limits::HOLD_LONGEST, "2027-11-19T11:06:40Z"));
        assert_eq!(until(&latest, now), Ok(Hold::Until(now.plus(limits::HOLD_LONGEST))));
        assert_eq!(until("2027-11-19T11:06:41Z", now), Err(NotHeld::TooLong));
        assert_eq!(until("2027-11-19T12:06:41+01:00", now), Err(NotHeld::TooLong));
        assert_eq!(until("2027-11-19", now), Err(NotHeld::NoDate));
        assert_eq!(until("tomorrow", now), Err(NotHeld::NoDate));
    }
}
