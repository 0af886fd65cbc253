//! How a runner asks a service: it has no connection of its own, so the agent carries the question over its own.
//!
//! A runner connects to the agent's socket, writes one question and reads one answer; both ends are here.
//! The socket lies in the state directory, which only the agent's user can enter; which subjects the agent may publish
//! to is the broker's decision.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Longest message in either direction, in bytes: what one NATS message carries.
const LIMIT: u32 = 1024 * 1024;

/// What a runner wants to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// The last words of the subject `muster.v1.rpc.<node>.<operation>`.
    pub(crate) operation: String,
    /// The request, encoded.
    pub(crate) payload: Vec<u8>,
}

/// What became of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The service's answer, encoded.
    Given(Vec<u8>),
    /// The service says no, and why.
    Refused(String),
    /// Nobody answered; asking again may help.
    Unanswered,
}

const GIVEN: u8 = 0;
const REFUSED: u8 = 1;
const UNANSWERED: u8 = 2;

impl Question {
    /// Writes the question.
    pub(crate) async fn write(&self, stream: &mut UnixStream) -> io::Result<()> {
        write(stream, self.operation.as_bytes()).await?;
        write(stream, &self.payload).await
    }

    /// Reads a question; an operation that could be more than some words of a subject is none.
    pub(crate) async fn read(stream: &mut UnixStream) -> io::Result<Self> {
        let operation = String::from_utf8(read(stream).await?).map_err(|_| io::ErrorKind::InvalidData)?;
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase());
        if operation.len() > 64 || !operation.split('.').all(is_word) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let payload = read(stream).await?;
        Ok(Self { operation, payload })
    }
}

impl Answer {
    /// Writes the answer.
    pub(crate) async fn write(&self, stream: &mut UnixStream) -> io::Result<()> {
        let (kind, body) = match self {
            Self::Given(body) => (GIVEN, body.as_slice()),
            Self::Refused(text) => (REFUSED, text.as_bytes()),
            Self::Unanswered => (UNANSWERED, [].as_slice()),
        };
        stream.write_u8(kind).await?;
        write(stream, body).await
    }

    /// Reads an answer.
    pub(crate) async fn read(stream: &mut UnixStream) -> io::Result<Self> {
        let kind = stream.read_u8().await?;
        let body = read(stream).await?;
        match kind {
            GIVEN => Ok(Self::Given(body)),
            REFUSED => Ok(Self::Refused(String::from_utf8_lossy(&body).into_owned())),
            UNANSWERED => Ok(Self::Unanswered),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

async fn write(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= LIMIT);
    stream.write_u32(length.ok_or(io::ErrorKind::InvalidInput)?).await?;
    stream.write_all(bytes).await
}

async fn read(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    if length > LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn questions_and_answers_arrive_as_they_were() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let question = Question {
            operation: "doc.get".into(),
            payload: vec![1, 2, 3],
        };
        question.write(&mut here).await.unwrap();
        assert_eq!(Question::read(&mut there).await.unwrap(), question);
        for answer in [
            Answer::Given(vec![0; 70_000]),
            Answer::Refused("no".into()),
            Answer::Unanswered,
        ] {
            let (written, read) = tokio::join!(answer.write(&mut there), Answer::read(&mut here));
            written.unwrap();
            assert_eq!(read.unwrap(), answer);
        }
    }

    #[tokio::test]
    async fn an_operation_is_words_and_nothing_that_widens_a_subject() {
        for operation in ["", "a..b", "*", "a.>", "a b", "A"] {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            let question = Question {
                operation: operation.into(),
                payload: Vec::new(),
            };
            question.write(&mut here).await.unwrap();
            assert!(Question::read(&mut there).await.is_err(), "{operation}");
        }
    }
}
