use super::super::{Merchant, Micros, ViolationName, ViolationState};
use super::*;

const TABLE: &str = r#"
version = "t"
rules = [
    { id = "mild", points = 2, title_zh = "轻", title_en = "mild", why = "w" },
    { id = "grave", points = 8, block_items_days = 3, title_zh = "重", title_en = "grave", why = "w" },
]
ladder = [
    { balance = 9, sanctions = [{ kind = "WARNING" }] },
    { balance = 4, sanctions = [{ kind = "CARDS_SUSPENDED", days = 7 }, { kind = "STORE_FROZEN" }] },
]
"#;

fn violation(rule: &str, item_ids: &[&str]) -> Violation {
    let merchant = Merchant::from_id("klook").unwrap();
    Violation {
        no: 1,
        name: ViolationName::new(merchant, "v").unwrap(),
        rule: rule.to_owned(),
        points: 2,
        papers: String::new(),
        item_ids: item_ids.iter().map(ToString::to_string).collect(),
        event_time: Micros(0),
        reporter: String::new(),
        state: ViolationState::Reported,
        decision: None,
        charge: None,
        version: 1,
        create_time: Micros(0),
        update_time: Micros(0),
    }
}

fn kinds(table: &Conduct, violation: &Violation, balance: u8) -> Vec<SanctionKind> {
    let consequences = table.consequences(violation, balance).into_iter();
    consequences.map(|consequence| consequence.kind).collect()
}

#[test]
fn the_built_in_table_keeps_its_own_rules_and_costs_every_category_of_screening() {
    let table = Conduct::built_in();
    for category in [
        "wechat-id",
        "wecom",
        "group-invite",
        "phone",
        "qq",
        "other-im",
        "external-link",
        "qr-code",
        "solicit",
    ] {
        assert!(table.rule(category).is_some(), "{category}");
    }
    // Whatever a violation costs, something follows.
    for balance in 0..INITIAL {
        assert!(!kinds(&table, &violation("qq", &[]), balance).is_empty());
    }
}

#[test]
fn a_balance_takes_the_lowest_step_that_it_has_come_to() {
    use SanctionKind::{CardsSuspended, StoreFrozen, Warning};
    let table = Conduct::parse(TABLE).unwrap();
    let mild = violation("mild", &[]);
    for balance in 0..=INITIAL {
        let expected = match balance {
            0..=4 => vec![CardsSuspended, StoreFrozen],
            5..=9 => vec![Warning],
            _ => Vec::new(),
        };
        assert_eq!(kinds(&table, &mild, balance), expected, "{balance}");
    }
    let lasts: Vec<_> = table
        .consequences(&mild, 4)
        .iter()
        .map(|c| c.lasts)
        .collect();
    assert_eq!(lasts, [Some(DAY * 7), None]);
}

#[test]
fn products_are_left_out_everywhere_where_the_rule_says_so_and_there_are_any() {
    let table = Conduct::parse(TABLE).unwrap();
    let blocked = table.consequences(&violation("grave", &["p1", "p2"]), 12);
    let expected = Consequence {
        kind: SanctionKind::ItemsBlocked,
        item_ids: vec!["p1".to_owned(), "p2".to_owned()],
        channels: Channel::ALL.to_vec(),
        lasts: Some(DAY * 3),
    };
    assert_eq!(blocked, [expected]);
    assert_eq!(table.consequences(&violation("grave", &[]), 12), []);
    assert_eq!(table.consequences(&violation("mild", &["p1"]), 12), []);
    // Of a rule that the table has no more.
    assert_eq!(table.consequences(&violation("gone", &["p1"]), 12), []);
}

#[test]
fn a_broken_table_is_refused_and_told_what_is_wrong() {
    for (good, bad, words) in [
        (
            "version = \"t\"",
            "version = \"\"",
            "version: must not be empty",
        ),
        ("version = \"t\"", "", "missing field `version`"),
        (
            "version = \"t\"",
            "version = \"t\"\ncolour = 1",
            "line 3: unknown field `colour`",
        ),
        ("version = \"t\"", "version = ", "line 2: "),
        (
            "\"mild\", points",
            "\"Mild\", points",
            "rule Mild: the id must be",
        ),
        (
            "\"grave\", points",
            "\"mild\", points",
            "rule mild: comes twice",
        ),
        (
            "points = 2",
            "points = 0",
            "rule mild: points must be 1 to 12",
        ),
        (
            "points = 2",
            "points = 13",
            "rule mild: points must be 1 to 12",
        ),
        ("points = 2", "points = -1", "line 4: "),
        (
            "items_days = 3",
            "items_days = 3654",
            "rule grave: block_items_days must be",
        ),
        ("\"轻\"", "\"\"", "rule mild: title_zh, title_en and why"),
        (
            "why = \"w\" },\n    { id = \"grave\"",
            "why = \"\" },\n    { id = \"grave\"",
            "rule mild: title_zh, title_en and why",
        ),
        (
            "balance = 9",
            "balance = 12",
            "step 12: the balance must be 0 to 11",
        ),
        (
            "balance = 9",
            "balance = 4",
            "ladder: each step's balance must be less",
        ),
        (
            "balance = 4",
            "balance = 10",
            "ladder: each step's balance must be less",
        ),
        ("\"WARNING\"", "\"WARNINGS\"", "unknown variant `WARNINGS`"),
        (
            "\"WARNING\"",
            "\"ITEMS_BLOCKED\"",
            "step 9: which products, or how much",
        ),
        (
            "\"WARNING\"",
            "\"DAMAGES_DEDUCTED\"",
            "step 9: which products, or how much",
        ),
        ("days = 7 ", "days = 0 ", "step 4: days must be 1 to 3653"),
        (
            "days = 7 ",
            "days = 3654 ",
            "step 4: days must be 1 to 3653",
        ),
    ] {
        assert!(TABLE.contains(good), "{good}");
        let said = Conduct::parse(&TABLE.replacen(good, bad, 1)).unwrap_err();
        assert!(said.contains(words), "{bad}: {said}");
    }
    let (rules, ladder) = TABLE.split_once("ladder").unwrap();
    let no_ladder = Conduct::parse(&format!("{rules}ladder = []")).unwrap_err();
    assert_eq!(no_ladder, "ladder: must have a step");
    let no_rules = format!("version = \"t\"\nrules = []\nladder{ladder}");
    assert_eq!(
        Conduct::parse(&no_rules).unwrap_err(),
        "rules: must have a rule"
    );
}
