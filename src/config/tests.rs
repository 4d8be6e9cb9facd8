use std::{collections::HashMap, io::Write};

use super::*;

fn with(environment: &[(&str, &str)]) -> Result<Settings, Error> {
    let environment: HashMap<_, _> = environment
        .iter()
        .map(|(k, v)| (format!("MINGPIAN_{k}"), (*v).to_owned()))
        .collect();
    load::load_with(&Flags::default(), environment)
}

#[track_caller]
fn refused(environment: &[(&str, &str)]) -> String {
    with(environment).expect_err("must be refused").to_string()
}

fn keys(table: &toml::Table) -> Vec<String> {
    let inner = |key: &str, value: &toml::Value| match value.as_table() {
        Some(table) => table.keys().map(|k| format!("{key}.{k}")).collect(),
        None => vec![key.to_owned()],
    };
    table.iter().flat_map(|(k, v)| inner(k, v)).collect()
}

#[test]
fn the_manual_and_the_struct_have_the_same_keys() {
    let manual: toml::Table = DEFAULTS.parse().unwrap();
    let settings = toml::Table::try_from(Settings::default()).unwrap();
    assert_eq!(keys(&manual), keys(&settings));
    // Not one of the keys is optional: without its line in the manual the struct is incomplete.
    for line in DEFAULTS
        .lines()
        .filter(|l| l.contains(" = ") && !l.starts_with('#'))
    {
        let rest: toml::Table = DEFAULTS
            .replacen(&format!("\n{line}\n"), "\n\n", 1)
            .parse()
            .unwrap();
        assert!(rest.try_into::<Settings>().is_err(), "{line}");
    }
}

#[test]
fn unknown_keys_are_refused_by_name_and_source() {
    for (variable, expected) in [
        ("COLOR", "color: no such key"),
        ("COLOR__RED", "color: no such key"),
        ("LIMITS__COLOR", "limits.color: no such key"),
        ("PUBLIC_URL__COLOR", "public_url: is a value"),
        ("ADMIN", "admin: is a section"),
    ] {
        let text = refused(&[(variable, "hunter2")]);
        assert!(text.starts_with(&format!("settings: {expected}")), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(refused(&[("LIMITS__COLOR", "7")]).ends_with("(from the environment)"));
    // The struct says no by itself.
    let mut table: toml::Table = DEFAULTS.parse().unwrap();
    table.insert("color".to_owned(), "red".into());
    assert!(table.try_into::<Settings>().is_err());
}

#[test]
fn layers_outrank_one_another() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        file,
        "http_listen = '127.0.0.1:1'\ngrpc_listen = '127.0.0.1:1'\nadmin_listen = '127.0.0.1:1'"
    )
    .unwrap();
    let environment = [
        ("GRPC_LISTEN", "127.0.0.1:2"),
        ("ADMIN_LISTEN", "127.0.0.1:2"),
    ]
    .map(|(k, v)| (format!("MINGPIAN_{k}"), v.to_owned()));
    let flags = Flags {
        config: Some(file.path().to_owned()),
        admin_listen: Some("127.0.0.1:3".to_owned()),
        ..Flags::default()
    };
    let settings = load::load_with(&flags, environment.into()).unwrap();
    let ports = [
        settings.http_listen,
        settings.grpc_listen,
        settings.admin_listen,
    ];
    assert_eq!(ports.map(|a| a.port()), [1, 2, 3]);
    assert_eq!(settings.limits.concurrency(), 512);
}

#[test]
fn a_refusal_names_key_and_source() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[limits]\nconcurrency = 0").unwrap();
    let flags = Flags {
        config: Some(file.path().to_owned()),
        ..Flags::default()
    };
    let text = load::load_with(&flags, HashMap::new())
        .unwrap_err()
        .to_string();
    assert!(text.contains("limits.concurrency"), "{text}");
    assert!(
        text.contains(file.path().file_name().unwrap().to_str().unwrap()),
        "{text}"
    );

    let text = refused(&[("AUTH__MODE", "jwt"), ("AUTH__ISSUER", "i")]);
    assert!(text.contains("auth.audience"), "{text}");
    let text = refused(&[("LOG__FORMAT", "xml")]);
    assert_eq!(
        text,
        "settings: log.format: unknown variant `xml`, expected `text` or `json` (from the environment)"
    );
}

