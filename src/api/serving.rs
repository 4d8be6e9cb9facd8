//! `ServingService`.

use tonic::{Request, Response, Status, metadata::MetadataValue};

use super::{
    answer::{Encoded, Writer},
    call::{self, open, respond, respond_as},
    explain, pb,
    serving_service_server::ServingService,
    wire::{absence, kind, micros, timestamp},
};
use crate::{
    app::{App, Error, Served, Shown, Tapper, Validity, Viewer},
    domain::{
        Check, Lang, PlacementName, foreign_id, is_viewer_id,
        launch::{Container, Environment, Platform, Step},
    },
};

/// Metadata of an answer from memory while the store is away.
const STALE: &str = "mingpian-stale";

/// Notes of one call at most.
const MAX_NOTES: usize = 200;

/// The service over an `App`.
#[derive(Clone, Debug)]
pub struct Serving(pub App);

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ServingService for Serving {
    async fn get_chat_menu(&self, request: Request<pb::GetChatMenuRequest>) -> Answer<Encoded> {
        respond_as(async {
            let (caller, r) = open(request)?;
            let merchant = call::merchant(&caller, "merchant", &r.merchant)?;
            let mut check = Check::default();
            let viewer = viewer(&mut check, r.viewer.as_ref());
            let viewer = check.done(viewer)?;
            let menu = self.0.chat_menu(&merchant, &viewer, &r.known_version);
            let menu = menu.await?;
            let validity = menu.validity;
            let answer = self.writer(&viewer).menu(menu);
            Ok(marked(answer, validity))
        })
        .await
    }

    async fn batch_get_note_capsules(
        &self,
        request: Request<pb::BatchGetNoteCapsulesRequest>,
    ) -> Answer<Encoded> {
        respond_as(async {
            let (caller, r) = open(request)?;
            let mut check = Check::default();
            let count = r.notes.len();
            check.require(
                (1..=MAX_NOTES).contains(&count),
                "notes",
                "must be 1 to 200",
            );
            let mut ids = Vec::with_capacity(count.min(MAX_NOTES));
            for (i, note) in r.notes.iter().take(MAX_NOTES).enumerate() {
                match foreign_id(note, "notes") {
                    Ok(id) => ids.push(id),
                    Err(rule) => check.violation(format!("notes[{i}]"), rule),
                }
            }
            let viewer = viewer(&mut check, r.viewer.as_ref());
            let viewer = check.done(viewer)?;
            let capsules = self.0.note_capsules(&caller, &ids, &viewer);
            let capsules = capsules.await?;
            let notes = r.notes.iter().map(String::as_str);
            let answer = self.writer(&viewer).capsules(notes, &capsules);
            Ok(marked(answer, capsules.validity))
        })
        .await
    }

    async fn get_card_message(
        &self,
        request: Request<pb::GetCardMessageRequest>,
    ) -> Answer<pb::GetCardMessageResponse> {
        use pb::get_card_message_response::Outcome;
        respond_as(async {
            let (caller, r) = open(request)?;
            let name = call::name::<PlacementName>(&caller, "placement", &r.placement)?;
            let mut check = Check::default();
            let viewer = viewer(&mut check, r.viewer.as_ref());
            let viewer = check.done(viewer)?;
            let message = self.0.card_message(&name, &viewer);
            let Served {
                what,
                tokens,
                validity,
            } = message.await?;
            let outcome = match &what {
                Shown::Absent(reason) => Outcome::Absence(absence(*reason)),
                Shown::Items(message, _) => {
                    let first = message.items().next().zip(tokens.first());
                    let (item, token) = first.ok_or_else(|| Error::bug("no item is shown"))?;
                    let item = self.writer(&viewer).message(item, token);
                    Outcome::Item(item.map_err(Error::bug)?)
                }
            };
            let answer = pb::GetCardMessageResponse {
                outcome: Some(outcome),
                valid_until: Some(timestamp(validity.until)),
            };
            Ok(marked(answer, validity))
        })
        .await
    }

    async fn explain_serving(
        &self,
        request: Request<pb::ExplainServingRequest>,
    ) -> Answer<pb::ExplainServingResponse> {
        respond(async {
            let (caller, r) = open(request)?;
            let subject = explain::subject(&caller, r.subject.as_ref())?;
            let mut check = Check::default();
            let given = r.viewer.as_ref();
            let viewer = given.and_then(|given| viewer(&mut check, Some(given)));
            let at = r.at.as_ref().map(micros).transpose();
            let at = check.field("at", at);
            let at = check.done(at)?;
            let viewer = viewer.as_ref().map(|viewer| viewer.id.as_str());
            Ok(self.0.explain(&subject, viewer, at).await?.into())
        })
        .await
    }

    async fn open_card(&self, request: Request<pb::OpenCardRequest>) -> Answer<pb::LaunchPlan> {
        respond(async {
            let (caller, r) = open(request)?;
            let mut check = Check::default();
            let viewer = viewer(&mut check, r.viewer.as_ref());
            let environment = environment(
                &mut check,
                r.environment.unwrap_or_default(),
                r.viewer.map_or(0, |viewer| viewer.platform),
            );
            let (viewer, environment) = check.done(viewer.zip(environment))?;
            let tapper = Tapper::Viewer { id: &viewer.id };
            let tap = self
                .0
                .tap(Some(&caller), &r.tap_token, tapper, environment)
                .await?;
            Ok(pb::LaunchPlan {
                steps: tap.steps.into_iter().map(Into::into).collect(),
                expire_time: Some(timestamp(tap.expire_time)),
                event_id: tap.event_id.to_string(),
                kind: kind(tap.kind).into(),
            })
        })
        .await
    }
}

