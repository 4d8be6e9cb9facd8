//! `ScreenContent`: whose text it is, pictures, cards' own texts, limits.

use mingpian::api::pb::{
    self,
    compliance_service_client::ComplianceServiceClient,
    get_card_message_response::Outcome,
    screened_item::{Content, Place},
    screening_finding::Category,
    screening_result::Verdict,
};
use tonic::{Code, Status, transport::Channel};

use super::{Api, refused};
use crate::support::{Engine, get_menu, in_menu};

/// The product's own rules: other tests go by a few, which are sooner read.
const BUILT_IN: &str = "[screening]\nrules = \"\"\n";

struct Screen {
    api: Api,
    client: ComplianceServiceClient<Channel>,
}

fn text(text: impl Into<String>, merchant: &str) -> pb::ScreenedItem {
    pb::ScreenedItem {
        content: Some(Content::Text(text.into())),
        place: Place::Message.into(),
        merchant: merchant.into(),
        ..Default::default()
    }
}

fn image(bytes: Vec<u8>) -> pb::ScreenedItem {
    pb::ScreenedItem {
        content: Some(Content::Image(bytes)),
        place: Place::Note.into(),
        ..Default::default()
    }
}

/// A PNG that shows this as a QR code.
fn code(content: &str) -> Vec<u8> {
    let code = qrcode::QrCode::new(content).unwrap();
    let (width, colors) = (code.width(), code.to_colors());
    let (scale, quiet) = (6, 4);
    let side = u32::try_from((width + 2 * quiet) * scale).unwrap();
    let dark = |x: u32, y: u32| {
        let at = |n: u32| {
            (n as usize / scale)
                .checked_sub(quiet)
                .filter(|n| *n < width)
        };
        let module = at(x).zip(at(y)).map(|(x, y)| colors[y * width + x]);
        module == Some(qrcode::Color::Dark)
    };
    let picture = image::GrayImage::from_fn(side, side, |x, y| {
        image::Luma([if dark(x, y) { 0 } else { 255 }])
    });
    let mut png = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut png, image::ImageFormat::Png).unwrap();
    png.into_inner()
}

impl Screen {
    /// The card `main` of klook, in its menu.
    async fn start() -> Self {
        let mut api = Api::start_with(Engine::Sqlite, BUILT_IN).await;
        api.create("main").await.unwrap();
        api.place("menu", in_menu(1)).await.unwrap();
        Self {
            client: ComplianceServiceClient::new(api.server.channel().await),
            api,
        }
    }

    async fn ask(
        &mut self,
        items: Vec<pb::ScreenedItem>,
    ) -> Result<Vec<pb::ScreeningResult>, Status> {
        let request = pb::ScreenContentRequest { items };
        let answer = self.client.screen_content(request).await?.into_inner();
        assert!(!answer.rules_version.is_empty());
        Ok(answer.results)
    }

    async fn verdicts(&mut self, items: Vec<pb::ScreenedItem>) -> Vec<Verdict> {
        let results = self.ask(items).await.unwrap();
        results.iter().map(pb::ScreeningResult::verdict).collect()
    }

