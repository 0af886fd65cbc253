//! What goes on for longer than a decision is believed: it ends with the rights of whoever asked for it.

use std::pin::Pin;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use muster_wire::Failure;
use tonic::Status;

use super::Rights;

/// Between two looks at what the caller may do: what is taken away ends within this and what is believed anyway.
const LOOK: Duration = Duration::from_secs(5);
/// So often in a row it may be unknown what the caller may do.
const UNKNOWN: u32 = 12;

/// Waits until the caller may not do any more what was allowed, or nobody has known that for a minute; never ends for
/// who may do everything.
pub async fn rights_lost(rights: Rights) -> Failure {
    if rights.are_unlimited() {
        return std::future::pending().await;
    }
    let mut unknown = 0;
    loop {
        tokio::time::sleep(LOOK).await;
        match rights.still_hold().await {
            Ok(()) => unknown = 0,
            Err(refused @ Failure::Refused(_)) => return refused,
            Err(failure) => {
                unknown += 1;
                if unknown >= UNKNOWN {
                    return failure;
                }
            }
        }
    }
}

/// A stream that ends with a refusal as soon as its reader may not read it any more.
pub fn while_allowed<T: Send + 'static>(
    rights: Rights,
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    lasting(rights_lost(rights), stream)
}

fn lasting<T: Send + 'static>(
    end: impl Future<Output = Failure> + Send + 'static,
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
) -> BoxStream<'static, Result<T, Status>> {
    struct Going<T> {
        stream: BoxStream<'static, Result<T, Status>>,
        end: BoxFuture<'static, Failure>,
    }
    let going = Going {
        stream: stream.boxed(),
        end: Box::pin(end) as Pin<Box<_>>,
    };
    let next = |going: Option<Going<T>>| async {
        let mut going = going?;
        tokio::select! {
            biased;
            failure = &mut going.end => Some((Err(Status::from(failure)), None)),
            item = going.stream.next() => item.map(|item| (item, Some(going))),
        }
    };
    stream::unfold(Some(going), next).boxed()
}

#[cfg(test)]
mod tests {
    use muster_wire::{Reason, Refusal};

    use super::*;

    #[tokio::test]
    async fn a_stream_ends_with_the_refusal_or_by_itself() {
        let (lose, lost) = tokio::sync::oneshot::channel::<()>();
        let end = async move {
            let _ = lost.await;
            Refusal::new(Reason::AccessDeniedException, "not any more").into()
        };
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        let endless = stream::unfold(receiver, |mut items: tokio::sync::mpsc::Receiver<u8>| async {
            items.recv().await.map(|item| (Ok(item), items))
        });
        let mut stream = lasting(end, endless);
        sender.send(1).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), 1);
        lose.send(()).unwrap();
        let status = stream.next().await.unwrap().unwrap_err();
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        assert!(stream.next().await.is_none());

        let never = std::future::pending();
        let all: Vec<_> = lasting(never, stream::iter([Ok(1), Ok(2)])).collect().await;
        assert_eq!(all.len(), 2);
    }
}
