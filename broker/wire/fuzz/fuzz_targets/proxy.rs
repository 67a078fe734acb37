//! Reading any bytes as a PROXY header never panics, and never takes a byte of what comes after it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mqtt_wire::proxy::{Need, need, parse};

fuzz_target!(|bytes: &[u8]| {
    // Whole bytes first: most are none, and all must be survived.
    let _any = parse(bytes);
    let mut read = 0;
    while let Ok(Need::More(more)) = need(&bytes[..read]) {
        assert!(more > 0 && read + more <= 4096, "a header is bounded");
        read += more;
        if read > bytes.len() {
            return;
        }
    }
    if need(&bytes[..read]).is_err() {
        return;
    }
    for cut in 0..read {
        assert!(parse(&bytes[..cut]).is_err(), "cut short");
    }
    let mut followed = bytes[..read].to_vec();
    followed.extend(b"x");
    assert!(
        parse(&followed).is_err(),
        "nothing belongs to it that comes after"
    );
});
