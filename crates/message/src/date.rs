//! Dates as they stand in mail: RFC 5322's `date-time` and IMAP's `date-time`, to and from moments.

use mail::Timestamp;

/// A moment with the zone in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// The moment.
    pub timestamp: Timestamp,
    /// Minutes east of UTC.
    pub offset: i16,
}

/// A day of the calendar (proleptic Gregorian).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// Year.
    pub year: i32,
    /// 1–12.
    pub month: u8,
    /// 1–31.
    pub day: u8,
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const DAY: i64 = 86_400;

impl DateTime {
    /// The day as written, without regard to the zone (what SENTON and its like compare, RFC 3501 §6.4.4).
    pub fn day(&self) -> Day {
        day_of(self.timestamp.secs().saturating_add(i64::from(self.offset) * 60))
    }
}

/// The day in UTC (what ON, BEFORE and SINCE compare with: INTERNALDATE is kept and shown in UTC).
pub fn utc_day(timestamp: Timestamp) -> Day {
    day_of(timestamp.secs())
}

/// `Tue, 24 Nov 2026 01:05:10 +0000` (RFC 5322 §3.3), in UTC.
pub fn rfc5322(timestamp: Timestamp) -> String {
    let secs = clamp(timestamp.secs());
    let Day { year, month, day } = day_of(secs);
    let (hour, minute, second) = clock(secs);
    let weekday = WEEKDAYS[(secs.div_euclid(DAY) + 4).rem_euclid(7) as usize];
    let month = MONTHS[usize::from(month) - 1];
    format!("{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `24-Nov-2026 01:05:10 +0000` without quotes (RFC 3501 §9 `date-time`; the day has two places), in UTC.
pub fn imap(timestamp: Timestamp) -> String {
    let secs = clamp(timestamp.secs());
    let Day { year, month, day } = day_of(secs);
    let (hour, minute, second) = clock(secs);
    let month = MONTHS[usize::from(month) - 1];
    format!("{day:2}-{month}-{year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// IMAP's `date-time` without its quotes: `24-Nov-2026 01:05:10 +0100`, day `" 4"`, `"04"` or `"4"`.
pub fn parse_imap(text: &[u8]) -> Option<DateTime> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.trim_start().splitn(3, ' ');
    let day = parse_imap_day(words.next()?.as_bytes())?;
    let (time, zone) = (words.next()?, words.next()?);
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *time.as_bytes() else { return None };
    let pair = |a: u8, b: u8| {
        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
    };
    let (hour, minute, second) = (pair(h1, h2)?, pair(m1, m2)?, pair(s1, s2)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let offset = parse_zone(zone)?;
    Some(date_time(day, hour * 3600 + minute * 60 + second, offset))
}

/// IMAP's `date` without quotes, as SEARCH has it: `24-Nov-2026`.
pub fn parse_imap_day(text: &[u8]) -> Option<Day> {
    let text = std::str::from_utf8(text).ok()?;
    let mut parts = text.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || day.is_empty() || day.len() > 2 {
        return None;
    }
    valid_day(number(year)?, month_number(month)?, number(day)?)
}

/// `Tue, 24 Nov 2026 02:05:10 +0100` (RFC 5322 §3.3), in the zone given.
pub fn rfc5322_at(date: DateTime) -> String {
    let (local, zone) = in_zone(date);
    let utc = rfc5322(local);
    format!("{}{}", utc.strip_suffix("+0000").unwrap_or(&utc), zone.replace(':', ""))
}

/// `2026-11-24T02:05:10+01:00` (RFC 3339 §5.6), in the zone given; UTC is `Z`.
pub fn rfc3339(date: DateTime) -> String {
    let (local, zone) = in_zone(date);
    let secs = clamp(local.secs());
    let Day { year, month, day } = day_of(secs);
    let (hour, minute, second) = clock(secs);
    let zone = if date.offset == 0 { "Z" } else { &zone };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}")
}

/// What the clock shows there, and the zone as `+01:00`.
fn in_zone(DateTime { timestamp, offset }: DateTime) -> (Timestamp, String) {
    let local = Timestamp::from_secs(timestamp.secs().saturating_add(i64::from(offset) * 60));
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.unsigned_abs());
    (local, format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60))
}

/// RFC 3339 §5.6 `date-time`, as URLs of IMAP have it: `2026-11-24T01:05:10Z`, with a fraction that is passed over.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    parse_rfc3339_at(text).map(|date| date.timestamp)
}

