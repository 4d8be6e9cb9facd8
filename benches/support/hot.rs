//! The call that is asked for most, within the process: `GetChatMenu` of three items, from the
//! bytes of a request to those of the answer, through every layer but HTTP/2's; and the file that
//! says what it costs.
#![allow(dead_code)]

#[path = "../load/caller.rs"]
mod caller;
#[path = "../load/template.rs"]
mod template;

use std::{env, fs, path::Path, thread, time::Duration};

use axum::{Router, body::Body, extract::Request};
use http_body_util::BodyExt;
use mingpian::{
    api::pb,
    app::{Ambient, App},
    config::{self, Flags},
    server::Server,
};
use prost::{Message, bytes::Bytes};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tower::Service;

const MENU: &str = "/mingpian.v1.ServingService/GetChatMenu";

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/hot.toml");
/// What a call may cost more or less than the file says, of that.
const TOLERANCE: f64 = 0.05;
/// As many are counted.
pub const CALLS: u64 = 100;

/// A server with a merchant, and a viewer who has been there before.
pub struct Stage {
    pub app: App,
    pub runtime: Runtime,
    /// Follows what changes in threads of its own, as a server does.
    pub beside: Runtime,
    routes: Router,
    bearer: String,
    message: Bytes,
    _dir: TempDir,
}

impl Stage {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let beside = Runtime::new().unwrap();
        let token = caller::token(&dir.path().join("jwks.json"));
        let (app, routes) = beside.block_on(serve(dir.path(), &token));
        let menu = pb::GetChatMenuRequest {
            merchant: "merchants/load-0".to_owned(),
            viewer: Some(pb::Viewer {
                viewer_id: "viewer-1".to_owned(),
                platform: pb::viewer::Platform::Ios.into(),
                app_version: "9.1".to_owned(),
                locale: "zh-CN".to_owned(),
            }),
            known_version: String::new(),
        };
        let mut stage = Self {
            app,
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            beside,
            routes,
            bearer: format!("Bearer {token}"),
            message: framed(&menu),
            _dir: dir,
        };
        // The feed brings back what was written here a moment ago, and it is read once more.
        thread::sleep(Duration::from_secs(1));
        stage.calls(3);
        stage
    }

    /// Asks so often.
    pub fn calls(&mut self, calls: u64) {
        for _ in 0..calls {
            let request = Request::post(MENU)
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("authorization", &self.bearer)
                .body(Body::from(self.message.clone()))
                .unwrap();
            let answer = self.runtime.block_on(async {
                let response = self.routes.call(request).await.unwrap();
                response.into_body().collect().await.unwrap()
            });
            assert_eq!(answer.trailers().unwrap()["grpc-status"], "0");
            assert!(answer.to_bytes().len() > 500, "three items");
        }
    }
}

async fn serve(dir: &Path, token: &str) -> (App, Router) {
    let file = dir.join("settings.toml");
    let keys = dir.join("keys.toml");
    mingpian::keys::add(&keys, [7; 64]).unwrap();
    let text = format!(
        "grpc_listen = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\n\
         admin_listen = \"127.0.0.1:0\"\nstore_url = \"sqlite://{}\"\nkeys_file = \"{}\"\n\
         [auth]\nmode = \"jwt\"\nissuer = \"{}\"\naudience = \"{}\"\njwks_file = \"{}\"\n",
        dir.join("hot.db").display(),
        keys.display(),
        caller::ISSUER,
        caller::AUDIENCE,
        dir.join("jwks.json").display(),
    );
    fs::write(&file, text).unwrap();
    let settings = config::load(&Flags {
        config: Some(file),
        ..Flags::default()
    })
    .unwrap();
    let server = Server::bind(&settings, Ambient::system()).await.unwrap();
    let (app, routes, grpc) = (server.app.clone(), server.grpc_routes(), server.grpc);
    tokio::spawn(server.serve(CancellationToken::new(), CancellationToken::new()));
    template::make(grpc, token).await;
    (app, routes)
}

/// A message as gRPC has it on the wire: not compressed, its length, itself.
fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &message].concat().into()
}

/// A figure of the file, a line `name = figure`.
pub fn holds(name: &str, costs: u64) {
    let text = fs::read_to_string(FILE).unwrap();
    if env::var_os("UPDATE_HOT").is_some() {
        let renew = |line: &str| match line.split_once(" = ") {
            Some((key, _)) if key == name => format!("{name} = {costs}\n"),
            _ => format!("{line}\n"),
        };
        return fs::write(FILE, text.lines().map(renew).collect::<String>()).unwrap();
    }
    let file: toml::Table = text.parse().unwrap();
    let known = file[name].as_integer().unwrap() as f64;
    let off = costs as f64 / known - 1.0;
    assert!(
        off.abs() <= TOLERANCE,
        "{name} of a call: {costs}, and {FILE} says {known}. Where that is as it should be, set \
         UPDATE_HOT=1 and run this again"
    );
}