#[test]
fn a_broken_file_is_named_by_line_and_not_quoted() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[admin]\ntoken = \"hunter2").unwrap();
    let flags = Flags {
        config: Some(file.path().to_owned()),
        ..Flags::default()
    };
    let text = load::load_with(&flags, HashMap::new())
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("line 2") && !text.contains("hunter2"),
        "{text}"
    );
}

#[test]
fn numbers_are_whole_and_within_bounds() {
    for bad in ["0", "-1", "1.5", "yes", "", "100001"] {
        let text = refused(&[("LIMITS__CONCURRENCY", bad)]);
        assert!(text.contains("limits.concurrency"), "{bad}: {text}");
    }
    let settings = with(&[("LIMITS__CONCURRENCY", "7")]).unwrap();
    assert_eq!(settings.limits.concurrency(), 7);
    assert_eq!(settings.requests.keep().as_secs(), 604_800);
}

const PUBLIC: &[(&str, &str)] = &[
    ("GRPC_LISTEN", "0.0.0.0:50051"),
    ("PUBLIC_URL", "https://card.example.com/c/"),
    ("KEYS_FILE", "/etc/mingpian/keys.toml"),
    ("AUTH__MODE", "jwt"),
    ("AUTH__ISSUER", "https://id.example.com"),
    ("AUTH__AUDIENCE", "mingpian"),
    ("AUTH__JWKS_URL", "https://id.example.com/jwks"),
];

#[test]
fn off_loopback_everything_must_be_said() {
    let settings = with(PUBLIC).unwrap();
    let bound = settings.http_listen;
    assert_eq!(settings.public_url(bound), "https://card.example.com/c");
    assert!(!settings.reflection());
    for (left_out, key) in [
        ("PUBLIC_URL", "public_url"),
        ("KEYS_FILE", "keys_file"),
        ("AUTH__MODE", "auth.mode"),
        ("AUTH__ISSUER", "auth.issuer"),
        ("AUTH__AUDIENCE", "auth.audience"),
        ("AUTH__JWKS_URL", "auth.jwks_url"),
    ] {
        let rest: Vec<_> = PUBLIC
            .iter()
            .copied()
            .filter(|(k, _)| *k != left_out)
            .collect();
        let text = refused(&rest);
        assert!(text.starts_with(&format!("settings: {key}: ")), "{text}");
    }
}

