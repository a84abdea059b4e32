#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dialect_fuzz::request(dialect::Dialect::Gemini, data));
