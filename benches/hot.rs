//! How many instructions the call that is asked for most takes, as callgrind counts them, which
//! do not depend on what else the machine does; held to `benches/hot.toml`. It needs valgrind.
//!
//!     cargo bench --bench hot
//!     UPDATE_HOT=1 cargo bench --bench hot    writes the file
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

#[path = "support/hot.rs"]
mod support;

use std::{
    env, fs,
    process::{Command, Stdio},
};

use support::{CALLS, Stage, holds};

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Callgrind counts in here, and finds it by its name.
#[inline(never)]
fn mingpian_hot_calls(stage: &mut Stage) {
    stage.calls(CALLS);
}

fn main() {
    if env::args().any(|argument| argument == "--calls") {
        return mingpian_hot_calls(&mut Stage::new());
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("callgrind.out");
    let ended = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*mingpian_hot_calls*"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().unwrap())
        .arg("--calls")
        .stdout(Stdio::null())
        .output()
        .expect("valgrind is needed, such as Debian's package of that name");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let counted = fs::read_to_string(out).unwrap();
    let sum = counted
        .lines()
        .find_map(|line| line.strip_prefix("totals: "));
    let sum: u64 = sum.expect("callgrind sums up").trim().parse().unwrap();
    holds("instructions", sum / CALLS);
}
