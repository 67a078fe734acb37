//! Whatever clients, time and fate do, the broker does what a naive model of the specification says.

#![no_main]

use broker_core::testing::trial::play;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(broken) = play(bytes) {
        panic!("{broken}");
    }
});
