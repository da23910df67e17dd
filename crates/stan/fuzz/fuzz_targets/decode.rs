//! Decodes any bytes as each message that comes from the wire.
#![no_main]
#![allow(dead_code, unreachable_pub)]

#[path = "../harness.rs"]
mod harness;
#[path = "../../src/protocol.rs"]
mod protocol;

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::decode(data));
