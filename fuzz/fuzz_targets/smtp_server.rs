//! `fuzz/run smtp_server`; what it checks stands in `src/`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::smtp_server(data));
