//! Bodies of callbacks. Whoever stalls one holds no more room than what has come of it, so that
//! the others' are read.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::wecom::xml::MAX_XML;

/// What a request takes beside its body, in bytes.
const HEAD: usize = 8 * 1024;

/// Room for so many bytes of requests that are read, or wait for their turn.
#[derive(Clone)]
pub(super) struct Room(Arc<Semaphore>);

/// A body, with its room.
pub(super) struct Read {
    pub bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Oversize,
    Broken,
    /// There is no room.
    Shed,
}

impl Room {
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// The whole body, of at most [`MAX_XML`] bytes; who announces more is not read at all.
    pub async fn read(&self, body: Body) -> Result<Read, Unread> {
        if body.size_hint().lower() > MAX_XML as u64 {
            return Err(Unread::Oversize);
        }
        let (mut room, mut bytes) = (self.take(HEAD)?, Vec::new());
        let mut data = body.into_data_stream();
        while let Some(part) = data.next().await {
            let part = part.map_err(|_| Unread::Broken)?;
            if bytes.len() + part.len() > MAX_XML {
                return Err(Unread::Oversize);
            }
            room.merge(self.take(part.len())?);
            bytes.extend_from_slice(&part);
        }
        Ok(Read { bytes, _room: room })
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Unread> {
        let bytes = u32::try_from(bytes).map_err(|_| Unread::Oversize)?;
        let room = self.0.clone().try_acquire_many_owned(bytes);
        room.map_err(|_| Unread::Shed)
    }
}

#[cfg(test)]
mod tests;
