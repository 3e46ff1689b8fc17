//! Any bytes, as every sort of object. How to run it: CONTRIBUTING.md.
#![no_main]

#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    check::check(data);
});
