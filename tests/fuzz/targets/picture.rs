//! Any file for a picture: it is read within its limits, or refused. Small ones, for speed: what
//! large ones cost is bounded by the same numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mingpian_fuzz::screening::picture::{Limits, codes};

fuzz_target!(|file: &[u8]| {
    let limits = Limits {
        pixels: 100_000,
        ..Limits::default()
    };
    let Ok(codes) = codes(file, limits) else {
        return;
    };
    assert!(codes.len() <= 16);
    for (i, code) in codes.iter().enumerate() {
        assert!((1..=4096).contains(&code.content.len()));
        assert!(!codes[..i].contains(code));
    }
});
