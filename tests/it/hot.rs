//! What the call that is asked for most takes of memory, held to a file. Its instructions are held
//! to the same file by `cargo bench --bench hot`.
//!
//! `UPDATE_HOT=1 tests/run hot` writes the file.

#[path = "../../benches/support/hot.rs"]
mod support;

use allocation_counter::measure;

use self::support::{CALLS, Stage, holds};

#[test]
fn it_takes_as_many_pieces_of_memory_as_the_file_says() {
    let mut stage = Stage::new();
    let taken = measure(|| stage.calls(CALLS));
    holds("allocations", taken.count_total / CALLS);
    holds("allocated_bytes", taken.bytes_total / CALLS);
}
