//! Answers what the runs of nodes ask on their own subjects: `muster.v1.rpc.<node>.<operation>`.
//!
//! Who asks is the subject's token, which the broker enforces. Each node has a quota, replicas share the questions, and
//! answers are signed (decision 18).

use std::future::Future;
use std::path::Path;

use async_nats::{Client, Message, Subscriber};
use futures::StreamExt;
use muster_credential::work::Answered;
use muster_model::NodeId;
use muster_wire::{Failure, NatsStatus, Refusal, reply_of, subject};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{AnswerSeal, BoxError, NodeQuota, Parts};

/// Most questions answered at once: a fleet that runs one document asks all at once.
const AT_ONCE: usize = 64;

/// What a service answers nodes with.
pub trait NodeAnswerer: Send + Sync + 'static {
    /// The question.
    type Question: prost::Message + Default;
    /// The answer.
    type Answer: prost::Message;

    /// The last words of the subject, one of `muster_wire::subject::RPC_…`.
    const OPERATION: &'static str;
    /// The service without `muster-`; its replicas share the questions.
    const SERVICE: &'static str;

    /// What this node is answered.
    ///
    /// # Errors
    /// Why it is not.
    fn answer(
        &self,
        node: &NodeId,
        question: Self::Question,
    ) -> impl Future<Output = Result<Self::Answer, Failure>> + Send;
}

/// Starts answering. `answer_key_file` holds the key of the service's answers; empty: they are not signed.
///
/// # Errors
/// If the bus does not take the subscription, or the key cannot be used.
pub async fn answer_nodes<A: NodeAnswerer>(parts: &Parts, answer_key_file: &Path, answerer: A) -> Result<(), BoxError> {
    let seal = AnswerSeal::open(A::SERVICE, answer_key_file, &parts.tasks)?;
    let subject = subject::rpc_of_all(A::OPERATION);
    let questions = parts.nats.queue_subscribe(subject, A::SERVICE.to_owned()).await?;
    let desk = Desk {
        answerer,
        nats: parts.nats.clone(),
        quota: parts.node_quota.clone(),
        seal,
    };
    parts
        .tasks
        .spawn(A::OPERATION, desk.listen(questions, parts.tasks.stopping()));
    Ok(())
}

struct Desk<A> {
    answerer: A,
    nats: Client,
    quota: NodeQuota,
    seal: AnswerSeal,
}

impl<A: NodeAnswerer> Desk<A> {
    async fn listen(self, mut questions: Subscriber, stopping: CancellationToken) -> Result<(), BoxError> {
        let desk = &self;
        let until_stopped = questions.by_ref().take_until(stopping.cancelled());
        until_stopped
            .for_each_concurrent(AT_ONCE, |question| desk.take(question))
            .await;
        if !stopping.is_cancelled() {
            return Err("the bus ended the subscription to nodes' questions".into());
        }
        // Other replicas hear the rest from now on; what is here already is answered.
        if questions.unsubscribe().await.is_ok() {
            questions
                .for_each_concurrent(AT_ONCE, |question| desk.take(question))
                .await;
        }
        Ok(())
    }

    async fn take(&self, question: Message) {
        let Some(reply) = reply_of(&question) else { return };
        let (headers, answer) = match self.answer(&question).await {
            Ok((node, answer)) => {
                let headers = self.seal.headers(Answered {
                    node: node.as_str(),
                    operation: A::OPERATION,
                    question: &question.payload,
                    answer: &answer,
                });
                (headers, answer)
            }
            Err(failure) => {
                let (mut headers, error) = NatsStatus::headers(&Status::from(failure));
                headers.insert("Nats-Service-Error", error.status.as_str());
                headers.insert("Nats-Service-Error-Code", error.code.to_string());
                (headers, Vec::new())
            }
        };
        let sent = match headers.is_empty() {
            true => self.nats.publish(reply, answer.into()).await,
            false => self.nats.publish_with_headers(reply, headers, answer.into()).await,
        };
        if let Err(error) = sent {
            // It is asked for again.
            tracing::debug!(error = &error as &dyn std::error::Error, "an answer was not sent");
        }
    }

    async fn answer(&self, question: &Message) -> Result<(NodeId, Vec<u8>), Failure> {
        self.quota.take(question)?;
        let node = subject::node_of(&question.subject).map_err(|error| Refusal::validation(error.to_string()))?;
        let asked = A::Question::decode(question.payload.clone())
            .map_err(|error| Refusal::validation(format!("the question cannot be read: {error}")))?;
        let answer = self.answerer.answer(&node, asked).await?;
        Ok((node, answer.encode_to_vec()))
    }
}
