//! Parts of a date (RFC 5260 §4.2).

use message::date::{DateTime, parse, rfc3339, rfc5322_at};

/// `+0100` as minutes.
pub(crate) fn zone(text: &str) -> Option<i16> {
    let (sign, digits) = match text.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let pair = |at: usize| i16::from(digits[at] - b'0') * 10 + i16::from(digits[at + 1] - b'0');
    let (hours, minutes) = (pair(0), pair(2));
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// The date in a field; in a Received field it stands behind the last semicolon (RFC 5260 §4).
pub(super) fn in_field(value: &[u8]) -> Option<DateTime> {
    let start = memchr::memrchr(b';', value).map_or(0, |at| at + 1);
    parse(&value[start..])
}

/// One part of a date as it is in its zone.
pub(super) fn part(date: DateTime, part: &str) -> Option<String> {
    let local = date.timestamp.secs().saturating_add(i64::from(date.offset) * 60);
    let day = date.day();
    let secs = local.rem_euclid(86_400);
    let (hour, minute, second) = (secs / 3600, secs / 60 % 60, secs % 60);
    let days = local.div_euclid(86_400);
    Some(match part {
        "year" => format!("{:04}", day.year),
        "month" => format!("{:02}", day.month),
        "day" => format!("{:02}", day.day),
        "date" => format!("{:04}-{:02}-{:02}", day.year, day.month, day.day),
        // The Modified Julian Day counts from 1858-11-17.
        "julian" => (days.saturating_add(40_587)).to_string(),
        "hour" => format!("{hour:02}"),
        "minute" => format!("{minute:02}"),
        "second" => format!("{second:02}"),
        "time" => format!("{hour:02}:{minute:02}:{second:02}"),
        "iso8601" => rfc3339(date),
        "std11" => rfc5322_at(date),
        "zone" => {
            let (sign, minutes) = (if date.offset < 0 { '-' } else { '+' }, date.offset.unsigned_abs());
            format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
        }
        // 1970-01-01 was a Thursday; Sunday is 0.
        "weekday" => (days + 4).rem_euclid(7).to_string(),
        _ => return None,
    })
}
