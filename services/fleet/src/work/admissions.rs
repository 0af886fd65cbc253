//! Lets machines in by activation, all that wait in one transaction.

use std::collections::HashSet;
use std::sync::Arc;

use muster_boot::Parts;
use muster_model::Timestamp;
use muster_store::Db;
use muster_wire::Failure;
use tokio::sync::{mpsc, oneshot};

use crate::Settings;
use crate::domain::admission::{Applicant, Verdict};
use crate::domain::claim;
use crate::domain::ping;
use crate::error::from_store_for_each;
use crate::store::admit::{Admitted, admit};
use crate::work::{Metrics, News};

/// Most applicants in one transaction.
const GROUP: usize = 256;
/// Applicants that may wait for the transaction before theirs.
const WAITING: usize = 4 * GROUP;

type Waiting = (Applicant, oneshot::Sender<Result<Admitted, Failure>>);

/// Takes applicants.
#[derive(Debug, Clone)]
pub(crate) struct Admissions(mpsc::Sender<Waiting>);

impl Admissions {
    /// Starts the task that writes.
    pub(crate) fn start(parts: &Parts, db: Db, settings: &Settings, news: News, metrics: Metrics) -> Self {
        let (sender, mut waiting) = mpsc::channel::<Waiting>(WAITING);
        let (clock, stopping) = (Arc::clone(&parts.clock), parts.tasks.stopping());
        let clerk = Clerk {
            db,
            news,
            metrics,
            connection_lost_seconds: settings.connection_lost_seconds,
        };
        parts.tasks.spawn("admissions", async move {
            let mut group = Vec::new();
            loop {
                let count = tokio::select! {
                    biased;
                    count = waiting.recv_many(&mut group, GROUP) => count,
                    () = stopping.cancelled() => 0,
                };
                if count == 0 {
                    return Ok(());
                }
                clerk.write(std::mem::take(&mut group), clock.now()).await;
            }
        });
        Self(sender)
    }

    /// Lets a machine in, or not.
    ///
    /// # Errors
    /// If the database does not take it, or the service is stopping.
    pub(crate) async fn apply(&self, applicant: Applicant) -> Result<Admitted, Failure> {
        let stopping = || Failure::Unavailable {
            what: "fleet, which is stopping,".to_owned(),
        };
        let (answer, answered) = oneshot::channel();
        self.0.send((applicant, answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}

struct Clerk {
    db: Db,
    news: News,
    metrics: Metrics,
    connection_lost_seconds: u32,
}

impl Clerk {
    async fn write(&self, mut group: Vec<Waiting>, now: Timestamp) {
        let cutoff = ping::cutoff(now, self.connection_lost_seconds);
        while !group.is_empty() {
            let (first, repeats) = apart(group);
            group = repeats;
            let (applicants, answers): (Vec<_>, Vec<_>) = first.into_iter().unzip();
            match admit(&self.db, &applicants, now.as_microsecond(), cutoff).await {
                Ok(admitted) => self.tell(&applicants, admitted, answers).await,
                Err(error) => {
                    let mut failure = from_store_for_each(error);
                    for answer in answers {
                        let _ = answer.send(Err(failure()));
                    }
                }
            }
        }
    }

    async fn tell(
        &self,
        applicants: &[Applicant],
        admitted: Vec<Admitted>,
        answers: Vec<oneshot::Sender<Result<Admitted, Failure>>>,
    ) {
        for (admitted, answer) in admitted.iter().zip(answers) {
            // A machine that went away finds its node when it asks again.
            let _ = answer.send(Ok(admitted.clone()));
        }
        for (applicant, admitted) in applicants.iter().zip(&admitted) {
            self.account_for(applicant, admitted).await;
        }
    }

    /// The audit: what became of whom, from where, and why.
    async fn account_for(&self, applicant: &Applicant, admitted: &Admitted) {
        let (activation_id, source) = (applicant.activation_id.as_str(), applicant.source.as_str());
        match (&admitted.verdict, &admitted.node_id) {
            (Verdict::Denied { why, locks }, _) => {
                let reason = why.word();
                tracing::warn!(activation_id, source, reason, "a machine was not let in");
                self.metrics.denied_registrations.inc();
                self.news.denied(activation_id, reason, source).await;
                if *locks {
                    tracing::error!(activation_id, source, "an activation is locked after ten wrong codes");
                    self.news.locked(activation_id, source).await;
                }
            }
            (Verdict::Clone { node_id }, _) => {
                tracing::error!(
                    node_id,
                    activation_id,
                    source,
                    "a machine wants to be a node that is online: one of the two is a copy"
                );
                self.news
                    .claimed("clone", node_id, &claim::of_key(&applicant.key), source)
                    .await;
            }
            (Verdict::Doubtful { node_id }, _) => {
                tracing::warn!(
                    node_id,
                    activation_id,
                    source,
                    "a machine may be a node: an operator is asked"
                );
                self.news
                    .claimed("doubtful", node_id, &claim::of_key(&applicant.key), source)
                    .await;
            }
            (Verdict::ForeignKey | Verdict::TooManyTags(_), _) => {
                tracing::warn!(activation_id, source, verdict = ?admitted.verdict, "a machine was not let in");
            }
            (Verdict::New { .. }, Some(node_id)) => {
                tracing::info!(node_id, activation_id, source, "a machine became a node");
                self.metrics.registrations.inc();
                self.news.registered(node_id).await;
            }
            (Verdict::Known { .. }, Some(node_id)) => {
                tracing::info!(node_id, activation_id, source, "a machine registered again");
            }
            (Verdict::New { .. } | Verdict::Known { .. }, None) => {}
        }
    }
}

/// The first application of each installation, and the repeats for the next transaction.
fn apart(group: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let mut seen = HashSet::new();
    group
        .into_iter()
        .partition(|(applicant, _)| seen.insert(applicant.installation.clone()))
}
