//! The command line: what refuses to start, with which exit code (sysexits), and in which words.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use mingpian::keys::KeyFile;

use super::{becomes, channel, path, serve_on};
use crate::{
    on_both_engines,
    support::{Engine, Scratch},
};

pub const OK: i32 = 0;
const NOT_WELL: i32 = 1;
const USAGE: i32 = 64;
const UNAVAILABLE: i32 = 69;
pub const IO: i32 = 74;
pub const CONFIG: i32 = 78;

/// `mingpian …` to its end.
pub fn mingpian(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new("timeout");
    // One that starts where it should refuse must not run for ever.
    command.args(["20", env!("CARGO_BIN_EXE_mingpian")]);
    command.args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).output().unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// That it ended with this code and one line, after what it logged, that says these words.
#[track_caller]
pub fn ends(output: &Output, wanted: i32, words: &str) -> String {
    let said = text(&output.stderr);
    assert_eq!(code(output), wanted, "{said}");
    let (logged, said) = said.trim_end().rsplit_once('\n').unwrap_or(("", &said));
    assert!(logged.lines().all(|l| l.contains(" INFO ")), "{logged}");
    assert!(said.starts_with("mingpian: "), "{said}");
    assert!(said.contains(words), "{words} is not in: {said}");
    assert_eq!(text(&output.stdout), "");
    said.to_owned()
}

#[test]
fn bad_settings_refuse_to_start_and_name_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/a.db", dir.path().display());
    let serve = [
        "serve",
        "--store-url",
        &store,
        "--grpc-listen",
        "127.0.0.1:0",
    ];
    for (name, value, key) in [
        ("MINGPIAN_HTTP_LISTEN", "nowhere", "http_listen"),
        (
            "MINGPIAN_LIMITS__DRAIN_SECONDS",
            "-1",
            "limits.drain_seconds",
        ),
        (
            "MINGPIAN_LIMITS__DRAIN_SECONDS",
            "soon",
            "limits.drain_seconds",
        ),
        ("MINGPIAN_PUBLIC_URL", "javascript:alert(1)", "public_url"),
        ("MINGPIAN_REFLECTION", "maybe", "reflection"),
        ("MINGPIAN_AUTH__MODE", "jwt", "auth.issuer"),
        ("MINGPIAN_AUTH__MODE", "basic", "auth.mode"),
        ("MINGPIAN_LOG__FILTER", "loud[", "log.filter"),
        (
            "MINGPIAN_TELEMETRY__OTLP_ENDPOINT",
            "here",
            "telemetry.otlp_endpoint",
        ),
        ("MINGPIAN_TLS__CERT_FILE", "/nowhere.pem", "tls."),
        ("MINGPIAN_ADMIN__TOKEN", "hunter2-short", "admin.token"),
        ("MINGPIAN_STORE_URL_FILE", "/nowhere", "store_url_file"),
        ("MINGPIAN_CARDS__PER_MERCHANT", "0", "cards.per_merchant"),
        ("MINGPIAN_CRADS__PER_MERCHANT", "20", "crads"),
        ("MINGPIAN_CARDS__PER_MERCHNT", "20", "cards.per_merchnt"),
    ] {
        for command in [&serve[..], &["check-config"], &["migrate"]] {
            let said = ends(&mingpian(command, &[(name, value)]), CONFIG, key);
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
    let here = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(
        here, 0,
        "nothing is made before the settings are known to be good"
    );
}

#[test]
fn a_listener_that_leaves_loopback_asks_for_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/a.db", dir.path().display());
    let keys = dir.path().join("keys.toml");
    let keys = keys.to_str().unwrap();
    let public = ("MINGPIAN_PUBLIC_URL", "https://card.example.com");
    let named = ("MINGPIAN_KEYS_FILE", keys);
    for (flag, environment, key) in [
        ("--grpc-listen", &[public, named][..], "auth.mode"),
        ("--grpc-listen", &[public], "keys_file"),
        ("--grpc-listen", &[named], "public_url"),
        ("--http-listen", &[public], "keys_file"),
        ("--admin-listen", &[public, named], "admin.token"),
        (
            "--http-listen",
            &[named, ("MINGPIAN_PUBLIC_URL", "http://card.example.com")],
            "public_url",
        ),
    ] {
        for address in ["0.0.0.0:0", "[::]:0", "10.1.2.3:0"] {
            let arguments = ["serve", "--store-url", &store, flag, address];
            ends(&mingpian(&arguments, environment), CONFIG, key);
        }
    }
    ends(
        &mingpian(
            &["serve", "--store-url", "postgres://u:hunter2@127.0.0.1/d"],
            &[],
        ),
        CONFIG,
        "keys_file",
    );
}

#[test]
fn a_named_file_of_keys_is_never_made_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/a.db", dir.path().display());
    let keys = dir.path().join("keys.toml");
    let environment = [("MINGPIAN_KEYS_FILE", keys.to_str().unwrap())];
    let serve = ["serve", "--store-url", &store];
    ends(&mingpian(&serve, &environment), CONFIG, "keys_file: ");
    let here = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(here, 0, "neither keys nor a database");

    mingpian::keys::add(&keys, [7; 64]).unwrap();
    fs::write(&keys, "active = 1\nindex = \"c2VjcmV0\"\nkeys = []\n").unwrap();
    let said = ends(&mingpian(&serve, &environment), CONFIG, "keys_file: ");
    assert!(!said.contains("c2VjcmV0"), "{said}");
}

