//! The key file: TOML, readable by its owner alone.

use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    /// The id of the key that seals.
    pub active: u8,
    /// Hashes viewers and requests; never rotates, or they would be other hashes. 32 bytes, base64.
    index: SecretString,
    keys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    id: u8,
    /// 32 bytes, base64.
    secret: SecretString,
}

/// Why a key file is of no use; names the file, never its contents.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error("key file {0}")]
    Io(PathBuf, #[source] io::Error),
    #[error("key file {0}: not the form that `mingpian keys new` writes")]
    Form(PathBuf),
    #[error("key file {0}: {1}")]
    Content(PathBuf, String),
    #[error("key file {0}: all 255 ids are used")]
    Full(PathBuf),
    #[error("key file {0}: has no key {1}")]
    Unknown(PathBuf, u8),
    #[error("key file {0}: is missing, and this store was sealed under its keys; bring it back")]
    Lost(PathBuf),
    #[error("key file {0}: this store was sealed under other keys")]
    Other(PathBuf),
}

const HEADER: &str = "\
# Mingpian's keys. Who has this file can read every contact and make every token; without it
# no contact can be read again, and the server refuses to start on its store. Keep a copy
# apart from the database. Never remove a key: nothing is ever sealed anew, so contacts, their
# history and the store's own check stay sealed with the key that was active at the time.
";

impl KeyFile {
    /// A first key, active, from 64 random bytes.
    pub fn new(random: [u8; 64]) -> Self {
        let (index, secret) = random.split_at(32);
        Self {
            active: 1,
            index: STANDARD.encode(index).into(),
            keys: vec![Key {
                id: 1,
                secret: STANDARD.encode(secret).into(),
            }],
        }
    }

    /// One key more, not active yet; answers its id, or `None` when all 255 are used.
    pub fn add(&mut self, random: [u8; 32]) -> Option<u8> {
        let id = self.keys.iter().map(|k| k.id).max()?.checked_add(1)?;
        self.keys.push(Key {
            id,
            secret: STANDARD.encode(random).into(),
        });
        Some(id)
    }

    /// Makes a key the one that seals; whether there is such a key.
    pub fn activate(&mut self, id: u8) -> bool {
        let known = self.keys.iter().any(|k| k.id == id);
        if known {
            self.active = id;
        }
        known
    }

    pub fn read(path: &Path) -> Result<Self, Problem> {
        let text = fs::read_to_string(path).map_err(|e| Problem::Io(path.into(), e))?;
        // toml's own message would quote the line, and with it a key.
        let file: Self = toml::from_str(&text).map_err(|_| Problem::Form(path.into()))?;
        file.check(path)?;
        Ok(file)
    }

    /// Writes beside and renames, so that a crash leaves the old file or the new.
    pub fn write(&self, path: &Path) -> Result<(), Problem> {
        self.write_beside(path)
            .and_then(|beside| fs::rename(beside, path))
            .and_then(|()| sync_folder(path))
            .map_err(|e| Problem::Io(path.into(), e))
    }

    /// Writes a file that is not there yet; whether it was not. Of two processes that start
    /// on one folder, both go on with the keys of one.
    pub fn create(&self, path: &Path) -> Result<bool, Problem> {
        let linked = self.write_beside(path).and_then(|beside| {
            let linked = fs::hard_link(&beside, path);
            fs::remove_file(beside)?;
            linked.and_then(|()| sync_folder(path))
        });
        match linked {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(Problem::Io(path.into(), e)),
        }
    }

    fn write_beside(&self, path: &Path) -> io::Result<PathBuf> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let beside = path.with_extension(format!("{}.new", std::process::id()));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        Ok(beside)
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{HEADER}\nactive = {}\nindex = \"{}\"\n",
            self.active,
            self.index.expose_secret()
        );
        for key in &self.keys {
            let secret = key.secret.expose_secret();
            let _ = write!(text, "\n[[keys]]\nid = {}\nsecret = \"{secret}\"\n", key.id);
        }
        text
    }

    fn check(&self, path: &Path) -> Result<(), Problem> {
        let refuse = |what: String| Err(Problem::Content(path.into(), what));
        let mut ids: Vec<_> = self.keys.iter().map(|k| k.id).collect();
        ids.sort_unstable();
        if ids.windows(2).any(|w| w[0] == w[1]) {
            return refuse("two keys have one id".into());
        }
        if !ids.contains(&self.active) {
            return refuse(format!("active = {} names no key", self.active));
        }
        if self.index().is_none() || self.secrets().any(|(_, s)| s.is_none()) {
            return refuse("index and every secret must be 32 bytes in base64".into());
        }
        Ok(())
    }

    /// The index key.
    pub(super) fn index(&self) -> Option<SecretSlice<u8>> {
        bytes(&self.index)
    }

    /// Every key's id and secret.
    pub(super) fn secrets(&self) -> impl Iterator<Item = (u8, Option<SecretSlice<u8>>)> {
        self.keys.iter().map(|k| (k.id, bytes(&k.secret)))
    }
}

/// A new name in a folder outlives a power failure only when the folder was written too.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn bytes(text: &SecretString) -> Option<SecretSlice<u8>> {
    let bytes = STANDARD.decode(text.expose_secret()).ok()?;
    (bytes.len() == 32).then(|| bytes.into())
}
