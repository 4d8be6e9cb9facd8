//! The README's story does what it says, line by line.

use std::{env, fs, process::Command};

use crate::support::{Engine, Scratch, process::serve};

/// The lines between the marker and the end of its block.
fn story() -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, rest) = text.split_once("<!-- story -->\n```sh\n").unwrap();
    rest.split_once("\n```\n").unwrap().0.to_owned()
}

/// Each paragraph as it stands, then a look for what it promises.
fn script(story: &str) -> String {
    let mut script = "set -u\n".to_owned();
    for paragraph in story.split("\n\n") {
        let promised = paragraph.lines().find_map(|line| line.strip_prefix("# → "));
        script += &format!("{{ {paragraph}\n}} >out.txt 2>&1\n");
        if let Some(promised) = promised {
            script += &format!(
                "grep -qF -- '{promised}' out.txt || {{ echo 'no {promised} in:'; cat out.txt; exit 1; }}\n"
            );
        }
    }
    script
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_works_as_it_stands() {
    let scratch = Scratch::new(Engine::Sqlite).await;
    let server = serve(&["--demo", "--store-url", &scratch.url], &[]);
    let story = story()
        .replace("127.0.0.1:50051", &server.grpc.to_string())
        .replace("http://127.0.0.1:8081", &server.fake_wecom());
    assert!(story.matches("# → ").count() > 20);
    let grpcurl = env::var("TEST_GRPCURL").expect("no grpcurl: run `tests/run`");
    let bin = scratch.file("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(grpcurl, bin.join("grpcurl")).unwrap();
    let path = format!("{}:{}", bin.display(), env::var("PATH").unwrap());
    let script = script(&story);
    let folder = scratch.dir.path().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder)
            .env("PATH", path)
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