#[test]
fn named_certificates_that_are_not_there_refuse_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/a.db", dir.path().display());
    let environment = [
        ("MINGPIAN_TLS__CERT_FILE", "/nowhere.pem"),
        ("MINGPIAN_TLS__KEY_FILE", "/nowhere.key"),
    ];
    let serve = ["serve", "--store-url", &store];
    ends(&mingpian(&serve, &environment), CONFIG, "tls: ");
    assert!(!dir.path().join("a.db").exists());
}

#[test]
fn keys_are_made_added_and_activated() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sub/keys.toml");
    let name = file.to_str().unwrap();
    for id in ["1\n", "2\n"] {
        let made = mingpian(&["keys", "new", "--file", name], &[]);
        assert_eq!((code(&made), text(&made.stdout).as_str()), (OK, id));
    }
    assert_eq!(KeyFile::read(&file).unwrap().active, 1);
    assert_eq!(mode(&file), 0o600);
    let activated = mingpian(&["keys", "activate", "--file", name, "2"], &[]);
    assert_eq!(code(&activated), OK);
    assert_eq!(KeyFile::read(&file).unwrap().active, 2);
    assert_eq!(mode(&file), 0o600);

    let unknown = mingpian(&["keys", "activate", "--file", name, "9"], &[]);
    ends(&unknown, CONFIG, "has no key 9");
    let missing = mingpian(&["keys", "activate", "--file", "/nowhere", "1"], &[]);
    ends(&missing, CONFIG, "/nowhere");
}

pub fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_settings_in_force_are_shown_without_secrets() {
    let shown = mingpian(
        &["check-config", "--http-listen", "127.0.0.1:8181"],
        &[
            (
                "MINGPIAN_STORE_URL",
                "postgres://ming:hunter2@db:5432/cards",
            ),
            ("MINGPIAN_KEYS_FILE", "/etc/keys.toml"),
            ("MINGPIAN_ADMIN__TOKEN", "hunter2-hunter2-hunter2"),
        ],
    );
    assert_eq!(code(&shown), OK, "{}", text(&shown.stderr));
    let said = text(&shown.stdout);
    assert!(said.contains("http_listen = \"127.0.0.1:8181\""), "{said}");
    assert!(said.contains("@db:5432/cards"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let table: toml::Table = said.parse().unwrap();
    assert!(table.contains_key("limits"));
}

#[test]
fn a_wrong_command_line_is_a_usage_error_and_help_is_none() {
    for wrong in [
        &["serve", "--grpc"][..],
        &["server"],
        &[],
        &["keys", "activate"],
    ] {
        assert_eq!(code(&mingpian(wrong, &[])), USAGE, "{wrong:?}");
    }
    for help in ["--help", "--version"] {
        assert_eq!(code(&mingpian(&[help], &[])), OK);
    }
}

#[test]
fn a_store_that_is_away_at_the_start_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.db");
    fs::write(
        &garbage,
        "this is not a database, and long enough to say so".repeat(99),
    )
    .unwrap();
    let keys = dir.path().join("keys.toml");
    mingpian::keys::add(&keys, [7; 64]).unwrap();
    let keys = [("MINGPIAN_KEYS_FILE", keys.to_str().unwrap())];
    for url in [
        "postgres://ming:hunter2@127.0.0.1:1/cards".to_owned(),
        format!("sqlite://{}", garbage.display()),
        "sqlite:///dev/null/a.db".to_owned(),
    ] {
        for command in ["serve", "migrate"] {
            let said = ends(
                &mingpian(&[command, "--store-url", &url], &keys),
                UNAVAILABLE,
                "store",
            );
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn a_taken_port_names_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}/a.db", dir.path().display());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["serve", "--store-url", &store, "--grpc-listen", &address];
    ends(&mingpian(&arguments, &[]), IO, "grpc_listen");
}

on_both_engines!(
    migrate_prepares_a_store_and_may_run_again,
    health_tells_how_a_server_is
);

async fn migrate_prepares_a_store_and_may_run_again(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    scratch.settings("");
    let file = path(&scratch, "settings.toml");
    for _ in 0..2 {
        let migrated = mingpian(&["migrate", "--config", &file], &[]);
        assert_eq!(code(&migrated), OK, "{}", text(&migrated.stderr));
    }
    let db = super::database(&scratch).await;
    assert_eq!(super::column(&db, "SELECT id FROM cards").await, [""; 0]);
    db.close().await.unwrap();
}

async fn health_tells_how_a_server_is(engine: Engine) {
    let scratch = Scratch::new(engine).await;
    let mut process = serve_on(&scratch, "");
    becomes(
        &channel(process.grpc).await,
        tonic_health::ServingStatus::Serving,
    )
    .await;
    let address = process.grpc.to_string();
    let ask = |service: &str| {
        let arguments = ["health", "--address", &address, "--service", service];
        let answer = mingpian(&arguments, &[]);
        (code(&answer), text(&answer.stdout))
    };
    for service in ["", "mingpian.v1.CardService", "mingpian.v1.LinkService"] {
        assert_eq!(ask(service), (OK, "SERVING\n".to_owned()), "{service}");
    }
    assert_eq!(ask("other"), (NOT_WELL, "SERVICE_UNKNOWN\n".to_owned()));
    process.kill();
    assert_eq!(ask(""), (NOT_WELL, "UNREACHABLE\n".to_owned()));
}
