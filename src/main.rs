//! The command line's outermost edge: arguments in, one line and an exit code out.

mod cli;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, exit};

/// A call takes and gives back some forty pieces of memory; this one does that at half the cost.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            // Help and version go the same way, and are no mistake.
            return ExitCode::from(if e.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            });
        }
    };
    ExitCode::from(run(cli).unwrap_or_else(|error| {
        let text = format!("{error:#}").replace('\n', " ");
        eprintln!("mingpian: {text}");
        exit::code(&error)
    }))
}

/// Tasks have so many turns before sockets are looked at again: what waits in one has not
/// arrived yet, and its time does not count.
const TURNS: u32 = 16;

fn run(cli: Cli) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .event_interval(TURNS)
        .enable_all()
        .build()?;
    // On the threads of all other tasks: they wake each other at less cost than this one.
    #[expect(clippy::disallowed_methods, reason = "waited for")]
    let result = runtime.block_on(async { tokio::spawn(cli.run()).await? });
    // What the drain left behind must not hold the process.
    runtime.shutdown_background();
    result
}
