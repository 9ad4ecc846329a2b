//! `fuzz/run jmap_request`; what it checks stands in `src/`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| postrider_fuzz::jmap_request(data));