#[test]
fn every_rule_names_its_key() {
    for (key, environment) in [
        ("grpc_listen", &[("GRPC_LISTEN", "localhost:1")] as &[_]),
        ("store_url", &[("STORE_URL", "mysql://u:hunter2@h/d")]),
        ("store_url_file", &[("STORE_URL_FILE", "/nonexistent")]),
        ("keys_file", &[("STORE_URL", "postgres://u:hunter2@h/d")]),
        (
            "keys_file",
            &[("HTTP_LISTEN", "[::]:80"), ("PUBLIC_URL", "https://a")],
        ),
        ("public_url", &[("PUBLIC_URL", "ftp://a")]),
        ("spend.sources", &[("SPEND__SOURCES", "juguang,Q")]),
        (
            "compliance.conduct",
            &[("COMPLIANCE__CONDUCT", "/nonexistent")],
        ),
        (
            "compliance.decide_days",
            &[("COMPLIANCE__DECIDE_DAYS", "0")],
        ),
        ("public_url", &[("PUBLIC_URL", "card.example.com")]),
        ("public_url", &[("PUBLIC_URL", "http://card.example.com")]),
        ("public_url", &[("PUBLIC_URL", "http://10.1.2.3:8080")]),
        (
            "public_url",
            &[("PUBLIC_URL", "http://localhost.example.com")],
        ),
        ("public_url", &[("PUBLIC_URL", "https://u:hunter2@a")]),
        ("public_url", &[("PUBLIC_URL", "https://a/?q")]),
        (
            "public_url",
            &[("HTTP_LISTEN", "0.0.0.0:80"), ("PUBLIC_URL", "http://a")],
        ),
        ("reflection", &[("REFLECTION", "maybe")]),
        (
            "auth.jwks_file",
            &[
                ("AUTH__JWKS_FILE", "f"),
                ("AUTH__JWKS_URL", "https://a"),
                ("AUTH__MODE", "jwt"),
                ("AUTH__ISSUER", "i"),
                ("AUTH__AUDIENCE", "a"),
            ],
        ),
        (
            "auth.jwks_url",
            &[
                ("AUTH__JWKS_URL", "http://id.example.com"),
                ("AUTH__MODE", "jwt"),
                ("AUTH__ISSUER", "i"),
                ("AUTH__AUDIENCE", "a"),
            ],
        ),
        ("tls.key_file", &[("TLS__CERT_FILE", "c")]),
        ("tls.cert_file", &[("TLS__KEY_FILE", "k")]),
        ("tls.client_ca_file", &[("TLS__CLIENT_CA_FILE", "c")]),
        (
            "admin.token",
            &[
                ("ADMIN_LISTEN", "0.0.0.0:9090"),
                ("PUBLIC_URL", "https://a"),
                ("KEYS_FILE", "k"),
            ],
        ),
        ("admin.token", &[("ADMIN__TOKEN", "hunter2")]),
        ("admin.token_file", &[("ADMIN__TOKEN_FILE", "/nonexistent")]),
        ("log.filter", &[("LOG__FILTER", "info,=x=")]),
        (
            "telemetry.otlp_endpoint",
            &[("TELEMETRY__OTLP_ENDPOINT", "collector:4317")],
        ),
        (
            "telemetry.otlp_endpoint",
            &[("TELEMETRY__OTLP_ENDPOINT", "http://u:hunter2@collector")],
        ),
        (
            "auth.jwks_url",
            &[("AUTH__JWKS_URL", "https://u:hunter2@issuer")],
        ),
        (
            "serving.max_age_seconds",
            &[("SERVING__MAX_AGE_SECONDS", "0")],
        ),
        (
            "wecom.base_url",
            &[("WECOM__BASE_URL", "http://qyapi.weixin.qq.com")],
        ),
        ("wecom.base_url", &[("WECOM__BASE_URL", "http://10.1.2.3")]),
        ("wecom.base_url", &[("WECOM__BASE_URL", "https://a/b")]),
        (
            "wecom.base_url",
            &[("WECOM__BASE_URL", "https://u:hunter2@a")],
        ),
        (
            "wecom.demo_listen",
            &[("WECOM__DEMO_LISTEN", "0.0.0.0:8081")],
        ),
    ] {
        let text = refused(environment);
        assert!(
            text.starts_with(&format!("settings: {key}: ")),
            "{key}: {text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn secrets_come_from_files_and_are_never_printed() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "postgres://u:hunter2@h/d").unwrap();
    let settings = with(&[
        ("STORE_URL_FILE", file.path().to_str().unwrap()),
        ("KEYS_FILE", "k"),
        ("ADMIN__TOKEN", "hunter2hunter2hunter2"),
    ])
    .unwrap();
    assert_eq!(
        settings.store_url().expose_secret(),
        "postgres://u:hunter2@h/d"
    );
    let printed = toml::to_string(&settings).unwrap() + &format!("{settings:?}");
    assert!(!printed.contains("hunter2"), "{printed}");
}

#[test]
fn keys_lie_beside_the_sqlite_database() {
    let settings = Settings::default();
    assert_eq!(
        settings.keys_path(),
        Path::new("mingpian-data/mingpian-keys.toml")
    );
    let settings = with(&[("KEYS_FILE", "k")]).unwrap();
    assert_eq!(settings.keys_path(), Path::new("k"));
}

#[test]
fn a_public_url_without_tls_leads_to_this_machine_alone() {
    for host in ["localhost", "127.0.0.1:8080", "127.9.9.9", "[::1]:80"] {
        let url = format!("http://{host}/c");
        let settings = with(&[("PUBLIC_URL", &url)]).unwrap();
        assert_eq!(settings.public_url(settings.http_listen), url);
    }
}

#[test]
fn tokens_travel_in_clear_where_neither_loopback_nor_tls_protects_them() {
    let in_clear =
        |more: &[(&str, &str)]| with(&[PUBLIC, more].concat()).unwrap().tokens_in_clear();
    assert!(in_clear(&[]));
    assert!(!in_clear(&[("GRPC_LISTEN", "127.0.0.1:1")]));
    assert!(!in_clear(&[
        ("TLS__CERT_FILE", "c"),
        ("TLS__KEY_FILE", "k")
    ]));
    assert!(!Settings::default().tokens_in_clear());
}

#[test]
fn sources_are_a_list_in_files_and_words_in_the_environment() {
    let of = |text: &str| with(&[("SPEND__SOURCES", text)]).unwrap().spend.calendar();
    let both = of("juguang, qianfan").sources;
    assert!(both.admit("juguang") && both.admit("qianfan") && !both.admit("juguan"));
    assert!(of("").sources.admit("juguan"));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "[spend]\nsources = ['juguang', 'qianfan']").unwrap();
    let flags = Flags {
        config: Some(file.path().to_owned()),
        ..Flags::default()
    };
    let settings = load::load_with(&flags, HashMap::new()).unwrap();
    assert_eq!(settings.spend.calendar().sources, both);
}

#[test]
fn a_conduct_table_is_read_at_once_and_a_broken_one_named_with_its_rule() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let table = |points| {
        format!(
            "version = 'own'\nladder = [{{ balance = 0, sanctions = [] }}]\n[[rules]]\n\
             id = 'spam'\npoints = {points}\ntitle_zh = 'a'\ntitle_en = 'a'\nwhy = 'a'\n"
        )
    };
    file.write_all(table(12).as_bytes()).unwrap();
    let named = [("COMPLIANCE__CONDUCT", file.path().to_str().unwrap())];
    let settings = with(&named).unwrap();
    assert_eq!(settings.compliance.conduct().version, "own");
    assert_eq!(
        settings.compliance.conduct().rule("spam").unwrap().points,
        12
    );
    let printed = toml::to_string(&settings).unwrap();
    assert!(printed.contains("points_return_days = 365") && !printed.contains("spam"));
    fs::write(file.path(), table(13)).unwrap();
    let said = refused(&named);
    assert!(
        said.contains("compliance.conduct: rule spam: points"),
        "{said}"
    );
    fs::write(file.path(), vec![b' '; 1024 * 1024 + 1]).unwrap();
    assert!(refused(&named).contains("at most 1048576 bytes"));
    assert_eq!(with(&[]).unwrap().compliance.conduct().version, "1");
}

