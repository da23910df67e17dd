//! Reads any bytes as an order.
#![no_main]
#![allow(unreachable_pub)]

#[path = "../harness.rs"]
mod harness;
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    harness::order(data);
});
