//! `ComplianceService.WatchSanctions`.

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use prost::Message;
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

/// Of the changes in one answer; `max_response_bytes` is twice as much unless it is set.
const BYTES: usize = 512 * 1024;

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
        let batches = app.watch_sanctions(&caller, r.revision, kinds).await?;
        let app = app.clone();
        let answers = batches.flat_map(move |batch| {
            let answers = batch.and_then(|batch| answers(&app, batch));
            stream::iter(match answers {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(status::from_error(e))],
            })
        });
        Ok(answers.boxed())
    })
    .await
}

/// A batch in as many answers as it needs, each to go on after the last change in it.
fn answers(app: &App, batch: Batch) -> app::Result<Vec<pb::WatchSanctionsResponse>> {
    let mut answers = Vec::new();
    let (mut answer, mut bytes) = (pb::WatchSanctionsResponse::default(), 0);
    for (revision, sanction) in batch.changes {
        let change = change(app, revision, sanction)?;
        let length = change.encoded_len();
        if bytes + length > BYTES && !answer.changes.is_empty() {
            answers.push(std::mem::take(&mut answer));
            bytes = 0;
        }
        bytes += length;
        answer.revision = revision;
        answer.changes.push(change);
    }
    answer.revision = batch.revision;
    answers.push(answer);
    Ok(answers)
}

fn change(app: &App, revision: i64, sanction: Sanction) -> app::Result<Change> {
    let then = sanction.update_time;
    Ok(Change {
        revision,
        sanction: Some(sanctions::wire(app, sanction, then)?),
    })
}
