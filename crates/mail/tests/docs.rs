//! docs/limits.md is made from `limits::table()`: run with UPDATE_DOCS=1 to write it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;

use mail::limits;

fn page() -> String {
    let mut page = String::from(
        "# Limits\n\n\
         Every bound of the system, from `crates/mail/src/limits.rs`. Sizes are in octets, times as written. A bound that an\n\
         operator may change is a key of `postrider.toml` (docs/configuration.md); its default stands here.\n\n\
         | name | value | what it bounds, and why |\n|---|---|---|\n",
    );
    for (name, value, reason) in limits::table() {
        page += &format!("| `{name}` | {} | {} |\n", readable(&value), reason.replace('|', "\\|"));
    }
    page
}

/// `10485760` as `10 MiB`, `86400s` as `1 d`: only where nothing is lost.
fn readable(value: &str) -> String {
    if let Some(seconds) = value.strip_suffix('s').and_then(|number| number.parse::<u64>().ok()) {
        for (unit, length) in [("d", 86_400), ("h", 3600), ("min", 60)] {
            if seconds >= length && seconds % length == 0 {
                return format!("{} {unit}", seconds / length);
            }
        }
        return format!("{seconds} s");
    }
    match value.parse::<u64>() {
        Ok(number) if number >= 1 << 20 && number % (1 << 20) == 0 => format!("{} MiB", number >> 20),
        Ok(number) if number >= 1 << 12 && number % 1024 == 0 => format!("{} KiB", number >> 10),
        _ => value.to_owned(),
    }
}

#[test]
fn limits_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/limits.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/limits.md is old: run the tests with UPDATE_DOCS=1");
}

#[test]
fn values_are_shown_without_loss() {
    let shown = ["300s", "86400s", "432000s", "90s", "250ms", "52428800", "65536", "1000", "100000"].map(readable);
    assert_eq!(shown, ["5 min", "1 d", "5 d", "90 s", "250ms", "50 MiB", "64 KiB", "1000", "100000"]);
}
