//! `ComplianceService.WatchSanctions`.

use futures_util::{StreamExt, stream::BoxStream};
use tonic::{Request, Response, Status};

use super::{
    call::{open, respond},
    compliance::sanctions,
    pb::{self, watch_sanctions_response::Change},
    status,
};
use crate::{
    app::{self, App, Batch},
    domain::{Check, Sanction},
};

/// What a watcher is sent.
pub type Changes = BoxStream<'static, Result<pb::WatchSanctionsResponse, Status>>;

pub async fn watch(
    app: &App,
    request: Request<pb::WatchSanctionsRequest>,
) -> Result<Response<Changes>, Status> {
    respond(async {
        let (caller, r) = open(request)?;
        caller.permit_platform()?;
        let mut check = Check::default();
        let kinds = sanctions::kinds(&mut check, &r.kinds);
        let kinds = check.done(kinds)?;
        let batches = app.watch_sanctions(r.revision, kinds).await?;
        let app = app.clone();
        let answers = batches.map(move |batch| batch.and_then(|batch| wire(&app, batch)));
        Ok(answers.map(|a| a.map_err(status::from_error)).boxed())
    })
    .await
}

fn wire(app: &App, batch: Batch) -> app::Result<pb::WatchSanctionsResponse> {
    let change = |(revision, sanction): (i64, Sanction)| {
        let then = sanction.update_time;
        Ok(Change {
            revision,
            sanction: Some(sanctions::wire(app, sanction, then)?),
        })
    };
    Ok(pb::WatchSanctionsResponse {
        changes: batch
            .changes
            .into_iter()
            .map(change)
            .collect::<app::Result<_>>()?,
        revision: batch.revision,
    })
}
