//! Clients of another make than the server, as its callers have them.

mod bff;
mod buf;
mod grpcurl;

use std::{env, process::Command};

use tokio::task::spawn_blocking;

/// How a program that was run to its end did.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// A tool that `tests/run` fetched and named in the environment.
fn tool(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run `tests/run`, or set it to where the tool is")
    })
}

/// Runs it from the root of the repository.
async fn run(program: String, arguments: Vec<String>) -> Ran {
    let ran = spawn_blocking(move || {
        let mut command = Command::new(program);
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(arguments).output().unwrap()
    });
    let ran = ran.await.unwrap();
    Ran {
        code: ran.status.code().expect("ended by a signal"),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}
