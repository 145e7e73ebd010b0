//! Any bytes on the line: a reply that is accepted was there, whole and fitting.
#![no_main]

#[path = "../line.rs"]
mod line;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    line::strike(data, line::parsers::ascii);
});
