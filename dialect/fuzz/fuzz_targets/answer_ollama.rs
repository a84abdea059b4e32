#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| dialect_fuzz::answer(dialect::Dialect::Ollama, data));
