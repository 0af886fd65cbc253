//! What a document may not do that another one started (documents.md 5, run-command.md 10).
//!
//! The step around it could not go on afterwards: so it boots nothing and does not replace the agent. And documents may
//! start documents that start documents, and no further.

use muster_document::Outcome;
use muster_document::action::Action;

/// How deep documents may lie in each other.
const DEEPEST: u32 = 3;

/// How many documents lie around one; none around the one that was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Nesting(u32);

impl Nesting {
    /// For a document that this one starts.
    pub(crate) fn deeper(self) -> Result<Self, String> {
        match self.0 < DEEPEST {
            true => Ok(Self(self.0 + 1)),
            false => Err(format!("documents start each other more than {DEEPEST} deep")),
        }
    }

    /// Whether a step may carry out an action, and why not.
    pub(crate) fn permit(self, action: &Action) -> Result<(), String> {
        match action.name() {
            "aws:updateSsmAgent" if self.0 > 0 => {
                Err("the agent is not updated by a document that another one started".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether a step may ask for a reboot.
    pub(crate) fn may_reboot(self) -> bool {
        self.0 == 0
    }

    /// What becomes of an outcome here; the trace says why it is another one.
    pub(crate) fn judge(self, outcome: Outcome, trace: &mut Vec<String>) -> Outcome {
        match outcome {
            Outcome::SuccessAndReboot if !self.may_reboot() => {
                trace.push("a document that another one started cannot boot the node".to_owned());
                Outcome::Failed
            }
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lie_three_deep_and_only_the_outermost_boots() {
        let mut nesting = Nesting::default();
        let mut trace = Vec::new();
        assert_eq!(
            nesting.judge(Outcome::SuccessAndReboot, &mut trace),
            Outcome::SuccessAndReboot
        );
        assert!(trace.is_empty());
        for _ in 0..DEEPEST {
            nesting = nesting.deeper().unwrap();
            assert_eq!(nesting.judge(Outcome::SuccessAndReboot, &mut trace), Outcome::Failed);
            assert_eq!(nesting.judge(Outcome::Success, &mut trace), Outcome::Success);
        }
        assert_eq!(trace.len(), 3);
        assert!(nesting.deeper().unwrap_err().contains("more than 3 deep"));
    }
}
