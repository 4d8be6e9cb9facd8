//! The fake's listener: one that can break a connection in the middle of a call.

use axum::{Extension, Router, response::Response};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The connection that a call came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(CancellationToken);

impl Line {
    /// Breaks it; the call goes no further.
    pub(super) async fn reset(&self) -> Response {
        self.0.cancel();
        std::future::pending().await
    }
}

pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        // It fails when a peer is gone already, or files are out: the next one may do.
        let Ok((stream, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        let (routes, stop) = (routes.clone(), stop.clone());
        tasks.spawn(async move { stop.run_until_cancelled(converse(stream, routes)).await });
    }
}

async fn converse(stream: TcpStream, routes: Router) {
    let line = Line::default();
    let Ok((stream, twin)) = twins(stream) else {
        return;
    };
    let service = TowerToHyperService::new(routes.layer(Extension(line.clone())));
    let calls = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _ = calls => {}
        // Closed so, the peer gets RST instead of FIN.
        () = line.0.cancelled() => drop(twin.set_zero_linger()),
    }
}

/// Two handles of one socket: hyper does not give back the one it serves.
fn twins(stream: TcpStream) -> std::io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let twin = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(twin)?))
}
