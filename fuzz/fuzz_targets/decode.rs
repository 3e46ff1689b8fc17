//! `cargo +nightly fuzz run decode ../tests/golden`: any bytes, as every sort of object.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check::check(data);
});
