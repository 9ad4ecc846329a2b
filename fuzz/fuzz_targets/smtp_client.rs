//! `cargo +nightly fuzz run --features libfuzzer smtp_client`; what it checks stands in `src/lib.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::smtp_client(data));
