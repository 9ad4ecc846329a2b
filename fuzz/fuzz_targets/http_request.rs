//! `fuzz/run http_request`; what it checks stands in `src/`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::http_request(data));
