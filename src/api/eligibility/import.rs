//! `ImportSpend`: a stream of chunks, each kept before the next is read.

use std::time::Duration;

use futures_util::{Stream, TryStreamExt};
use tokio::time::timeout;
use tonic::{Request, Status, Streaming};

use super::{
    super::{
        call::open,
        pb::{ImportSpendRequest, ImportSpendResponse, import_spend_response::Rejection},
        status,
    },
    wire::entry,
};
use crate::{
    app::{self, App, SpendImport},
    domain::{FieldViolation, Reason, Refusal, spend},
};

/// Entries in a message at most.
const MAX_ENTRIES: usize = 1000;

/// Rejections that are told.
const MAX_REJECTIONS: usize = 100;

/// How long a sender may be silent: it holds a place among the calls.
const IDLE: Duration = Duration::from_secs(30);

/// Takes in the stream to its end.
pub async fn from_stream(
    app: &App,
    request: Request<Streaming<ImportSpendRequest>>,
) -> Result<ImportSpendResponse, Status> {
    let (caller, mut stream) = open(request).map_err(status::from_error)?;
    caller
        .permit_platform()
        .map_err(|refusal| status::refusal(&refusal))?;
    let import = app.import_spend(&caller.subject).await;
    let mut inlet = Inlet {
        app,
        import: import.map_err(status::from_error)?,
        answer: ImportSpendResponse::default(),
        index: 0,
    };
    while let Some(message) = next(&mut stream, IDLE).await? {
        inlet.take(message).await.map_err(status::from_error)?;
    }
    inlet.finish().await.map_err(status::from_error)
}

/// The next message, if it comes within `idle`.
async fn next<T>(
    stream: &mut (impl Stream<Item = Result<T, Status>> + Unpin),
    idle: Duration,
) -> Result<Option<T>, Status> {
    timeout(idle, stream.try_next()).await.unwrap_or_else(|_| {
        let message = format!(
            "no message for {} seconds; what was sent is in, send the rest",
            idle.as_secs()
        );
        Err(status::refusal(&Refusal::new(
            Reason::DeadlineExceeded,
            message,
        )))
    })
}

/// What has come in so far.
struct Inlet<'a> {
    app: &'a App,
    import: SpendImport,
    answer: ImportSpendResponse,
    /// Entries of the messages before.
    index: i64,
}

impl Inlet<'_> {
    async fn take(&mut self, message: ImportSpendRequest) -> app::Result<()> {
        let count = message.entries.len();
        if !(1..=MAX_ENTRIES).contains(&count) {
            return Err(Refusal::field("entries", "must be 1 to 1,000").into());
        }
        let (mut entries, mut indices) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (today, mut rejections) = (self.app.today(), Vec::new());
        for (index, wire) in (self.index..).zip(message.entries) {
            match entry(wire, today, self.app.sources()) {
                Ok(entry) => {
                    entries.push(entry);
                    indices.push(index);
                }
                Err(violation) => rejections.push(rejection(index, violation)),
            }
        }
        for place in self.import.chunk(&entries, 0).await? {
            rejections.push(rejection(indices[place], spend::one_too_many()));
        }
        self.reject(rejections);
        self.index += i64::try_from(count).unwrap_or(i64::MAX);
        Ok(())
    }

    fn reject(&mut self, mut rejections: Vec<Rejection>) {
        rejections.sort_unstable_by_key(|rejection| rejection.index);
        self.answer.rejected += i64::try_from(rejections.len()).unwrap_or(i64::MAX);
        let room = MAX_REJECTIONS - self.answer.rejections.len();
        self.answer
            .rejections
            .extend(rejections.into_iter().take(room));
    }

    async fn finish(self) -> app::Result<ImportSpendResponse> {
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let (id, counts) = (self.import.id(), self.import.row().counts);
        self.import.finish(&[]).await?;
        Ok(ImportSpendResponse {
            import_id: id.to_string(),
            accepted: signed(counts.accepted),
            unchanged: signed(counts.unchanged),
            replaced: signed(counts.replaced),
            ..self.answer
        })
    }
}

fn rejection(index: i64, violation: FieldViolation) -> Rejection {
    Rejection {
        index,
        field: violation.field,
        description: violation.description,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tokio::time::Instant;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn a_sender_is_silent_for_so_long_and_no_longer() {
        let idle = Duration::from_millis(50);
        let mut sender = Box::pin(stream::iter([Ok(1)]).chain(stream::pending()));
        assert_eq!(next(&mut sender, idle).await.unwrap(), Some(1));
        let silent_since = Instant::now();
        let late = timeout(Duration::from_secs(10), next(&mut sender, idle)).await;
        let late = late.expect("a bound").unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded);
        assert!(silent_since.elapsed() >= idle);
        let mut ended = stream::empty::<Result<i32, Status>>();
        assert_eq!(next(&mut ended, idle).await.unwrap(), None);
    }
}
