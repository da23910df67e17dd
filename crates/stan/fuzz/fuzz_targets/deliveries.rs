//! Lets deliveries of any bytes, takings, acks and rebuilds come in any order.
#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../harness.rs"]
mod harness;
#[path = "../../src/protocol.rs"]
mod protocol;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::deliveries(data));
