use axum::body::Bytes;
use futures_util::{FutureExt, stream};

use super::*;

/// What came of a body, and nothing else yet.
fn begun(bytes: usize) -> Body {
    let part = Ok::<_, std::io::Error>(Bytes::from(vec![b' '; bytes]));
    Body::from_stream(stream::iter([part]).chain(stream::pending()))
}

#[tokio::test]
async fn a_stalled_body_takes_no_more_room_than_what_came_of_it() {
    let room = Room::of(2 * HEAD + MAX_XML);
    let stalled = room.read(begun(1));
    tokio::pin!(stalled);
    assert!(stalled.as_mut().now_or_never().is_none());
    let whole = room.read(Body::from(vec![b' '; MAX_XML - 1])).await;
    let whole = whole.map(|read| read.bytes.len());
    assert_eq!(whole, Ok(MAX_XML - 1));
}

#[tokio::test]
async fn what_there_is_no_room_for_is_shed_until_there_is() {
    let room = Room::of(2 * HEAD + 10);
    let read = async |bytes: usize| {
        let read = room.read(Body::from(vec![b' '; bytes])).await;
        read.map(|read| read.bytes.len())
    };
    let first = room.read(Body::from("12345")).await;
    assert_eq!((read(5).await, read(6).await), (Ok(5), Err(Unread::Shed)));
    drop(first);
    assert_eq!(read(6).await, Ok(6));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_not_read_where_it_is_announced() {
    let room = Room::of(HEAD + 2 * MAX_XML);
    let announced = Body::from(vec![b' '; MAX_XML + 1]);
    let none_left = Room::of(0);
    let unread = none_left.read(announced).await.map(|read| read.bytes);
    assert_eq!(unread, Err(Unread::Oversize), "before it asks for room");
    let unread = room.read(begun(MAX_XML + 1)).await.map(|read| read.bytes);
    assert_eq!(unread, Err(Unread::Oversize));
    let read = room.read(Body::from(vec![b' '; MAX_XML])).await;
    assert_eq!(read.map(|read| read.bytes.len()), Ok(MAX_XML));
}