    /// A token that klook's menu shows, and its address.
    async fn token(&mut self) -> (String, String) {
        let menu = self.api.serving.get_chat_menu(get_menu("klook")).await;
        let item = menu.unwrap().into_inner().items.remove(0);
        (item.tap_token, item.open_uri)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn diversion_is_found_where_it_stands_and_ordinary_talk_is_left_alone() {
    let mut screen = Screen::start().await;
    let results = screen
        .ask(vec![
            text("你好，加我薇信 klook_lily88 聊", ""),
            text("周末的票还有吗？两大一小多少钱", ""),
        ])
        .await
        .unwrap();
    assert_eq!(results[0].verdict(), Verdict::Block);
    let finding = &results[0].findings[0];
    assert_eq!(finding.category(), Category::WechatId);
    assert!(!finding.rule.is_empty() && finding.points > 0);
    assert!(
        (0..8).contains(&finding.start) && finding.end <= 20,
        "{finding:?}"
    );
    assert_eq!(
        results[1],
        pb::ScreeningResult {
            verdict: Verdict::Allow.into(),
            findings: vec![],
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_card_is_judged_by_whose_it_is() {
    let mut screen = Screen::start().await;
    let (token, uri) = screen.token().await;
    for said in [token.clone(), uri.clone(), format!("点这里看看 {uri}。")] {
        let items = ["merchants/klook", "", "merchants/other"].map(|whose| text(&said, whose));
        let verdicts = screen.verdicts(items.to_vec()).await;
        assert_eq!(
            verdicts,
            [Verdict::Allow, Verdict::Review, Verdict::Block],
            "{said}"
        );
    }
    let codes = ["merchants/klook", "", "merchants/other"].map(|merchant| pb::ScreenedItem {
        merchant: merchant.into(),
        ..image(code(&uri))
    });
    let verdicts = screen.verdicts(codes.to_vec()).await;
    assert_eq!(verdicts, [Verdict::Allow, Verdict::Review, Verdict::Block]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tap_leads_to_is_judged_like_the_card() {
    let mut screen = Screen::start().await;
    let (token, _) = screen.token().await;
    let plan = screen.api.tap(&token).await.unwrap();
    let uris: Vec<_> = plan.steps.into_iter().map(|step| step.uri).collect();
    assert!(uris.len() == 2 && uris[0].starts_with("weixin://biz/ww/profile/https%3A%2F%2F"));
    for uri in &uris {
        for said in [uri.clone(), format!("点这里看看 {uri}。")] {
            let items = ["merchants/klook", "", "merchants/other"].map(|m| text(&said, m));
            let verdicts = screen.verdicts(items.to_vec()).await;
            let expected = [Verdict::Allow, Verdict::Review, Verdict::Block];
            assert_eq!(verdicts, expected, "{said}");
        }
    }
    // Only as it is made for this card, whole and alone.
    let scheme = &uris[0];
    for said in [
        scheme.replacen("%2Fca%2F", "%2Fca%2Fx", 1),
        scheme.replacen("profile", "profiles", 1),
        format!("{scheme}%26u%3Dhttps%3A%2F%2Fevil.example.com"),
        format!("{scheme} 或者加薇信 klook_lily88"),
    ] {
        let verdicts = screen.verdicts(vec![text(&said, "merchants/klook")]).await;
        assert_eq!(verdicts, [Verdict::Block], "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_hides_no_other_address_and_no_other_words() {
    let mut screen = Screen::start().await;
    let (token, uri) = screen.token().await;
    for said in [
        format!("https://evil.example.com/?x={token}"),
        format!("https://work.weixin.qq.com/ca/cawcdea7783d7330c7?customer_channel={token}"),
        "https://work.weixin.qq.com/ca/cawcdea7783d7330c6".to_owned(),
        format!("{uri} 或者加薇信 klook_lily88"),
        format!("{uri}?u=https://evil.example.com"),
        format!(
            "https://evil.example.com/{}",
            uri.trim_start_matches("http://")
        ),
    ] {
        let verdicts = screen.verdicts(vec![text(&said, "merchants/klook")]).await;
        assert_eq!(verdicts, [Verdict::Block], "{said}");
    }
}

/// Our door opens them all.
#[tokio::test(flavor = "multi_thread")]
async fn anothers_card_is_found_however_its_address_is_written() {
    let mut screen = Screen::start().await;
    let (token, uri) = screen.token().await;
    let bare = uri.trim_start_matches("http://");
    for said in [
        format!("{uri}?x=1"),
        format!("{uri}#a"),
        format!("{uri}&"),
        format!("link:{uri}"),
        bare.to_owned(),
        uri.replace("http://", "HTTP://"),
        format!("https://evil.example.com/?x={token}"),
        format!("{} {token}", "0".repeat(64)),
        vec!["f".repeat(64); 40].join(" ") + " " + &token,
    ] {
        let whose = ["merchants/other", ""].map(|whose| text(&said, whose));
        let verdicts = screen.verdicts(whose.to_vec()).await;
        assert_eq!(verdicts[0], Verdict::Block, "{said}");
        assert!(verdicts[1] >= Verdict::Review, "{said}");
    }
    for said in [format!("{uri}?x=1"), bare.to_owned()] {
        let code = pb::ScreenedItem {
            merchant: "merchants/other".into(),
            ..image(code(&said))
        };
        assert_eq!(
            screen.verdicts(vec![code]).await,
            [Verdict::Block],
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_card_that_was_sent_here_is_its_merchants_here() {
    let mut screen = Screen::start().await;
    let send = pb::SendCardRequest {
        card: "merchants/klook/cards/main".into(),
        conversation: "conversations/c-7".into(),
        placement_id: "sent".into(),
        ..Default::default()
    };
    screen.api.placements.send_card(send).await.unwrap();
    let request = pb::GetCardMessageRequest {
        placement: "merchants/klook/placements/sent".into(),
        viewer: get_menu("klook").viewer,
    };
    let message = screen.api.serving.get_card_message(request).await;
    let Some(Outcome::Item(item)) = message.unwrap().into_inner().outcome else {
        panic!("nothing is shown");
    };
    let uri = item.open_uri;
    let items = ["conversations/c-7", "conversations/c-8", ""].map(|here| pb::ScreenedItem {
        conversation: here.into(),
        ..text(&uri, "")
    });
    let verdicts = screen.verdicts(items.to_vec()).await;
    assert_eq!(verdicts, [Verdict::Allow, Verdict::Review, Verdict::Review]);
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_in_pictures_are_found_with_what_they_say() {
    let mut screen = Screen::start().await;
    let group = "https://weixin.qq.com/g/AwYAAHRlc3R0ZXN0";
    let results = screen
        .ask(vec![
            image(code(group)),
            image(code("https://www.xiaohongshu.com/explore/64ab")),
            image(code("SN 0042-77")),
        ])
        .await
        .unwrap();
    assert_eq!(results[0].verdict(), Verdict::Block);
    assert_eq!(results[0].findings[0].category(), Category::QrCode);
    assert_eq!(results[0].findings[0].excerpt, group);
    assert_eq!(results[1].verdict(), Verdict::Allow);
    assert_eq!(results[2].verdict(), Verdict::Review);
    assert_eq!(results[2].findings[0].category(), Category::QrCode);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_a_card_may_ask_but_carry_no_contact() {
    let mut screen = Screen::start().await;
    let card = screen.api.get("main").await.unwrap();
    let renamed = |name: &str| pb::Card {
        display_name: name.into(),
        etag: String::new(),
        ..card.clone()
    };
    let asking = screen
        .api
        .update(renamed("添加企业微信领优惠"), &["display_name"])
        .await;
    asking.unwrap();
    let carrying = screen
        .api
        .update(renamed("薇信 klook_lily88"), &["display_name"])
        .await;
    let status = refused(carrying, Code::InvalidArgument, "CONTENT_DIVERSION");
    assert!(status.message().contains("display_name"), "{status:?}");
    let metadata = tonic_types::StatusExt::get_details_error_info(&status)
        .unwrap()
        .metadata;
    assert!(metadata.contains_key("rule"), "{metadata:?}");
    assert_eq!(metadata["points"], "6");
    let hidden = screen
        .api
        .update(renamed("企微klook_lily88加我"), &["display_name"])
        .await;
    refused(hidden, Code::InvalidArgument, "CONTENT_DIVERSION");
    let place = pb::ScreenedItem {
        place: Place::Card.into(),
        ..text("添加企业微信领优惠", "")
    };
    assert_eq!(screen.verdicts(vec![place]).await, [Verdict::Allow]);
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_a_card_carry_no_contact_between_them() {
    let mut screen = Screen::start().await;
    let card = screen.api.get("main").await.unwrap();
    for (texts, field) in [
        (["薇信号", "klook_lily88", ""], "card.display_name"),
        (["客路", "薇信号", "lily_88"], "card.headline"),
        (["客路 138", "0013 8765", ""], "card.display_name"),
        (["客路", "每日营业", "微信客服"], ""),
        (["Harbor Tours 港湾", "每日 9:00-21:00", "企微"], ""),
        (["Coca-Cola", "添加企业微信领优惠", "加微信"], ""),
    ] {
        let [display_name, headline, label] = texts.map(ToOwned::to_owned);
        let mut written = pb::Card {
            display_name,
            headline,
            etag: String::new(),
            ..card.clone()
        };
        written.contacts[0].label = label;
        let paths = ["display_name", "headline", "contacts"];
        let answer = screen.api.update(written, &paths).await;
        if field.is_empty() {
            answer.unwrap();
            continue;
        }
        let status = refused(answer, Code::InvalidArgument, "CONTENT_DIVERSION");
        assert_eq!(crate::support::fields(&status), [field], "{texts:?}");
        let info = tonic_types::StatusExt::get_details_error_info(&status).unwrap();
        assert!(!info.metadata["rule"].is_empty() && !info.metadata["points"].is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_or_nothing_is_refused_by_its_index() {
    let mut screen = Screen::start().await;
    for (items, field) in [
        (vec![], "items"),
        (vec![text("a", ""); 101], "items"),
        (vec![text("a", ""), text("", "")], "items[1]"),
        (vec![text("a".repeat(10_001), "")], "items[0]"),
        (vec![text("a", "klook")], "items[0].merchant"),
        (vec![pb::ScreenedItem::default()], "items[0]"),
        (vec![image(vec![0; 4 * 1024 * 1024 + 1])], "items[0]"),
        (vec![image(b"GIF89a".to_vec())], "items[0].image"),
    ] {
        let status = screen.ask(items).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        let malformed = tonic_types::StatusExt::get_details_bad_request(&status).unwrap();
        assert_eq!(malformed.field_violations[0].field, field);
    }
    let long = screen.verdicts(vec![text("好".repeat(10_000), "")]).await;
    assert_eq!(long, [Verdict::Allow]);
}
