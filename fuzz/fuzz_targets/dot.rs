//! `cargo +nightly fuzz run --features libfuzzer dot`; what it checks stands in `src/lib.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::dot(data));
