//! What the store knows of itself.

use futures_util::future::join_all;
use mingpian::store::Store;

use super::{Stage, options};
use crate::{on_both_engines, support::Engine};

on_both_engines!(the_first_key_check_stays_whoever_comes_later);

async fn the_first_key_check_stays_whoever_comes_later(engine: Engine) {
    for _ in 0..5 {
        let s = Stage::new(engine).await;
        assert_eq!(s.store.key_check().await.unwrap(), None);
        let replica = |i: u8| {
            let mut options = options(&s.scratch.url);
            options.max_connections = 2;
            tokio::spawn(async move {
                let store = Store::open(&options).await.unwrap();
                store.keep_key_check(vec![i]).await.unwrap()
            })
        };
        let kept = join_all((0..8).map(replica)).await;
        let first = s.store.key_check().await.unwrap().unwrap();
        for kept in kept {
            assert_eq!(kept.unwrap(), first);
        }
        assert_eq!(s.store.keep_key_check(vec![99]).await.unwrap(), first);
    }
}
