//! Whether a work item may enter (agent.md B2.1). Pure; what is known about the run already is asked elsewhere.

use muster_credential::work::Distrust;
use muster_model::NodeId;
use muster_proto::agent::v1::WorkItem;

use crate::facts::CAPABILITIES;
use crate::journal::RunId;

/// The most steps and parameters that one message can hold is bounded by the message; this bounds its text.
const LONGEST_DOCUMENT: usize = 512 * 1024;

/// Why a work item is refused for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the run id is not a UUID of 36 characters")]
    RunId,
    #[error("it is for another node")]
    OtherNode,
    #[error("it has expired")]
    Expired,
    #[error("{0}")]
    Distrusted(Distrust),
    #[error("the coordinator's time is not known yet")]
    NoTime,
    #[error("this agent lacks the capability {0:?}")]
    Capability(String),
    #[error("the document is longer than {LONGEST_DOCUMENT} bytes")]
    TooLong,
}

impl Refused {
    /// Whether it may be taken when it comes again.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(self, Self::NoTime | Self::Distrusted(Distrust::Stranger(_)))
    }
}

/// The run's id, if the item may enter.
pub(crate) fn check(work: &WorkItem, node: &NodeId) -> Result<RunId, Refused> {
    let run: RunId = work.run_id.parse().map_err(|_| Refused::RunId)?;
    if work.node_id != node.as_str() {
        return Err(Refused::OtherNode);
    }
    if work.time_to_live_ms == 0 {
        return Err(Refused::Expired);
    }
    if let Some(lacking) = work
        .required_capabilities
        .iter()
        .find(|word| !CAPABILITIES.contains(&word.as_str()))
    {
        return Err(Refused::Capability(lacking.clone()));
    }
    if work.document_content.len() > LONGEST_DOCUMENT {
        return Err(Refused::TooLong);
    }
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_run_here_is_refused_with_its_reason() {
        let node = NodeId::random();
        let run = RunId::random();
        let good = WorkItem {
            run_id: run.to_string(),
            node_id: node.to_string(),
            time_to_live_ms: 1,
            required_capabilities: vec!["interpolation-env-var".into()],
            ..WorkItem::default()
        };
        assert_eq!(check(&good, &node), Ok(run));
        for (bad, why) in [
            (
                WorkItem {
                    run_id: "../../etc/passwd".into(),
                    ..good.clone()
                },
                Refused::RunId,
            ),
            (
                WorkItem {
                    node_id: NodeId::random().to_string(),
                    ..good.clone()
                },
                Refused::OtherNode,
            ),
            (
                WorkItem {
                    time_to_live_ms: 0,
                    ..good.clone()
                },
                Refused::Expired,
            ),
            (
                WorkItem {
                    required_capabilities: vec!["telepathy".into()],
                    ..good.clone()
                },
                Refused::Capability("telepathy".into()),
            ),
            (
                WorkItem {
                    document_content: "x".repeat(LONGEST_DOCUMENT + 1),
                    ..good.clone()
                },
                Refused::TooLong,
            ),
        ] {
            assert_eq!(check(&bad, &node), Err(why));
        }
    }
}
