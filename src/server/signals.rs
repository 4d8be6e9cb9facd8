//! What the process does when it is told: SIGTERM and SIGINT end it, SIGHUP reads files again.

use std::{io, sync::Arc};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::tls::Tls;

/// The first signal stops, the second one cuts and ends the wait.
pub fn end(
    stop: CancellationToken,
    cut: CancellationToken,
) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        for end in [stop, cut] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            end.cancel();
        }
    })
}

/// SIGHUP reads the certificates again, for connections from then on.
pub fn reload(tls: Option<Arc<Tls>>) -> io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            match tls.as_ref().map(|tls| tls.reload()) {
                Some(Ok(())) => tracing::info!("certificates read again"),
                Some(Err(error)) => tracing::error!(%error, "the old certificates stay"),
                None => {}
            }
        }
    })
}
