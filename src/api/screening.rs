//! `ComplianceService.ScreenContent`.

use std::ops::RangeInclusive;

use tonic::{Request, Response, Status};

use super::{
    call::{open, respond},
    pb::{
        self,
        screened_item::{Content as Wire, Place as WirePlace},
        screening_finding::Category as WireCategory,
        screening_result::Verdict as WireVerdict,
    },
};
use crate::{
    app::{
        App,
        screening::{Content, Item, Place, Screened},
    },
    domain::{Check, Merchant, Refusal, foreign_id},
    screening::{Category, Finding, Verdict, picture::Limits},
};

const ITEMS: RangeInclusive<usize> = 1..=100;
/// Code points of a text.
const TEXT: RangeInclusive<usize> = 1..=10_000;
/// What a whole request may have: three of the largest pictures, and what else there is.
pub const REQUEST_BYTES: usize = 16 * 1024 * 1024;

pub async fn screen(
    app: &App,
    request: Request<pb::ScreenContentRequest>,
) -> Result<Response<pb::ScreenContentResponse>, Status> {
    respond(async {
        let (caller, r) = open(request)?;
        for merchant in r
            .items
            .iter()
            .filter_map(|item| Merchant::parse(&item.merchant).ok())
        {
            caller.permit(&merchant)?;
        }
        let items = items(r.items)?;
        let (results, rules_version) = app.screen(&caller, items).await?;
        let results = results.into_iter().map(|screened| result(app, screened));
        Ok(pb::ScreenContentResponse {
            results: results.collect(),
            rules_version,
        })
    })
    .await
}

fn items(wire: Vec<pb::ScreenedItem>) -> Result<Vec<Item>, Refusal> {
    let mut check = Check::default();
    check.require(ITEMS.contains(&wire.len()), "items", "must be 1 to 100");
    let items = wire.into_iter().take(*ITEMS.end()).enumerate();
    let items: Vec<_> = items
        .filter_map(|(index, wire)| item(&mut check, &format!("items[{index}]"), wire))
        .collect();
    check.done(Some(items))
}

fn item(check: &mut Check, path: &str, wire: pb::ScreenedItem) -> Option<Item> {
    let content = check.field(path, content(wire.content));
    let place = check.field(format!("{path}.place"), place(wire.place));
    let merchant = maybe(&wire.merchant, Merchant::parse);
    let merchant = check.field(format!("{path}.merchant"), merchant);
    let conversation = maybe(&wire.conversation, |name| {
        foreign_id(name, "conversations").map(str::to_owned)
    });
    let conversation = check.field(format!("{path}.conversation"), conversation);
    Some(Item {
        content: content?,
        place: place?,
        merchant: merchant?,
        conversation: conversation?,
    })
}

/// `None` where nothing is said.
fn maybe<T>(name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    match name {
        "" => Ok(None),
        name => parse(name).map(Some),
    }
}

fn content(wire: Option<Wire>) -> Result<Content, &'static str> {
    match wire {
        Some(Wire::Text(text)) if TEXT.contains(&text.chars().count()) => Ok(Content::Text(text)),
        Some(Wire::Text(_)) => Err("text must have 1 to 10,000 code points"),
        Some(Wire::Image(bytes)) if (1..=Limits::default().bytes).contains(&bytes.len()) => {
            Ok(Content::Image(bytes))
        }
        Some(Wire::Image(_)) => Err("image must have at most 4 MiB, and not be empty"),
        None => Err("must have a text or an image"),
    }
}

fn place(number: i32) -> Result<Place, &'static str> {
    match WirePlace::try_from(number) {
        Ok(WirePlace::Card) => Ok(Place::Card),
        Ok(_) => Ok(Place::Elsewhere),
        Err(_) => Err("must be MESSAGE, NOTE, COMMENT, PROFILE or CARD"),
    }
}

fn result(app: &App, screened: Screened) -> pb::ScreeningResult {
    let findings = screened.findings.into_iter();
    pb::ScreeningResult {
        verdict: verdict(screened.verdict).into(),
        findings: findings.map(|found| finding(app, found)).collect(),
    }
}

fn finding(app: &App, finding: Finding) -> pb::ScreeningFinding {
    let point = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    pb::ScreeningFinding {
        category: category(finding.category).into(),
        rule: finding.rule,
        verdict: verdict(finding.verdict).into(),
        start: point(finding.span.start),
        end: point(finding.span.end),
        excerpt: finding.excerpt,
        points: app.points(finding.category).into(),
    }
}

fn verdict(verdict: Verdict) -> WireVerdict {
    match verdict {
        Verdict::Allow => WireVerdict::Allow,
        Verdict::Review => WireVerdict::Review,
        Verdict::Block => WireVerdict::Block,
    }
}

fn category(category: Category) -> WireCategory {
    match category {
        Category::WechatId => WireCategory::WechatId,
        Category::Wecom => WireCategory::Wecom,
        Category::GroupInvite => WireCategory::GroupInvite,
        Category::Phone => WireCategory::Phone,
        Category::Qq => WireCategory::Qq,
        Category::OtherIm => WireCategory::OtherIm,
        Category::ExternalLink => WireCategory::ExternalLink,
        Category::QrCode => WireCategory::QrCode,
        Category::Solicit => WireCategory::Solicit,
    }
}
