//! Reading `deploy/` line by line: the few forms that its files have.

use std::{collections::HashMap, fs, path::Path};

use mingpian::config;
use toml::Table;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of `deploy/` but what `make-secrets` makes, by its path from the root.
pub fn files() -> Vec<(String, String)> {
    let (mut folders, mut files) = (vec![root().join("deploy")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.file_name().unwrap().to_str().unwrap() {
                "secrets" | ".env" => {}
                _ if path.is_dir() => folders.push(path),
                _ => files.push((name(&path), fs::read_to_string(&path).unwrap())),
            }
        }
    }
    files
}

fn name(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap();
    path.to_str().unwrap().to_owned()
}

pub fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

pub fn defaults() -> Table {
    config::DEFAULTS.parse().unwrap()
}

/// Whether there is such a key, as `key` or `section.key`.
pub fn is_key(key: &str) -> bool {
    let defaults = defaults();
    match key.split_once('.') {
        Some((section, key)) => defaults
            .get(section)
            .and_then(|section| section.as_table())
            .is_some_and(|section| section.contains_key(key)),
        None => defaults.get(key).is_some_and(|value| !value.is_table()),
    }
}

/// The settings of the environment that a text has: `MINGPIAN_A__B=value` or `: value`.
pub fn environment(text: &str) -> HashMap<String, String> {
    let mut found = HashMap::new();
    for (at, _) in text.match_indices("MINGPIAN_") {
        let rest = &text[at..];
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '_');
        let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
        let value = rest.trim_start_matches(['=', ':', ' ']);
        let value = value.split_whitespace().next().unwrap_or_default();
        // `${NAME:-default}`
        let value = match value.split_once(":-") {
            Some((_, default)) => default.trim_end_matches('}'),
            None => value,
        };
        found.insert(name.to_owned(), value.to_owned());
    }
    found
}

/// Commands of the program that a text gives: the words after its name, or after what stands for
/// it, to the end of the line.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    const COMMANDS: [&str; 7] = [
        "serve",
        "migrate",
        "import-spend",
        "rebuild-funnel",
        "health",
        "check-config",
        "keys",
    ];
    let mut commands = Vec::new();
    for line in text.lines() {
        let words = line.split([' ', '"', '\'', '`', '[', ']', ')', '=', ':']);
        let words: Vec<_> = words.map(|word| word.trim_matches(',')).collect();
        let words: Vec<_> = words.into_iter().filter(|w| !w.is_empty()).collect();
        for (i, pair) in words.windows(2).enumerate() {
            let program = pair[0].to_lowercase();
            let program =
                program.ends_with("mingpian") || ["0.1.0", "args", "cmd"].contains(&&*program);
            if program && COMMANDS.contains(&pair[1]) {
                let rest = words[i + 1..].iter();
                commands.push(rest.map(|word| (*word).to_owned()).collect());
            }
        }
    }
    commands
}

/// The words that follow this one.
pub fn after<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(word).skip(1).map(|rest| {
        let rest = rest.trim_start_matches([' ', '"', ',', ':', '=']);
        let end = rest.find([' ', '"', '\n', '}', ']']);
        rest[..end.unwrap_or(rest.len())].trim_end_matches(',')
    })
}