/// The same, with the zone in which it was written.
pub fn parse_rfc3339_at(text: &str) -> Option<DateTime> {
    let (day, time) = text.split_once(['T', 't'])?;
    let (year, month, day) = split_hyphens(day).filter(|(y, m, d)| (y.len(), m.len(), d.len()) == (4, 2, 2))?;
    let month = u8::try_from(number(month)?).ok().filter(|month| (1..=12).contains(month))?;
    let day = valid_day(number(year)?, month, number(day)?)?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let offset = match zone {
        "Z" | "z" => 0,
        zone => parse_zone(&zone.replacen(':', "", 1)).filter(|_| zone.as_bytes().get(3) == Some(&b':'))?,
    };
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    let is_clock = matches!(clock.as_bytes(), [_, _, b':', _, _, b':', _, _]);
    let secs = parse_clock(clock).filter(|_| is_fraction && is_clock)?;
    Some(date_time(day, secs, offset))
}

/// A Date field's value, leniently: comments, a missing weekday, two-digit years, named zones (RFC 5322 §4.3),
/// missing seconds or zone, a month before the day (`Nov 24 01:05:10 2026`), hyphens between.
/// `None` where there is no day, month and year in it.
pub fn parse(value: &[u8]) -> Option<DateTime> {
    let text = without_comments(value);
    let (mut day, mut month, mut year, mut time, mut offset) = (None, None, None, None, None);
    for word in text.split(|c: char| c.is_ascii_whitespace() || c == ',').filter(|word| !word.is_empty()) {
        if word.contains(':') {
            time = time.or_else(|| parse_clock(word));
        } else if word.starts_with(['+', '-']) {
            offset = offset.or_else(|| parse_zone(word));
        } else if let Some(number) = number(word) {
            if day.is_none() && word.len() <= 2 && number >= 1 {
                day = Some(number);
            } else if year.is_none() {
                year = Some(full_year(number, word.len()));
            }
        } else if let Some((a, b, c)) = split_hyphens(word) {
            (day, month, year) = (number(a), month_number(b), number(c).map(|year| full_year(year, c.len())));
        } else if month.is_none() && month_number(word).is_some() {
            month = month_number(word);
        } else if time.is_some() && offset.is_none() {
            offset = named_zone(word);
        }
    }
    let day = valid_day(year?, month?, day?)?;
    Some(date_time(day, time.unwrap_or(0), offset.unwrap_or(0)))
}

fn without_comments(value: &[u8]) -> String {
    let mut depth = 0u32;
    let mut text = String::new();
    for byte in value.iter().take(256) {
        match byte {
            b'(' => depth = depth.saturating_add(1),
            b')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => text.push(if byte.is_ascii_graphic() { char::from(*byte) } else { ' ' }),
            _ => {}
        }
    }
    text
}

fn split_hyphens(word: &str) -> Option<(&str, &str, &str)> {
    let (a, rest) = word.split_once('-')?;
    let (b, c) = rest.split_once('-')?;
    Some((a, b, c))
}

