//! Pictures: read within their limits, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mingpian_fuzz::screening::picture::{Limits, codes};

fuzz_target!(|bytes: &[u8]| {
    // Small ones, or a run would take seconds.
    let limits = Limits {
        bytes: 1 << 16,
        pixels: 1 << 16,
    };
    let Ok(codes) = codes(bytes, limits) else { return };
    assert!(codes.len() <= 16);
    for code in codes {
        assert!((1..=4096).contains(&code.content.len()));
    }
});
