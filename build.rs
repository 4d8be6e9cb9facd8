//! Compiles the contract without protoc: code for the services, and a descriptor set with
//! comments for reflection.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: &[&str] = &[
    "mingpian/v1/error_reason.proto",
    "mingpian/v1/card.proto",
    "mingpian/v1/placement.proto",
    "mingpian/v1/serving.proto",
    "mingpian/v1/link.proto",
    "mingpian/v1/program.proto",
    "mingpian/v1/eligibility.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=build.rs");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_files(FILES)?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptors.bin"),
        compiler.encode_file_descriptor_set(),
    )?;
    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