#[test]
fn roles_are_words_of_a_list() {
    let settings = Settings::default();
    for role in [
        Role::Serve,
        Role::Intake,
        Role::Rollup,
        Role::Publish,
        Role::Jobs,
    ] {
        assert!(settings.roles.has(role), "{role:?}");
    }
    let settings = with(&[("ROLES", "intake, rollup")]).unwrap();
    assert!(settings.roles.has(Role::Rollup) && !settings.roles.has(Role::Serve));
    let text = refused(&[("ROLES", "intake,cook")]);
    assert!(text.contains("roles: unknown variant `cook`"), "{text}");
    let text = refused(&[("ROLES", "")]);
    assert!(text.contains("must name a role"), "{text}");
}

#[test]
fn where_nats_is_comes_from_a_file_too_and_is_not_printed_whole() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "nats://me:hunter2@nats:4222").unwrap();
    let path = file.path().to_str().unwrap();
    let settings = with(&[("EVENTS_URL_FILE", path)]).unwrap();
    assert!(settings.events_url().is_some());
    let printed = toml::to_string(&settings).unwrap();
    assert!(printed.contains("nats://redacted@nats:4222"), "{printed}");
    assert!(Settings::default().events_url().is_none());
    let text = refused(&[("EVENTS_URL", "http://hunter2")]);
    assert!(
        text.contains("events_url") && !text.contains("hunter2"),
        "{text}"
    );
    for (key, bad) in [
        ("STREAM", "a.b"),
        ("SUBJECT_PREFIX", "a.*"),
        ("KEEP_DAYS", "0"),
    ] {
        let text = refused(&[(&format!("EVENTS__{key}"), bad)]);
        assert!(
            text.contains(&format!("events.{}", key.to_lowercase())),
            "{text}"
        );
    }
}
