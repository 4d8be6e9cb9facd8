//! What `deploy/` and the scaling page say of the program is so: settings, flags, roles, ports,
//! health names, methods, and the time that an end takes.

mod read;

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    process::Command,
};

use mingpian::{
    api::{self, rights},
    config::{self, Flags, Role, Settings},
};

use self::read::{after, commands, defaults, environment, files, is_key, text};

#[test]
fn every_setting_named_is_one() {
    let mut seen = 0;
    for (file, text) in files() {
        for name in environment(&text).keys() {
            let key = name.strip_prefix("MINGPIAN_").unwrap().to_lowercase();
            assert!(is_key(&key.replace("__", ".")), "{file} names {name}");
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} settings");
}

#[test]
fn every_setting_in_words_is_one() {
    let (sections, mut seen) = (defaults(), 0);
    let page = ("docs/SCALING.md".to_owned(), text("docs/SCALING.md"));
    for (file, text) in files().into_iter().chain([page]) {
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
        for word in text.split(|c| !is_name(c)) {
            let word = word.trim_matches('.');
            let of_section = word.split_once('.').is_some_and(|(section, key)| {
                sections.get(section).is_some_and(toml::Value::is_table) && key.contains('_')
            });
            if of_section {
                assert!(is_key(word), "{file} names {word}");
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen} settings");
}

/// Where each of them has its secrets.
const SECRETS: [&str; 3] = [
    "/run/secrets/",
    "/etc/mingpian/secrets/",
    "/run/credentials/mingpian.service/",
];

/// Accepted, with every secret in its place.
fn check_config(environment: &HashMap<String, String>, arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    for (file, secret) in [
        ("store_url", "postgres://u:p@h/d"),
        ("events_url", "nats://u:p@h"),
        ("admin_token", "0123456789abcdef"),
        ("keys.toml", ""),
        ("jwks.json", ""),
    ] {
        fs::write(dir.path().join(file), secret).unwrap();
    }
    let folder = format!("{}/", dir.path().display());
    let here = |text: &str| {
        let places = SECRETS.iter();
        places.fold(text.to_owned(), |text, place| text.replace(place, &folder))
    };
    let mut command = Command::new(env!("CARGO_BIN_EXE_mingpian"));
    command.arg("check-config");
    command.envs(environment.iter().map(|(name, value)| (name, here(value))));
    for argument in arguments {
        let file = dir.path().join("settings.toml");
        fs::write(&file, here(&text(argument))).unwrap();
        command.arg("--config").arg(file);
    }
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{environment:?}: {error}");
}

#[test]
fn the_settings_are_accepted_as_they_stand() {
    let image = environment(&text("deploy/Containerfile"));
    assert_eq!(image.len(), 4, "{image:?}");
    for file in ["deploy/compose.yaml", "deploy/kubernetes/mingpian.env"] {
        let mut all = image.clone();
        all.extend(environment(&text(file)));
        assert!(all.len() > 10, "{all:?}");
        check_config(&all, &[]);
    }
    check_config(&HashMap::new(), &["deploy/systemd/mingpian.toml"]);
}

#[test]
fn the_image_is_built_with_the_files_that_cargo_and_askama_are_told_of() {
    let context = text(".dockerignore");
    let let_in: Vec<_> = context
        .lines()
        .filter_map(|l| l.strip_prefix('!'))
        .collect();
    let quoted = |text: &str, before: &str| {
        let named = text.split(before).skip(1);
        let named = named.map(|rest| rest.split('"').next().unwrap().to_owned());
        named.collect::<Vec<_>>()
    };
    let mut named = quoted(&text("Cargo.toml"), "\npath = \"");
    named.extend(quoted(&text("src/http/page.rs"), "config = \""));
    assert!(named.len() >= 3, "{named:?}");
    for file in named {
        let within = |place: &&&str| file == **place || file.starts_with(&format!("{place}/"));
        assert!(let_in.iter().any(|place| within(&place)), "{file}");
    }
}

#[test]
fn every_command_and_flag_named_is_one() {
    let (mut seen, mut flags) = (BTreeSet::new(), 0);
    for (file, text) in files() {
        for command in commands(&text) {
            let words = if command[0] == "keys" { 2 } else { 1 };
            let mut asked = Command::new(env!("CARGO_BIN_EXE_mingpian"));
            let help = asked
                .args(&command[..words])
                .arg("--help")
                .output()
                .unwrap();
            assert!(help.status.success(), "{file}: {command:?}");
            let help = String::from_utf8(help.stdout).unwrap();
            for flag in command.iter().filter(|word| word.starts_with("--")) {
                let known = help.split([' ', '\n']).any(|word| word == flag);
                assert!(known, "{file}: {command:?} names {flag}");
                flags += 1;
            }
            seen.insert(command[0].clone());
        }
    }
    let seen: Vec<_> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["check-config", "health", "keys", "serve"]);
    assert!(flags >= 5, "{flags} flags");
}

fn with_roles(roles: &str) -> Settings {
    let flags = Flags {
        roles: Some(roles.to_owned()),
        ..Flags::default()
    };
    config::load(&flags).unwrap()
}

#[test]
fn on_kubernetes_every_role_has_its_replicas_and_probes_ask_for_what_they_have() {
    let mut done = Vec::new();
    for file in ["deployment.yaml", "workers.yaml"] {
        let text = text(&format!("deploy/kubernetes/{file}"));
        // With its comma the list goes beyond a word.
        let roles = text.split("\"--roles\", \"").nth(1).unwrap();
        let settings = with_roles(roles.split('"').next().unwrap());
        let has = |role| settings.roles.has(role);
        let mounted = api::mounted(has(Role::Serve), has(Role::Intake));
        for service in after(&text, "service:") {
            assert!(mounted.contains(&service), "{file} asks for {service}");
        }
        assert_eq!(after(&text, " grpc: { port:").count(), 2, "{file}");
        done.extend([
            has(Role::Serve),
            has(Role::Intake),
            has(Role::Rollup),
            has(Role::Publish),
            has(Role::Jobs),
        ]);
    }
    let (first, second) = done.split_at(5);
    let once = first.iter().zip(second).all(|(a, b)| a != b);
    assert!(once, "each role on one of the two: {first:?} {second:?}");
}

#[test]
fn health_names_methods_and_paths_are_those_of_the_program() {
    let (mut services, mut methods, mut paths) = (0, 0, 0);
    let admin = text("src/http/admin.rs");
    for (file, text) in files() {
        for word in ["service_name:", "serviceName\":"] {
            for service in after(&text, word) {
                assert!(api::SERVICES.contains(&service), "{file}: {service}");
                services += 1;
            }
        }
        for path in after(&text, "path:") {
            if path.starts_with("/mingpian.v1.") {
                assert!(rights::required(path).is_some(), "{file}: {path}");
                methods += 1;
            } else {
                let route = format!(".route(\"{path}\"");
                assert!(admin.contains(&route), "{file}: {path}");
                paths += 1;
            }
        }
    }
    assert!(
        (services, methods, paths) >= (2, 2, 3),
        "{services} {methods} {paths}"
    );
}

/// Where replicas listen, and what others have: DNS, HTTPS, OTLP, PostgreSQL, NATS, Envoy.
#[test]
fn ports_are_those_of_the_listeners() {
    const OTHERS: [&str; 6] = ["53", "443", "4317", "5432", "4222", "9901"];
    let image = environment(&text("deploy/Containerfile"));
    let ports = ["GRPC", "HTTP", "ADMIN"].map(|door| {
        let address = &image[&format!("MINGPIAN_{door}_LISTEN")];
        address.rsplit_once(':').unwrap().1
    });
    let defaults = defaults();
    for (door, port) in ["grpc", "http", "admin"].iter().zip(ports) {
        let address = defaults[&format!("{door}_listen")].as_str().unwrap();
        assert!(address.ends_with(&format!(":{port}")), "{address}");
    }
    let mut seen = 0;
    for (file, text) in files() {
        for word in ["containerPort:", "port_value:", "port:", "targetPort:"] {
            for port in after(&text, word) {
                let known = match port.parse::<u16>() {
                    Ok(_) => ports.contains(&port) || OTHERS.contains(&port.trim_end_matches(',')),
                    Err(_) => ["grpc", "http", "admin"].contains(&port),
                };
                assert!(known, "{file}: {port}");
                seen += 1;
            }
        }
    }
    let kubernetes = environment(&text("deploy/kubernetes/mingpian.env"));
    assert!(image.iter().all(|(name, value)| kubernetes[name] == *value));
    assert!(seen > 20, "{seen} ports");
}

/// The delay, the drain, a second for what is cut and one for what was noted last.
#[test]
fn whoever_ends_a_replica_waits_long_enough() {
    let limits = defaults()["limits"].clone();
    for (file, settings, word) in [
        (
            "deploy/compose.yaml",
            "deploy/compose.yaml",
            "stop_grace_period:",
        ),
        (
            "deploy/kubernetes/deployment.yaml",
            "deploy/kubernetes/mingpian.env",
            "terminationGracePeriodSeconds:",
        ),
        (
            "deploy/kubernetes/workers.yaml",
            "deploy/kubernetes/mingpian.env",
            "terminationGracePeriodSeconds:",
        ),
        (
            "deploy/systemd/mingpian.service",
            "deploy/systemd/mingpian.toml",
            "TimeoutStopSec=",
        ),
    ] {
        let set = environment(&text(settings));
        let seconds = |key: &str| -> i64 {
            let name = format!("MINGPIAN_LIMITS__{}", key.to_uppercase());
            let default = limits[key].as_integer().unwrap();
            set.get(&name).map_or(default, |text| text.parse().unwrap())
        };
        let ends = seconds("shutdown_delay_seconds") + seconds("drain_seconds") + 2;
        let file = text(file);
        let waits = after(&file, word).next().unwrap().trim_end_matches('s');
        let waits: i64 = waits.parse().unwrap();
        assert!(waits > ends, "{word} {waits} s for {ends} s");
    }
}
