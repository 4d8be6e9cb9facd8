//! Compiles the contract without protoc: code for the services, and a descriptor set with
//! comments for reflection.

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use prost_types::FileDescriptorSet;

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
    let files = compiler.file_descriptor_set();
    tonic_prost_build::configure().compile_fds(files.clone())?;
    serving(files, &out.join("serving"))?;
    Ok(())
}

/// The server of `ServingService` once more: its two hot answers are bytes already.
fn serving(mut files: FileDescriptorSet, out: &Path) -> io::Result<()> {
    for file in &mut files.file {
        if !file.name().ends_with("/serving.proto") {
            file.service.clear();
        }
    }
    fs::create_dir_all(out)?;
    let encoded = "crate::api::answer::Encoded";
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(out)
        .extern_path(".mingpian.v1.GetChatMenuResponse", encoded)
        .extern_path(".mingpian.v1.BatchGetNoteCapsulesResponse", encoded)
        .extern_path(".mingpian.v1", "crate::api::pb")
        .compile_fds(files)
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
