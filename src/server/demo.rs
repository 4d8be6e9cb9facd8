//! A sample merchant, a WeCom to tap at, and commands to paste.

mod traffic;
pub mod wecom;

use std::{fmt::Write as _, net::SocketAddr};

use crate::{
    app::{App, Call, Error, PlacementDraft, Principal, Result},
    domain::{
        AcquisitionLinkName, CardDraft, CardName, ContactDraft, ContactKind, DetailDraft, Merchant,
        Money, Phone, PlacementName, ProgramDraft, ProgramName, Reason, Refusal, SpendEntry,
        Surface, WechatId, Wecom, WecomTarget,
    },
    wecom::fake::Fake,
};

const MERCHANT: &str = "klook";
const NOTES: [&str; 2] = ["hongkong-3-days", "tokyo-food"];
const CONVERSATION: &str = "c-1001";
/// The README's; the demo's corp is open to both.
const OTHER_MERCHANT: &str = "harbor-tours";

/// `--demo` on a store that is no playground.
#[derive(Debug, thiserror::Error)]
#[error("--demo: the store holds other merchants' cards; give the demo a --store-url of its own")]
pub struct NotADemo;

/// Loads the sample into a store that holds nothing else, or held it before.
pub async fn load(app: &App, fake: &Fake) -> anyhow::Result<()> {
    let merchant = Merchant::from_id(MERCHANT).ok_or_else(|| Error::bug("demo merchant"))?;
    let sample = CardName::new(merchant.clone(), "main").map_err(Error::bug)?;
    let reads = app.store.reads();
    if reads.card(&sample).await?.is_none() && reads.others_have_cards(&merchant).await? {
        return Err(NotADemo.into());
    }
    Ok(make(app, fake, merchant).await?)
}

/// Makes what is not there yet, so that a demo may be started again on its own data.
async fn make(app: &App, fake: &Fake, merchant: Merchant) -> Result<()> {
    open_wechat_ids(app).await?;
    spend(app, &merchant).await?;
    let card = |id| CardName::new(merchant.clone(), id).map_err(Error::bug);
    let placement = |id| PlacementName::new(merchant.clone(), id).map_err(Error::bug);

    let other = Merchant::from_id(OTHER_MERCHANT).ok_or_else(|| Error::bug("demo merchant"))?;
    let link = wecom::load(app, fake, vec![merchant.clone(), other]).await?;
    let shop = vec![
        wecom_contact(&link),
        phone("400-800-1234")?,
        wechat("klook_demo88")?,
    ];
    card_once(
        app,
        card("main")?,
        "Klook 客路",
        "官方客服 9:00-21:00",
        shop,
    )
    .await?;
    let guide = vec![wecom_contact(&link), phone("138 0013 8000")?];
    card_once(
        app,
        card("guide")?,
        "Klook 旅行顾问",
        "一对一行程定制",
        guide,
    )
    .await?;

    let menu = Surface::ChatMenu { position: 1 };
    placement_once(app, placement("menu")?, card("main")?, menu).await?;
    for (i, note) in NOTES.iter().enumerate() {
        let name = placement(["note-1", "note-2"][i])?;
        let note = (*note).to_owned();
        placement_once(app, name, card("guide")?, Surface::NoteCapsule { note }).await?;
    }
    let conversation = CONVERSATION.to_owned();
    let message = Surface::CardMessage { conversation };
    placement_once(app, placement("message-1")?, card("main")?, message).await?;
    traffic::load(app, &merchant).await
}

/// The demo's program opens every kind of contact; once, so that what somebody changed since
/// stays.
async fn open_wechat_ids(app: &App) -> Result<()> {
    let name = ProgramName::new("default").map_err(Error::bug)?;
    let program = app.program(&name).await?;
    if program.version > 1 {
        return Ok(());
    }
    let draft = ProgramDraft {
        kinds: Some(ContactKind::ALL.to_vec()),
        ..ProgramDraft::default()
    };
    app.update_program(&call(), &name, "", draft).await?;
    Ok(())
}

/// 60 CNY on each of the last 30 days: enough to open cards.
async fn spend(app: &App, merchant: &Merchant) -> Result<()> {
    let today = app.today();
    let entries: Vec<_> = (1..=30)
        .map(|ago| SpendEntry {
            merchant: merchant.clone(),
            day: today - ago,
            source: "juguang".to_owned(),
            amount: Money(6_000),
        })
        .collect();
    let mut import = app.import_spend("demo").await?;
    import.chunk(&entries, 0).await?;
    Ok(import.finish(&[]).await?)
}

