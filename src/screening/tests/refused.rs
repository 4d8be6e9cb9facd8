use super::*;

const LISTS: &str = r#"
version = "1"
[lists.glue]
why = "needed"
terms = ["然后"]
"#;

/// `(what is added to a sound file, whom the refusal names, what it says)`.
const BROKEN: [(&str, &str, &str); 11] = [
    (
        "[lists.word]\nwhy = \"x\"\nterms = [\"\"]",
        "word",
        "empty pattern",
    ),
    (
        "[lists.word]\nwhy = \"x\"\nterms = []",
        "word",
        "empty pattern",
    ),
    (
        "[lists.word]\nwhy = \" \"\nterms = [\"a\"]",
        "word",
        "no why",
    ),
    (
        "[lists.word]\nwhy = \"x\"\nterms = [\"(a\"]",
        "word",
        "bad pattern",
    ),
    (
        "[lists.word]\nwhy = \"x\"\nterms = [\"。\"]",
        "word",
        "empty or too long",
    ),
    (
        "[lists.word]\nwhy = \"x\"\nterms = [\"a\"]\nfar = 49",
        "word",
        "wider than 48",
    ),
    ("RULE\nall = []", "odd", "one to four parts"),
    ("RULE\nall = [\"none\"]", "odd", "no list or shape"),
    (
        "RULE\nall = [\"glue\"]\nwithin = 49",
        "odd",
        "wider than 48",
    ),
    (
        "RULE\nall = [\"glue\"]\nRULE\nall = [\"glue\"]",
        "odd",
        "twice",
    ),
    (
        "RULE\nall = [\"glue\"]\nnone = [\"nobody\"]",
        "odd",
        "no list or shape",
    ),
];
const RULE: &str = "[[rules]]\nid = \"odd\"\nwhy = \"x\"\ncategory = \"QQ\"\nverdict = \"BLOCK\"";

fn refusal(added: &str) -> String {
    let file = format!("{LISTS}{}", added.replace("RULE", RULE));
    Rulebook::parse(&[("some.toml", &file)], &[])
        .unwrap_err()
        .to_string()
}

#[test]
fn a_broken_rulebook_is_refused_with_the_file_and_the_entry() {
    for (added, entry, problem) in BROKEN {
        let refusal = refusal(added);
        assert!(
            refusal.starts_with(&format!("some.toml: {entry}: ")),
            "{refusal}"
        );
        assert!(refusal.contains(problem), "{refusal}");
    }
}

#[test]
fn an_unknown_category_is_refused() {
    let rule = format!("{RULE}\nall = [\"glue\"]").replace("QQ", "ICQ");
    assert!(refusal(&rule).contains("ICQ"));
}

#[test]
fn other_rules_have_another_version() {
    let version = |text: &str| {
        let book = Rulebook::parse(&[("some.toml", text)], &[]).unwrap();
        book.version().to_owned()
    };
    let one = version(LISTS);
    assert!(one.starts_with("1-") && one.len() == 10, "{one}");
    assert_eq!(one, version(LISTS));
    assert_ne!(one, version(&LISTS.replace("然后", "接着")));
}

#[test]
fn a_rule_that_allows_is_refused() {
    let rule = format!("{RULE}\nall = [\"glue\"]").replace("BLOCK", "ALLOW");
    assert!(refusal(&rule).starts_with("some.toml: odd: "));
}
