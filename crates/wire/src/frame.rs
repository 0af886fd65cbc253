//! gRPC's frame around a message: five bytes, then the message.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tonic::Status;
use tonic::body::Body;

/// Longest message taken or sent: 16 MiB.
pub(crate) const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Puts the frame around a message.
pub(crate) fn wrap(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("bounded by MAX_MESSAGE"));
    framed.put_slice(message);
    framed.freeze()
}

/// Takes the frame off a unary body.
pub(crate) fn unwrap(mut framed: Bytes) -> Result<Bytes, Status> {
    if framed.len() < 5 {
        return Err(Status::internal("a gRPC frame is shorter than its head"));
    }
    let head = framed.split_to(5);
    if head[0] != 0 {
        return Err(Status::unimplemented("compressed gRPC messages"));
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length != framed.len() {
        return Err(Status::internal("a gRPC frame does not hold exactly one message"));
    }
    Ok(framed)
}

/// A body that holds one framed message.
pub(crate) fn body(framed: Bytes) -> Body {
    Body::new(http_body_util::Full::new(framed))
}

/// Reads a whole body, and its trailers.
pub(crate) async fn collect(body: Body) -> Result<(Bytes, Option<http::HeaderMap>), Status> {
    let collected = Limited::new(body, MAX_MESSAGE).collect().await.map_err(|error| {
        if error.downcast_ref::<LengthLimitError>().is_some() {
            Status::resource_exhausted("the message is longer than 16 MiB")
        } else {
            Status::internal("the body broke off")
        }
    })?;
    let trailers = collected.trailers().cloned();
    Ok((collected.to_bytes(), trailers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_off_as_it_went_on() {
        assert_eq!(unwrap(wrap(b"hello")).unwrap(), Bytes::from_static(b"hello"));
        assert_eq!(unwrap(wrap(b"")).unwrap(), Bytes::new());
    }

    #[test]
    fn broken_frames_are_refused() {
        for bad in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x05hell",
            b"\x01\0\0\0\0",
            b"\0\0\0\0\0x",
        ] {
            assert!(unwrap(Bytes::copy_from_slice(bad)).is_err(), "{bad:?}");
        }
    }
}
