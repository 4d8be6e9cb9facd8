//! Calls that take their effect long after nobody waits for it any more.

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
};

use axum::response::Response;
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, pending},
};

/// Calls held on the way.
#[derive(Clone, Default)]
pub(super) struct Late(Arc<Mutex<Vec<BoxFuture<'static, Response>>>>);

impl Late {
    /// Holds a call; it is never answered.
    pub(super) async fn hold(
        &self,
        call: impl Future<Output = Response> + Send + 'static,
    ) -> Response {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call.boxed());
        pending().await
    }

    /// Lets all go that are held.
    pub(super) async fn let_go(&self) {
        let held = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        join_all(held).await;
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}
