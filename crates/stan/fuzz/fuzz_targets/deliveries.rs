//! Lets deliveries of any bytes, takings, acks and rebuilds come in any order.
#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../../src/deliveries.rs"]
mod deliveries;
#[path = "../harness.rs"]
mod harness;
#[path = "../../src/message.rs"]
mod message;
#[path = "../../src/protocol.rs"]
mod protocol;
#[path = "../../src/stats.rs"]
mod stats;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::deliveries(data));
