//! The program without its sockets' callers, for benches that call it from within.

use std::{fs, path::Path};

use mingpian::{
    app::{Ambient, App},
    config::{self, Flags},
    server::Server,
};

/// On this database, with keys and settings in a folder of its own.
pub async fn app(url: &str, dir: &Path, ambient: Ambient) -> App {
    let keys = dir.join("keys.toml");
    if !keys.exists() {
        mingpian::keys::add(&keys, [7; 64]).unwrap();
    }
    let file = dir.join("settings.toml");
    let text = format!(
        "grpc_listen = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\n\
         admin_listen = \"127.0.0.1:0\"\nstore_url = \"{url}\"\nkeys_file = \"{}\"\n",
        keys.display()
    );
    fs::write(&file, text).unwrap();
    let settings = config::load(&Flags {
        config: Some(file),
        ..Flags::default()
    });
    Server::bind(&settings.unwrap(), ambient).await.unwrap().app
}
