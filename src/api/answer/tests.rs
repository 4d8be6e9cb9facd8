use prost::Message;
use smallvec::SmallVec;

use super::*;
use crate::{
    app::Validity,
    domain::{Merchant, Micros, PlacementName},
    serving::Known,
};

const TOKENS: [Token; 2] = [[b'a'; 64], [b'b'; 64]];

fn writer() -> Writer<'static> {
    Writer::new(Lang::En, "https://card.example.com/t/")
}

fn served<T>(what: T) -> Served<T> {
    Served {
        what,
        tokens: TOKENS.into(),
        validity: Validity {
            until: UNTIL,
            stale: false,
        },
    }
}

const UNTIL: Micros = Micros(1_800_000_000_000_000);

fn entry(kind: ContactKind, label: &str, bytes: &mut Vec<u8>) -> Entry {
    let merchant = Merchant::from_id("klook").unwrap();
    let item = Item {
        placement: &PlacementName::new(merchant, "menu").unwrap(),
        kind,
        label,
        preview: "138****1234",
        display_name: "Harbor Tours 港湾",
        headline: &"长".repeat(120),
        avatar_uri: "",
    };
    compile(&item, bytes);
    Entry {
        placement_no: 7,
        kind,
        labeled: !label.is_empty(),
        end: u32::try_from(bytes.len()).unwrap(),
    }
}

fn kept(items: &[(ContactKind, &str)]) -> Kept<Snapshot> {
    let mut bytes = Vec::new();
    let entries = items
        .iter()
        .map(|(kind, label)| entry(*kind, label, &mut bytes));
    let snapshot = Snapshot {
        entries: entries.collect(),
        bytes: bytes.into(),
        absence: None,
        split: None,
        content: [0; 8],
    };
    let known = Known {
        value: snapshot,
        then: 0,
        at: Micros(0),
        marks: SmallVec::new(),
        until: None,
    };
    known.into()
}

fn item(kind: pb::contact::Kind, label: &str, icon: &str, token: char) -> pb::Item {
    let token = token.to_string().repeat(64);
    pb::Item {
        placement: "merchants/klook/placements/menu".to_owned(),
        kind: kind.into(),
        label: label.to_owned(),
        preview: "138****1234".to_owned(),
        icon: icon.to_owned(),
        open_uri: format!("https://card.example.com/t/{token}"),
        tap_token: token,
        display_name: "Harbor Tours 港湾".to_owned(),
        headline: "长".repeat(120),
        avatar_uri: String::new(),
    }
}

fn items() -> (Shown<Kept<Snapshot>>, Vec<pb::Item>) {
    use pb::contact::Kind;
    let both = [(ContactKind::Wecom, ""), (ContactKind::Phone, "Ring")];
    let shown = Shown::Items(kept(&both), None);
    let items = vec![
        item(Kind::Wecom, "Add on WeCom", "wecom", 'a'),
        item(Kind::Phone, "Ring", "phone", 'b'),
    ];
    (shown, items)
}

fn menu(shown: Option<Shown<Kept<Snapshot>>>) -> pb::GetChatMenuResponse {
    let menu = Menu {
        shown,
        version: "v".to_owned(),
    };
    let bytes = writer().menu(served(menu)).encode_to_vec();
    pb::GetChatMenuResponse::decode(&*bytes).unwrap()
}

#[test]
fn a_menu_reads_back_as_the_message_it_stands_for() {
    let (shown, items) = items();
    let whole = pb::GetChatMenuResponse {
        items,
        absence: None,
        valid_until: Some(timestamp(UNTIL)),
        version: "v".to_owned(),
        not_modified: false,
    };
    assert_eq!(menu(Some(shown)), whole);
    let held_out = pb::GetChatMenuResponse {
        items: Vec::new(),
        absence: Some(absence(Reason::HeldOut)),
        ..whole.clone()
    };
    assert_eq!(menu(Some(Shown::Absent(Reason::HeldOut))), held_out);
    let unmodified = pb::GetChatMenuResponse {
        items: Vec::new(),
        not_modified: true,
        ..whole
    };
    assert_eq!(menu(None), unmodified);
}

#[test]
fn capsules_read_back_as_the_messages_they_stand_for() {
    use pb::note_capsule_result::Outcome;
    let (shown, items) = items();
    let shown = served(vec![Shown::Absent(Reason::ProgramPaused), shown]);
    let notes = ["notes/none", "notes/a"];
    let bytes = writer().capsules(notes, &shown).encode_to_vec();
    let result = |note: &str, outcome| pb::NoteCapsuleResult {
        note: note.to_owned(),
        outcome: Some(outcome),
    };
    let expected = pb::BatchGetNoteCapsulesResponse {
        results: vec![
            result(notes[0], Outcome::Absence(absence(Reason::ProgramPaused))),
            result(notes[1], Outcome::Item(items[0].clone())),
        ],
        valid_until: Some(timestamp(UNTIL)),
    };
    let read = pb::BatchGetNoteCapsulesResponse::decode(&*bytes).unwrap();
    assert_eq!(read, expected);
}

#[test]
fn an_item_alone_is_the_same_message() {
    let mut bytes = Vec::new();
    let entry = entry(ContactKind::WechatId, "", &mut bytes);
    let read = writer().message((&entry, &bytes), &TOKENS[0]).unwrap();
    let label = Lang::En.label(ContactKind::WechatId);
    assert_eq!(
        read,
        item(pb::contact::Kind::WechatId, label, "wechat", 'a')
    );
}
