//! The map is true and the walls stand.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under `folder`, by its path from the root, with its code.
fn sources(folder: &str) -> Vec<(String, String)> {
    let (mut folders, mut files) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                let text = fs::read_to_string(&path).unwrap();
                let code = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"));
                files.push((name, code.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    assert!(!files.is_empty());
    files
}

/// Files under `src` outside of these places in which `names` finds something.
fn outside(places: &[&str], names: impl Fn(&str) -> bool) -> Vec<String> {
    sources("src")
        .into_iter()
        .filter(|(name, text)| !places.iter().any(|p| name.starts_with(p)) && names(text))
        .map(|(name, _)| name)
        .collect()
}

/// Whether a `use` or a path brings `item` out of `krate`.
fn takes(text: &str, krate: &str, item: &str) -> bool {
    let list = format!("{krate}::{{");
    text.contains(&format!("{krate}::{item}"))
        || text.split(&list).skip(1).any(|list| {
            let list = list.split(';').next().unwrap_or_default();
            list.split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == item)
        })
}

#[test]
fn the_wire_types_stay_in_api() {
    let found = outside(&["src/api"], |text| takes(text, "api", "pb"));
    assert_eq!(found, [""; 0]);
}

#[test]
fn status_is_made_in_api() {
    let found = outside(&["src/api"], |text| takes(text, "tonic", "Status"));
    assert_eq!(found, [""; 0]);
    let made = [
        "Status::with_",
        "Status::new(",
        "Status::internal(",
        "Status::not_found(",
    ];
    let found = outside(&["src/api/status.rs", "src/api/layers/ending.rs"], |text| {
        made.iter().any(|m| text.contains(m))
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_store_alone_knows_sea_orm() {
    let found = outside(&["src/store"], |text| text.contains("sea_orm"));
    assert_eq!(found, [""; 0]);
}

#[test]
fn http_clients_are_where_wecom_is_asked_and_keys_are_fetched() {
    let found = outside(&["src/wecom", "src/server/jwks"], |text| {
        text.contains("reqwest")
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn nats_is_asked_in_one_place() {
    let found = outside(&["src/events"], |text| text.contains("async_nats::"));
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_rules_and_the_way_outward_import_nothing_of_ours() {
    for folder in ["src/domain", "src/screening", "src/events"] {
        for (name, text) in sources(folder) {
            assert!(!text.contains("crate::"), "{name}");
        }
    }
}

/// What stands in backquotes and looks like a path of the tree.
fn paths(text: &str) -> Vec<&str> {
    let tops = [
        "src/", "tests/", "proto/", "docs/", "benches/", "deploy/", ".ci/", ".config/",
    ];
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|p| tops.iter().any(|top| p.starts_with(top)))
        .filter(|p| !p.contains(['<', '{', '*', ' ', '…']))
        .collect()
}

#[test]
fn every_path_on_the_maps_exists() {
    let mut seen = 0;
    for map in [
        "src/lib.rs",
        "README.md",
        "docs/CONTRIBUTING.md",
        "docs/SECURITY.md",
        "docs/SCALING.md",
        "deploy/README.md",
    ] {
        let text = fs::read_to_string(root().join(map)).unwrap();
        for path in paths(&text) {
            assert!(root().join(path).exists(), "{map} names {path}");
            seen += 1;
        }
    }
    assert!(seen > 20, "the maps name {seen} paths");
}

#[test]
fn every_floor_is_on_the_map() {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            !path.is_dir() || map.contains(&format!("`src/{name}`")),
            "{name}"
        );
    }
}
