//! Reads paths of pictures from standard input, a line each, and writes one JSON object: path to
//! the contents of its codes. For tests/tools/qr. What is refused goes to standard error.

use std::{
    collections::BTreeMap,
    io::{stdin, stdout},
};

use mingpian::screening::picture::{Limits, codes};

fn main() -> anyhow::Result<()> {
    let mut read = BTreeMap::new();
    for path in stdin().lines() {
        let path = path?;
        let found = codes(&std::fs::read(&path)?, Limits::default()).unwrap_or_else(|error| {
            eprintln!("{path} {error}");
            Vec::new()
        });
        let contents: Vec<String> = found.into_iter().map(|code| code.content).collect();
        read.insert(path, contents);
    }
    Ok(serde_json::to_writer(stdout().lock(), &read)?)
}
