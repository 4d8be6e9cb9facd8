//! Messages as they come out of an envelope: read within their limits, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mingpian_fuzz::{domain::Micros, events::read};

fuzz_target!(|message: &[u8]| {
    let Ok(event) = read(message) else { return };
    let notice = &event.notice;
    assert!(notice.state.len() <= 128);
    for id in [&notice.user_id, &notice.external_user_id, &notice.link_id] {
        assert!(id.len() <= 256 && *id == id.trim());
    }
    assert!((Micros(0)..=Micros::MAX).contains(&notice.event_time));
    assert!(event.identity.len() >= 9 * 8);
    assert_eq!(read(message), Ok(event));
});
