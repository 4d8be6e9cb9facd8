//! What is asked, as messages.

use std::rc::Rc;

use mingpian::api::pb;
use prost::Message;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rand_distr::{Distribution, Zipf};

use crate::world::{NOTES, merchant};

pub const GET_CHAT_MENU: &str = "/mingpian.v1.ServingService/GetChatMenu";
pub const GET_CAPSULES: &str = "/mingpian.v1.ServingService/BatchGetNoteCapsules";
pub const OPEN_CARD: &str = "/mingpian.v1.ServingService/OpenCard";
pub const CREATE_CARD: &str = "/mingpian.v1.CardService/CreateCard";

/// Notes of one call.
pub const PAGE: usize = 200;
/// Scatters who is asked for most over the database; prime to every number of merchants below it.
const SCATTER: u64 = 999_999_937;

pub fn viewer(n: u64) -> Option<pb::Viewer> {
    Some(pb::Viewer {
        viewer_id: format!("viewer-{n:08}"),
        platform: pb::viewer::Platform::Ios.into(),
        app_version: "9.1".to_owned(),
        locale: "zh-CN".to_owned(),
    })
}

pub fn menu(of: u64, by: u64) -> Vec<u8> {
    let request = pb::GetChatMenuRequest {
        merchant: format!("merchants/{}", merchant(of)),
        viewer: viewer(by),
        known_version: String::new(),
    };
    request.encode_to_vec()
}

/// So many menus, merchants by Zipf's law with exponent 1, any of the viewers.
pub fn menus(count: usize, merchants: u64, viewers: u64) -> Rc<Vec<Vec<u8>>> {
    let mut rng = StdRng::seed_from_u64(1);
    let zipf = Zipf::new(merchants as f64, 1.0).unwrap();
    let request = |_| {
        let rank = zipf.sample(&mut rng) as u64 - 1;
        menu(rank * SCATTER % merchants, rng.random_range(0..viewers))
    };
    Rc::new((0..count).map(request).collect())
}

/// Pages of notes, any of those that have a capsule.
pub fn pages(count: usize, merchants: u64, viewers: u64) -> Rc<Vec<Vec<u8>>> {
    let mut rng = StdRng::seed_from_u64(2);
    let notes = merchants.min(NOTES);
    let request = |_| {
        let mut note = || format!("notes/note-{}", merchant(rng.random_range(0..notes)));
        let notes = (0..PAGE).map(|_| note()).collect();
        let request = pb::BatchGetNoteCapsulesRequest {
            notes,
            viewer: viewer(rng.random_range(0..viewers)),
        };
        request.encode_to_vec()
    };
    Rc::new((0..count).map(request).collect())
}

/// A tap in the app.
pub fn tap(token: &str, by: u64) -> Vec<u8> {
    let request = pb::OpenCardRequest {
        tap_token: token.to_owned(),
        viewer: viewer(by),
        environment: Some(pb::Environment {
            container: pb::environment::Container::NativeApp.into(),
            ..Default::default()
        }),
    };
    request.encode_to_vec()
}

/// A tap on a plain link, inside WeChat.
pub fn link(token: &str) -> Vec<u8> {
    format!(
        "GET /t/{token} HTTP/1.1\r\nhost: card.example.com\r\nuser-agent: Mozilla/5.0 (Linux; \
         Android 13) AppleWebKit/537.36 Mobile Safari/537.36 MicroMessenger/8.0.42\r\n\
         accept-language: zh-CN\r\n\r\n"
    )
    .into_bytes()
}