fn number(text: &str) -> Option<i32> {
    (!text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// RFC 5322 §4.3: two digits 00–49 are 20yy, else 19yy; three digits count from 1900.
fn full_year(year: i32, digits: usize) -> i32 {
    match digits {
        0..=2 if year < 50 => 2000 + year,
        0..=3 => 1900 + year,
        _ => year,
    }
}

fn month_number(word: &str) -> Option<u8> {
    let word = word.trim_end_matches('.').get(..3)?;
    MONTHS.iter().position(|month| month.eq_ignore_ascii_case(word)).map(|at| at as u8 + 1)
}

fn parse_clock(word: &str) -> Option<i64> {
    let mut secs = 0;
    let mut places = [3600, 60, 1].into_iter().zip([23, 59, 60]);
    for part in word.split(':') {
        let value = i64::from(number(part.split('.').next()?)?);
        let (unit, most) = places.next()?;
        if value > most {
            return None;
        }
        secs += value * unit;
    }
    Some(secs)
}

fn parse_zone(zone: &str) -> Option<i16> {
    let (sign, digits) = match zone.as_bytes() {
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let [a, b, c, d] = digits else { return None };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let pair = |a: &u8, b: &u8| i16::from(a - b'0') * 10 + i16::from(b - b'0');
    let (hours, minutes) = (pair(a, b), pair(c, d));
    (minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// RFC 5322 §4.3 `obs-zone`; letters and unknown names count as UTC.
fn named_zone(word: &str) -> Option<i16> {
    let hours = match word.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => 0,
    };
    Some(hours * 60)
}

fn valid_day(year: i32, month: u8, day: i32) -> Option<Day> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let day = u8::try_from(day).ok().filter(|day| (1..=last).contains(day))?;
    Some(Day { year, month, day })
}

fn date_time(day: Day, secs: i64, offset: i16) -> DateTime {
    let timestamp = Timestamp::from_secs(days_from_epoch(day) * DAY + secs - i64::from(offset) * 60);
    DateTime { timestamp, offset }
}

/// Four-digit years only: what is outside shows as the nearest that fits.
fn clamp(secs: i64) -> i64 {
    secs.clamp(-62_167_219_200, 253_402_300_799)
}

fn clock(secs: i64) -> (i64, i64, i64) {
    let secs = secs.rem_euclid(DAY);
    (secs / 3600, secs / 60 % 60, secs % 60)
}

/// Days from 1970-01-01 (Howard Hinnant's `days_from_civil`).
fn days_from_epoch(Day { year, month, day }: Day) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse (`civil_from_days`).
fn day_of(secs: i64) -> Day {
    let days = clamp(secs).div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month + 2) / 5 + 1) as u8;
    let month = (if month < 10 { month + 3 } else { month - 9 }) as u8;
    Day { year: (year_of_era + era * 400) as i32 + i32::from(month <= 2), month, day }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_is_found_in_the_wild() {
        let utc = |text: &str| parse(text.as_bytes()).map(|date| rfc5322(date.timestamp));
        let moment = Some("Tue, 24 Nov 2026 01:05:10 +0000".to_owned());
        for text in [
            "Tue, 24 Nov 2026 01:05:10 +0000",
            "24 Nov 2026 01:05:10 GMT",
            "Tue,24 Nov 2026 02:05:10 +0100 (CET)",
            "Mon, 23 Nov 2026 20:05:10 EST",
            "Tue (day) , 24 Nov (x) 26 01:05:10 UT",
            "Tue Nov 24 01:05:10 2026",
            "24-Nov-2026 01:05:10 +0000",
            "Tuesday, 24 November 2026 01:05:10.123 Z",
        ] {
            assert_eq!(utc(text), moment, "{text}");
        }
        assert_eq!(utc("Tue, 24 Nov 126 01:05 +0000"), Some("Tue, 24 Nov 2026 01:05:00 +0000".into()));
        for text in ["", "yesterday", "32 Nov 2026", "30 Feb 2026 00:00:00 +0000", "Nov 2026", "24 2026", "::", "-"] {
            assert_eq!(utc(text), None, "{text}");
        }
        assert_eq!(parse(b"1 Jan 2026 23:30:00 -0500").map(|d| d.day()), Some(Day { year: 2026, month: 1, day: 1 }));
    }

    #[test]
    fn imap_dates() {
        let date = Timestamp::from_secs(1_793_494_810);
        assert_eq!(imap(date).len(), 26);
        assert_eq!(parse_imap(imap(date).as_bytes()).map(|d| d.timestamp), Some(date));
        assert_eq!(imap(Timestamp::from_secs(0)), " 1-Jan-1970 00:00:00 +0000");
        for bad in [
            "1-Jan-70 00:00:00 +0000",
            "1-Jan-1970 24:00:00 +0000",
            "1-Jan-1970 00:00:00",
            "31-Feb-1970 00:00:00 +0000",
        ] {
            assert_eq!(parse_imap(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn dates_of_the_internet() {
        let secs = |text: &str| parse_rfc3339(text).map(Timestamp::secs);
        assert_eq!(secs("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(secs("1970-01-02t01:30:00.25+01:30"), Some(86_400));
        assert_eq!(secs("1969-12-31T23:00:60-00:30"), Some(-1740));
        for bad in [
            "",
            "1970-01-01",
            "1970-01-01 00:00:00Z",
            "1970-01-01T00:00:00",
            "1970-1-01T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-00-01T00:00:00Z",
            "1970-02-29T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00Z",
            "1970-01-01T0:000:00Z",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00+01:00:",
            "1970-01-01T00:00:00Zx",
        ] {
            assert_eq!(secs(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn written_dates_read_back(secs in -62_167_219_200i64..253_402_300_799, offset in -1439i16..1440) {
            let moment = Timestamp::from_secs(secs);
            prop_assert_eq!(parse_imap(imap(moment).as_bytes()).map(|d| d.timestamp), Some(moment));
            prop_assert_eq!(parse(rfc5322(moment).as_bytes()).map(|d| d.timestamp), Some(moment));
            let date = DateTime { timestamp: moment, offset };
            if (-62_167_000_000..253_402_000_000).contains(&secs) {
                prop_assert_eq!(parse(rfc5322_at(date).as_bytes()), Some(date));
                prop_assert_eq!(parse_rfc3339_at(&rfc3339(date)), Some(date));
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60), secs in any::<i64>()) {
            let _ = (parse(&bytes), parse_imap(&bytes), parse_imap_day(&bytes));
            let _ = parse_rfc3339(&String::from_utf8_lossy(&bytes));
            let _ = (rfc5322(Timestamp::from_millis(secs)), imap(Timestamp::from_secs(secs)));
        }
    }
}
