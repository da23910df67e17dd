//! Decodes any bytes as each message that comes from the wire.
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

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::decode(data));