async fn card_once(
    app: &App,
    name: CardName,
    display_name: &str,
    headline: &str,
    contacts: Vec<ContactDraft>,
) -> Result<()> {
    let draft = CardDraft {
        display_name: display_name.to_owned(),
        headline: headline.to_owned(),
        avatar_uri: String::new(),
        contacts,
    };
    there_is_one(app.create_card(&call(), name, draft).await)
}

async fn placement_once(
    app: &App,
    name: PlacementName,
    card: CardName,
    surface: Surface,
) -> Result<()> {
    let draft = PlacementDraft {
        card,
        kinds: Vec::new(),
        surface,
        start_time: None,
        end_time: None,
    };
    there_is_one(app.create_placement(&call(), name, draft).await)
}

/// What somebody made, changed or withdrew since the first start stays as it is.
fn there_is_one<T>(made: Result<T>) -> Result<()> {
    use Reason::{
        AcquisitionLinkExists, CardExists, CardNotActive, CardNotFound, CorpExists,
        PlacementExists, SlotTaken,
    };
    match made {
        Err(Error::Refused(Refusal {
            reason:
                AcquisitionLinkExists
                | CardExists
                | CardNotActive
                | CardNotFound
                | CorpExists
                | PlacementExists
                | SlotTaken,
            ..
        })) => Ok(()),
        made => made.map(drop),
    }
}

fn call() -> Call {
    Call {
        principal: Principal::anonymous().into(),
        request: None,
        dry_run: false,
        until: None,
    }
}

fn wecom_contact(link: &AcquisitionLinkName) -> ContactDraft {
    contact(DetailDraft::Wecom(Wecom {
        corp: Some(link.corp.clone()),
        target: WecomTarget::Link(link.clone()),
        fallback: None,
    }))
}

fn phone(number: &str) -> Result<ContactDraft> {
    let phone = Phone::parse(number).map_err(Error::bug)?;
    Ok(contact(DetailDraft::Phone(Some(phone))))
}

fn wechat(id: &str) -> Result<ContactDraft> {
    let id = WechatId::parse(id).map_err(Error::bug)?;
    Ok(contact(DetailDraft::WechatId(Some(id))))
}

fn contact(detail: DetailDraft) -> ContactDraft {
    ContactDraft {
        label: String::new(),
        detail,
    }
}

/// The story so far, line by line.
pub fn commands(grpc: SocketAddr, fake: SocketAddr) -> String {
    let mut text = format!(
        "\nThe sample merchant merchants/{MERCHANT} has two cards, in the chat menu, on two notes \
         and in a conversation.\nTry, in another terminal:\n"
    );
    let viewer = r#""viewer":{"viewer_id":"v-1","platform":"IOS"}"#;
    let notes = NOTES.map(|n| format!("\"notes/{n}\"")).join(",");
    let calls = [
        (
            "CardService/ListCards",
            format!(r#"{{"parent":"merchants/{MERCHANT}"}}"#),
        ),
        (
            "ServingService/GetChatMenu",
            format!(r#"{{"merchant":"merchants/{MERCHANT}",{viewer}}}"#),
        ),
        (
            "ServingService/BatchGetNoteCapsules",
            format!(r#"{{"notes":[{notes},"notes/none"],{viewer}}}"#),
        ),
        (
            "ServingService/GetCardMessage",
            format!(r#"{{"placement":"merchants/{MERCHANT}/placements/message-1",{viewer}}}"#),
        ),
        (
            "EligibilityService/GetEligibility",
            format!(r#"{{"name":"merchants/{MERCHANT}/eligibility"}}"#),
        ),
        (
            "ServingService/ExplainServing",
            format!(r#"{{"merchant":"merchants/{MERCHANT}"}}"#),
        ),
        (
            "MeasurementService/GetExperimentReport",
            format!(r#"{{"name":"merchants/{MERCHANT}/experiments/autumn"}}"#),
        ),
        (
            "ServingService/OpenCard",
            format!(
                r#"{{"tap_token":"TAP_TOKEN_OF_AN_ITEM",{viewer},"environment":{{"container":"NATIVE_APP"}}}}"#
            ),
        ),
    ];
    for (method, body) in calls {
        let _ = writeln!(
            text,
            "  grpcurl -plaintext -d '{body}' {grpc} mingpian.v1.{method}"
        );
    }
    let _ = write!(
        text,
        "and open an item's open_uri in a browser.\n\nThe demo's WeCom is a fake one, on \
         http://{fake}: let a user tap the link of a launch plan, then see the add arrive:\n  \
         curl -s http://{fake}/fake/taps --json '{{\"uri\":\"LINK\",\"user\":\"lily\"}}'\n  \
         grpcurl -plaintext -d '{{\"parent\":\"merchants/{MERCHANT}\"}}' {grpc} \
         mingpian.v1.WecomService/ListContactEvents\n"
    );
    text
}
