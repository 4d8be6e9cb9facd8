//! `WecomService.ListContactEvents`.

use tonic::{Request, Response, Status};

use super::pb;
use crate::app::App;

#[allow(clippy::todo, unused_variables)]
pub async fn list(
    app: &App,
    request: Request<pb::ListContactEventsRequest>,
) -> Result<Response<pb::ListContactEventsResponse>, Status> {
    todo!()
}
