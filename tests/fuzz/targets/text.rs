//! Texts, links and what codes say: judged within their limits, and with work that grows no faster
//! than the text.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mingpian_fuzz::screening::Rulebook;

static RULES: LazyLock<Rulebook> =
    LazyLock::new(|| Rulebook::built_in(&["xiaohongshu.com".to_owned()]).expect("sound"));

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let points = text.chars().count();
    let (findings, work) = RULES.text_counted(&text);
    for finding in findings.iter().chain(&RULES.link(&text)) {
        assert!(finding.span.start <= finding.span.end && finding.span.end <= points);
        assert!(finding.excerpt.chars().count() <= 200);
    }
    assert!(work.steps() <= 20_000 + 400 * bytes.len() as u64, "{}", work.steps());
});
