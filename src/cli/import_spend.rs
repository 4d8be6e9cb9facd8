//! `mingpian import-spend`: a file of figures into the store, past the server.
//!
//! The store keeps, in the transaction of each chunk, how many bytes of the file are in; the
//! file is known by the digest of its contents. So a second run of the same file goes on where
//! the first was cut, at whatever point, within a day; a file that was changed begins anew.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write, stdout},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::Args;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use mingpian::{
    app::{Ambient, CHUNK_ROWS, SpendImport},
    config::Settings,
    domain::{Calendar, Day},
    server, store,
};
use sha2::{Digest, Sha256};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    exit,
    spend_file::{Chunk, Contents, SpendFile},
};

/// Writes history under this name.
const AUTHOR: &str = "import-spend";

#[derive(Args)]
pub struct Options {
    /// The columns merchant, day, source, amount and currency, in any order, named by the
    /// first line: `klook,2026-01-31,juguang,1000.00,CNY`. Rows that break a rule are left
    /// out and written to FILE.csv.rejects.csv. A run that was cut goes on with the next of
    /// the same file, within a day.
    #[arg(value_name = "FILE.csv")]
    file: PathBuf,
    /// At the end mark each source's days as complete, today left out and those of which a
    /// row was rejected. A rejected row without a readable day and source may be of any, so
    /// then none is marked.
    #[arg(long)]
    complete: bool,
}

/// The file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
pub struct NoInput(String, io::Error);

/// Somebody else writes for longer than an import waits, or came first.
#[derive(Debug, thiserror::Error)]
#[error(
    "another process is writing to the store, perhaps another import; give the same command \
     again when it is done: what is in stays in"
)]
pub struct Busy;

/// 0 when all is in, 65 when something was rejected and the rest is in.
pub async fn run(options: Options, settings: &Settings) -> anyhow::Result<u8> {
    let done = import(options, settings).await;
    done.map_err(|error| match error.downcast_ref::<store::Error>() {
        Some(e) if e.is_conflict() => Busy.into(),
        _ => error,
    })
}

async fn import(options: Options, settings: &Settings) -> anyhow::Result<u8> {
    let path = options.file;
    let no_input = |e| NoInput(path.display().to_string(), e);
    let bytes = length(&path).map_err(no_input)?;
    let bar = bar(bytes);
    let digest = digest(path.clone(), bar.clone()).await.map_err(no_input)?;
    let ambient = Ambient::system();
    let store = server::open_store(settings, &ambient).await?;
    let calendar = settings.spend.calendar();
    let import =
        SpendImport::of_file(store, ambient.clone(), calendar.clone(), AUTHOR, digest).await?;

    let Calendar { zone, sources, .. } = calendar;
    let sources = (sources, import.room().await?);
    bar.reset();
    bar.set_position(import.row().position);
    bar.reset_eta();
    // As of the first run: a second one must not judge the same rows otherwise.
    let begun = zone.day(import.row().time);
    let file = SpendFile::open(&path, begun, sources, import.row().position)?;
    let (import, read) = pour(file, import, &bar).await?;
    bar.finish_and_clear();

    let today = zone.day(ambient.now());
    let complete = match options.complete {
        true => read.whole_days(today),
        false => Vec::new(),
    };
    report(import, &read, &complete, options.complete, &path).await?;
    Ok(if read.rejected == 0 {
        exit::OK
    } else {
        exit::DATA
    })
}

/// Reads on one thread while the store writes.
async fn pour(
    file: SpendFile,
    mut import: SpendImport,
    bar: &ProgressBar,
) -> anyhow::Result<(SpendImport, Contents)> {
    let (sender, mut chunks) = mpsc::channel::<Chunk>(1);
    let send = move |chunk| sender.blocking_send(chunk).is_ok();
    let reading = spawn_blocking(move || file.read(CHUNK_ROWS, send));
    let mut rows = 0;
    while let Some(chunk) = chunks.recv().await {
        if rows > 0 {
            import.give_way().await;
        }
        let left_out = import.chunk(&chunk.entries, chunk.position).await?;
        if !left_out.is_empty() {
            // The next run finds their source rejected as it reads.
            return Err(Busy.into());
        }
        rows += chunk.entries.len() as u64;
        bar.set_position(chunk.position);
        let each = rows as f64 / bar.elapsed().as_secs_f64().max(0.001);
        bar.set_message(format!("{} rows/s", HumanCount(each as u64)));
    }
    Ok((import, reading.await??))
}

async fn report(
    import: SpendImport,
    read: &Contents,
    complete: &[(String, Day)],
    asked_to_complete: bool,
    path: &Path,
) -> anyhow::Result<()> {
    let (id, counts) = (import.id(), import.row().counts);
    import.finish(complete).await?;
    writeln!(
        stdout(),
        "import {id}: accepted {}, unchanged {}, replaced {}, rejected {}; days complete {}",
        counts.accepted,
        counts.unchanged,
        counts.replaced,
        read.rejected,
        complete.len()
    )?;
    if asked_to_complete && complete.is_empty() {
        eprintln!("mingpian: no day is marked as complete: each is today's or has a rejected row");
    }
    if read.rejected > 0 {
        eprintln!(
            "mingpian: rejected rows are in {}.rejects.csv",
            path.display()
        );
    }
    Ok(())
}

fn length(path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(metadata.len())
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a file"))
    }
}

/// Nothing where standard error is no terminal.
fn bar(bytes: u64) -> ProgressBar {
    let template = "{wide_bar} {percent}% {bytes_per_sec} {msg} {eta} left";
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Of the contents, so that it is the same file wherever it lies.
async fn digest(path: PathBuf, bar: ProgressBar) -> io::Result<String> {
    let digest = spawn_blocking(move || {
        let (mut file, mut hash) = (File::open(path)?, Sha256::new());
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                return Ok(BASE64_URL_SAFE_NO_PAD.encode(hash.finalize()));
            }
            hash.update(&buffer[..read]);
            bar.inc(read as u64);
        }
    });
    digest.await.map_err(io::Error::other)?
}
