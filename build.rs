//! Compiles the contract without protoc: code for the services, and a descriptor set with
//! comments for reflection.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

const ROOT: &str = "proto";

fn main() -> Result<(), Box<dyn Error>> {
    // Of a folder: whatever is in it, at any depth.
    println!("cargo:rerun-if-changed={ROOT}");
    println!("cargo:rerun-if-changed=build.rs");

    let mut compiler = protox::Compiler::new([ROOT])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(protos(Path::new(ROOT))?)?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The `.proto` files in a folder, in the same order everywhere.
fn protos(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.extension().is_some_and(|e| e == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
