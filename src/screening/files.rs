//! Where the rules come from: the product, or a folder of the operator's.

use std::{fs, io, path::PathBuf, sync::Mutex, time::SystemTime};

use super::{Rulebook, RulebookError};

/// The most that one rule file may have, in bytes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// Files of a folder.
const MOST_FILES: usize = 100;

/// Why there are no rules to go by.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error(transparent)]
    Rules(#[from] RulebookError),
    #[error("{path}: {error}", path = path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{path}: {what}", path = path.display())]
    Folder { path: PathBuf, what: &'static str },
}

/// The files that the rules are read from.
#[derive(Debug)]
pub struct RuleFiles {
    /// `None` for the product's own.
    folder: Option<PathBuf>,
    /// Links to these hosts, and to what is under them, are no finding.
    own_hosts: Vec<String>,
    /// As they were when they were last read.
    seen: Mutex<Seen>,
}

/// How the files stood, and what was wrong with the rules in them.
#[derive(Debug, Default)]
struct Seen {
    stamps: Vec<Stamp>,
    broken: Option<RulebookError>,
}

/// A file, its length, and when it was last written.
type Stamp = (PathBuf, u64, Option<SystemTime>);

impl RuleFiles {
    pub fn new(folder: Option<PathBuf>, own_hosts: Vec<String>) -> Self {
        Self {
            folder,
            own_hosts,
            seen: Mutex::default(),
        }
    }

    /// # Errors
    /// The file, the entry in it, and what is wrong.
    pub fn read(&self) -> Result<Rulebook, Broken> {
        let Some(stamps) = self.stamps()? else {
            return Ok(Rulebook::built_in(&self.own_hosts)?);
        };
        let mut files = Vec::with_capacity(stamps.len());
        for (path, _, _) in &stamps {
            let text = fs::read_to_string(path).map_err(|error| file(path, error))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.push((name.into_owned(), text));
        }
        let named = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let parsed = Rulebook::parse(&named.collect::<Vec<_>>(), &self.own_hosts);
        *self.lock() = Seen {
            stamps,
            broken: parsed.as_ref().err().cloned(),
        };
        Ok(parsed?)
    }

    /// The rules as they read now, if the files are not as they were when last read.
    ///
    /// # Errors
    /// What is wrong, for as long as it is.
    pub fn changed(&self) -> Result<Option<Rulebook>, Broken> {
        let Some(stamps) = self.stamps()? else {
            return Ok(None);
        };
        let seen = self.lock();
        if seen.stamps == stamps {
            // To read them again would find the same.
            return seen.broken.clone().map_or(Ok(None), |e| Err(e.into()));
        }
        drop(seen);
        self.read().map(Some)
    }

    fn stamps(&self) -> Result<Option<Vec<Stamp>>, Broken> {
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let mut stamps = Vec::new();
        for entry in fs::read_dir(folder).map_err(|error| file(folder, error))? {
            let path = entry.map_err(|error| file(folder, error))?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                let about = fs::metadata(&path).map_err(|error| file(&path, error))?;
                stamps.push((path, about.len(), about.modified().ok()));
            }
        }
        stamps.sort_unstable();
        let wrong = |what| {
            Err(Broken::Folder {
                path: folder.clone(),
                what,
            })
        };
        if stamps.is_empty() || stamps.len() > MOST_FILES {
            return wrong("must have 1 to 100 files that end in .toml");
        }
        if stamps.iter().any(|(_, bytes, _)| *bytes > MOST_BYTES) {
            return wrong("must have no file over 4 MiB");
        }
        Ok(Some(stamps))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        // Whoever panicked with it left a whole one.
        self.seen
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn file(path: &std::path::Path, error: io::Error) -> Broken {
    Broken::File {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: &str = include_str!("../../tests/data/screening/few.toml");

    fn folder() -> (tempfile::TempDir, RuleFiles) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("few.toml"), FEW).unwrap();
        let files = RuleFiles::new(Some(dir.path().to_owned()), Vec::new());
        (dir, files)
    }

    fn write(dir: &tempfile::TempDir, text: &str) {
        fs::write(dir.path().join("few.toml"), text).unwrap();
    }

    #[test]
    fn rules_are_taken_once_when_their_files_changed() {
        let (dir, files) = folder();
        files.read().unwrap();
        assert!(files.changed().unwrap().is_none());
        write(&dir, &FEW.replace("薇信", "微信号"));
        let taken = files.changed().unwrap().unwrap();
        assert_eq!(taken.text("微信号 klook_lily88").len(), 1);
        assert!(files.changed().unwrap().is_none());
    }

    #[test]
    fn broken_rules_are_told_while_they_are_and_mended_ones_taken() {
        let (dir, files) = folder();
        files.read().unwrap();
        write(&dir, &FEW.replace("within = 8", "within = 800"));
        let broken = files.changed().unwrap_err().to_string();
        assert!(broken.starts_with("few.toml: wechat-id: "), "{broken}");
        assert_eq!(files.changed().unwrap_err().to_string(), broken);
        write(&dir, FEW);
        assert!(files.changed().unwrap().is_some());
        assert!(files.changed().unwrap().is_none());
    }

    #[test]
    fn a_folder_that_is_away_for_a_while_is_looked_at_again() {
        let (dir, files) = folder();
        files.read().unwrap();
        fs::remove_file(dir.path().join("few.toml")).unwrap();
        let away = files.changed().unwrap_err().to_string();
        assert!(away.contains("1 to 100 files"), "{away}");
        write(&dir, &FEW.replace("薇信", "微信号"));
        assert!(files.changed().unwrap().is_some());
    }

    #[test]
    fn files_that_are_too_long_are_not_read() {
        let (dir, files) = folder();
        let long = fs::File::create(dir.path().join("long.toml")).unwrap();
        long.set_len(MOST_BYTES + 1).unwrap();
        let refused = files.read().unwrap_err().to_string();
        assert!(refused.contains("over 4 MiB"), "{refused}");
    }
}
