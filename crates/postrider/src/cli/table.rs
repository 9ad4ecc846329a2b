//! Tables, times and sizes for people.

use mail::Timestamp;

/// Columns, aligned; the last one is as wide as it likes. Nothing for no rows but the head.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let lines: Vec<String> = std::iter::once(line(&head)).chain(rows.iter().map(|row| line(row))).collect();
    lines.join("\n")
}

/// `2026-11-24 01:02:03` in UTC.
pub(crate) fn moment(millis: i64) -> String {
    let seconds = Timestamp::from_millis(millis).secs();
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date: Howard Hinnant's civil_from_days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// `512`, `3.4 MiB`.
pub(crate) fn size(octets: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = octets as f64;
    let mut shown = octets.to_string();
    for unit in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        shown = format!("{value:.1} {unit}");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_times_are_utc() {
        let rows = [vec!["a".into(), "bb".into()], vec!["ccc".into(), "d".into()]];
        assert_eq!(table(&["X", "Y"], &rows), "X    Y\na    bb\nccc  d");
        assert_eq!(moment(0), "1970-01-01 00:00:00");
        assert_eq!(moment(951_826_154_000), "2000-02-29 12:09:14");
        assert_eq!(size(1023), "1023");
        assert_eq!(size(3 << 20), "3.0 MiB");
    }
}