impl Serving {
    fn writer(&self, viewer: &Viewer) -> Writer<'_> {
        Writer::new(viewer.lang, &self.0.rules.open_prefix)
    }
}

/// Says of an answer that may be older than a second that it is.
fn marked<T>(answer: T, validity: Validity) -> Response<T> {
    let mut response = Response::new(answer);
    if validity.stale {
        let stale = MetadataValue::from_static("true");
        response.metadata_mut().insert(STALE, stale);
    }
    response
}

fn viewer(check: &mut Check, viewer: Option<&pb::Viewer>) -> Option<Viewer> {
    let Some(viewer) = viewer else {
        check.violation("viewer", "must be set");
        return None;
    };
    let id = &viewer.viewer_id;
    let rule = "must be 1 to 64 of [0-9A-Za-z_.:-]";
    check.require(is_viewer_id(id), "viewer.viewer_id", rule);
    check.field("viewer.platform", platform(viewer.platform));
    for (field, text, most) in [
        ("viewer.app_version", &viewer.app_version, 32),
        ("viewer.locale", &viewer.locale, 35),
    ] {
        let fits = text.len() <= most && !text.contains(char::is_control);
        let rule = format!("must be at most {most} bytes, none of them a control character");
        check.require(fits, field, rule);
    }
    Some(Viewer {
        id: id.clone(),
        lang: Lang::of_locale(&viewer.locale),
    })
}

fn platform(number: i32) -> Result<Option<Platform>, &'static str> {
    use pb::viewer::Platform as Wire;
    Ok(match Wire::try_from(number) {
        Ok(Wire::Unspecified) => None,
        Ok(Wire::Ios) => Some(Platform::Ios),
        Ok(Wire::Android) => Some(Platform::Android),
        Ok(Wire::Harmony) => Some(Platform::Harmony),
        Ok(Wire::Web) => Some(Platform::Web),
        Err(_) => return Err("must be IOS, ANDROID, HARMONY or WEB"),
    })
}

/// What the request leaves open: the viewer's platform, and the app except on the web. A
/// platform that nobody names opens schemes like most.
fn environment(
    check: &mut Check,
    environment: pb::Environment,
    viewer_platform: i32,
) -> Option<Environment> {
    use pb::environment::Container as Wire;
    let named = check.field("environment.platform", platform(environment.platform))?;
    let platform = named
        .or_else(|| platform(viewer_platform).ok().flatten())
        .unwrap_or(Platform::Android);
    let container = match Wire::try_from(environment.container) {
        Ok(Wire::Unspecified) if platform == Platform::Web => Ok(Container::Browser),
        Ok(Wire::Unspecified | Wire::NativeApp) => Ok(Container::NativeApp),
        Ok(Wire::WechatWebview) => Ok(Container::WechatWebview),
        Ok(Wire::Browser) => Ok(Container::Browser),
        Ok(Wire::Desktop) => Ok(Container::Desktop),
        Err(_) => Err("must be NATIVE_APP, WECHAT_WEBVIEW, BROWSER or DESKTOP"),
    };
    Some(Environment {
        platform,
        container: check.field("environment.container", container)?,
    })
}

impl From<Step> for pb::Step {
    fn from(step: Step) -> Self {
        use pb::step::Kind;
        let requires_app = step.requires_app().unwrap_or_default().to_owned();
        let (kind, uri, text) = match step {
            Step::UrlScheme { uri } => (Kind::UrlScheme, uri, String::new()),
            Step::Https { uri } => (Kind::Https, uri, String::new()),
            Step::CopyText { text } => (Kind::CopyText, String::new(), text),
            Step::Dial { uri } => (Kind::Dial, uri, String::new()),
            Step::ShowQr { uri } => (Kind::ShowQr, uri, String::new()),
        };
        Self {
            kind: kind.into(),
            uri,
            text,
            requires_app,
        }
    }
}
