//! Reads any bytes as an order.
#![no_main]
#![allow(dead_code, unreachable_pub, unused_imports)]

#[path = "../harness.rs"]
mod harness;
#[path = "../../src"]
mod waybill {
    pub mod order;
}

use waybill::order;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    harness::order(data);
});
