//! What every handler does first and last: the caller and the message out of the request,
//! the answer or the status into the response.

use std::sync::Arc;

use futures_util::FutureExt;
use prost::Message;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{layers::deadline, status};
use crate::{
    app::{self, App, Call, Principal, RequestId},
    domain::{Merchant, Refusal, ResourceName},
    keys::KeyRing,
};

/// The caller, whom the authentication layer put there, and the message.
pub fn open<T>(request: Request<T>) -> app::Result<(Arc<Principal>, T)> {
    let (_, mut extensions, message) = request.into_parts();
    let caller = extensions
        .remove::<Arc<Principal>>()
        .ok_or_else(|| app::Error::bug("a call came past authentication"))?;
    Ok((caller, message))
}

/// Ends a handler. No `async fn`: that would keep room for what it awaits twice, which each call
/// pays for.
pub fn respond<T>(
    answer: impl Future<Output = app::Result<T>>,
) -> impl Future<Output = Result<Response<T>, Status>> {
    respond_as(answer.map(|answer| answer.map(Response::new)))
}

/// Likewise, of an answer with metadata.
pub fn respond_as<T>(
    answer: impl Future<Output = app::Result<Response<T>>>,
) -> impl Future<Output = Result<Response<T>, Status>> {
    answer.map(|answer| answer.map_err(status::from_error))
}

/// A write of this method. `request_id` was taken out of `message`, which is the rest.
pub fn write(
    caller: Arc<Principal>,
    method: &str,
    request_id: &str,
    message: &impl Message,
    dry_run: bool,
) -> Result<Call, Refusal> {
    let request = if request_id.is_empty() {
        None
    } else {
        let mut request = method.as_bytes().to_vec();
        request.push(0);
        request.extend(message.encode_to_vec());
        Some(RequestId {
            id: Uuid::parse_str(request_id)
                .map_err(|_| Refusal::field("request_id", "must be a UUID, or empty"))?,
            request,
        })
    };
    Ok(Call {
        principal: caller,
        request,
        dry_run,
        until: deadline::end(),
    })
}

/// The merchant in a field, if the caller may act for it. Permission comes before the rest
/// of the shape, so that it answers the same whatever there is.
pub fn merchant(caller: &Principal, field: &str, name: &str) -> Result<Merchant, Refusal> {
    let merchant = Merchant::parse(name).map_err(|rule| Refusal::field(field, rule))?;
    caller.permit(&merchant)?;
    Ok(merchant)
}

/// A resource's name in a field, likewise.
pub fn name<N: ResourceName>(caller: &Principal, field: &str, name: &str) -> Result<N, Refusal> {
    let name = N::parse(name).map_err(|rule| Refusal::field(field, rule))?;
    caller.permit(name.merchant())?;
    Ok(name)
}

/// The name of what is to be made: with the id that the caller chose, or one of ours.
pub fn new_name<N: ResourceName>(app: &App, parent: Merchant, id: &str) -> Result<N, &'static str> {
    if id.is_empty() {
        return N::new(parent, &app.ambient.uuid().to_string());
    }
    N::new(parent, id)
}

/// One page of a listing by id.
pub struct Page<'a> {
    keys: &'a KeyRing,
    /// What a page token is bound to.
    listing: String,
    /// The id to go on after; empty at the start.
    pub after: String,
    size: usize,
}

impl<'a> Page<'a> {
    const USUAL: usize = 50;
    const MOST: usize = 100;
    /// Of the rows as they are answered; `max_response_bytes` is twice as much unless it is set.
    const BYTES: usize = 512 * 1024;

    pub fn new(
        keys: &'a KeyRing,
        listing: String,
        page_size: i32,
        page_token: &str,
    ) -> Result<Self, Refusal> {
        let size = match usize::try_from(page_size) {
            Err(_) => return Err(Refusal::field("page_size", "must not be negative")),
            Ok(0) => Self::USUAL,
            Ok(size) => size.min(Self::MOST),
        };
        let after = if page_token.is_empty() {
            String::new()
        } else {
            keys.open_cursor(&listing, page_token)?
        };
        Ok(Self {
            keys,
            listing,
            after,
            size,
        })
    }

    /// Rows to ask for: one more than fit says whether there is another page.
    pub fn limit(&self) -> u64 {
        self.size as u64 + 1
    }

    /// The number to go on before, of a listing by falling numbers; none at the start.
    pub fn before(&self) -> Option<i64> {
        // A cursor of ours is a number.
        self.after.parse().ok()
    }

    /// The rows that fit as they are answered, at least one, and the token of the next page.
    pub fn cut<T, W: Message>(
        &self,
        rows: Vec<T>,
        id: impl Fn(&T) -> &str,
        wire: impl Fn(T) -> W,
    ) -> app::Result<(Vec<W>, String)> {
        self.cut_by(rows, |row| id(row).to_owned(), |row| Ok(wire(row)))
    }

    /// Likewise, of a listing by something else.
    pub fn cut_by<T, W: Message>(
        &self,
        rows: Vec<T>,
        key: impl Fn(&T) -> String,
        wire: impl Fn(T) -> app::Result<W>,
    ) -> app::Result<(Vec<W>, String)> {
        let all = rows.len();
        let (mut fit, mut bytes, mut last) = (Vec::new(), 0, String::new());
        for row in rows.into_iter().take(self.size) {
            let key = key(&row);
            let message = wire(row)?;
            bytes += message.encoded_len();
            if bytes > Self::BYTES && !fit.is_empty() {
                break;
            }
            fit.push(message);
            last = key;
        }
        let next = if fit.len() < all {
            self.keys.seal_cursor(&self.listing, &last)
        } else {
            String::new()
        };
        Ok((fit, next))
    }
}
