//! What is known of a call until it is over, for the audit log (parameter-store 12).

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_proto::access::v1::DecisionRecord;

/// Something that an operation has shown or changed, or that it could not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    /// Its ARN.
    pub resource: String,
    /// What is known of it: `version=3`; `outcome=…` if that is another one than of the whole call. Never what was shown.
    pub details: Vec<String>,
    /// A secret was shown: nobody gets it before this is in the log.
    pub is_secret: bool,
}

/// What is known of a call until it is over.
#[derive(Debug, Default)]
struct Story {
    /// The decisions that let it go on.
    decided: Vec<DecisionRecord>,
    touched: Vec<Touched>,
}

/// The story of a call, if one is told of it; it is told once.
#[derive(Debug, Default)]
pub(super) struct StoryOf(Mutex<Option<Story>>);

/// What is written when a call is over.
#[derive(Debug, PartialEq)]
pub(super) struct End {
    pub(super) records: Vec<DecisionRecord>,
    pub(super) shows_secrets: bool,
}

impl StoryOf {
    /// From now on something is told of the call.
    pub(super) fn begin(&self, decided: Vec<DecisionRecord>) {
        *self.lock() = Some(Story {
            decided,
            touched: Vec::new(),
        });
    }

    pub(super) fn note(&self, touched: Touched) {
        if let Some(story) = &mut *self.lock() {
            story.touched.push(touched);
        }
    }

    /// The end of it; nothing more is told afterwards.
    pub(super) fn end(&self, outcome: &str, made_with: Option<String>) -> Option<End> {
        let story = self.lock().take()?;
        Some(story.end(outcome, made_with.as_ref()))
    }

    /// Nothing in here fails with the lock held.
    fn lock(&self) -> MutexGuard<'_, Option<Story>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Story {
    /// A record for each decision, with what was touched of its resource, and one for everything else that was touched, by
    /// leave of what it was found by.
    fn end(self, outcome: &str, made_with: Option<&String>) -> End {
        let Self { decided, mut touched } = self;
        let shows_secrets = touched.iter().any(|touched| touched.is_secret);
        let finish = |mut details: Vec<String>| {
            if !details.iter().any(|detail| detail.starts_with("outcome=")) {
                details.push(format!("outcome={outcome}"));
            }
            details.extend(made_with.cloned());
            details
        };
        let first = decided.first().cloned().unwrap_or_default();
        let mut records = Vec::with_capacity(decided.len() + touched.len());
        for decision in decided {
            let own = touched.iter().position(|it| it.resource == decision.resource());
            let own = own.map(|place| mem::take(&mut touched.remove(place).details));
            let details = finish(own.unwrap_or_default());
            records.push(DecisionRecord { details, ..decision });
        }
        for it in touched {
            let leave = records.iter().find(|record| record.resource() == it.resource);
            let leave = leave.unwrap_or(&first).clone();
            records.push(DecisionRecord {
                resource: Some(it.resource),
                details: finish(it.details),
                ..leave
            });
        }
        End { records, shows_secrets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(resource: &str) -> DecisionRecord {
        DecisionRecord {
            resource: Some(resource.to_owned()),
            statements: vec![format!("by {resource}")],
            ..DecisionRecord::default()
        }
    }

    fn touched(resource: &str, details: &[&str], is_secret: bool) -> Touched {
        Touched {
            resource: resource.to_owned(),
            details: details.iter().map(|detail| (*detail).to_owned()).collect(),
            is_secret,
        }
    }

    fn told(decided: &[&str], seen: Vec<Touched>, made_with: Option<&str>) -> (Vec<(String, String, String)>, bool) {
        let story = StoryOf::default();
        story.begin(decided.iter().map(|resource| decision(resource)).collect());
        for each in seen {
            story.note(each);
        }
        let end = story.end("OK", made_with.map(str::to_owned)).unwrap();
        assert_eq!(story.end("OK", None), None, "it is told once");
        let records = end.records.into_iter().map(|record| {
            let (by, details) = (record.statements.join(" "), record.details.join(" "));
            (record.resource.unwrap_or_default(), by, details)
        });
        (records.collect(), end.shows_secrets)
    }

    fn line(resource: &str, by: &str, details: &str) -> (String, String, String) {
        (resource.to_owned(), format!("by {by}"), details.to_owned())
    }

    #[test]
    fn a_decision_says_what_came_of_its_resource() {
        let seen = vec![
            touched("a", &["version=3"], false),
            touched("b", &["outcome=ParameterNotFound"], false),
        ];
        assert_eq!(
            told(&["a", "b", "c"], seen, Some("user-agent=x")),
            (
                vec![
                    line("a", "a", "version=3 outcome=OK user-agent=x"),
                    line("b", "b", "outcome=ParameterNotFound user-agent=x"),
                    line("c", "c", "outcome=OK user-agent=x"),
                ],
                false
            )
        );
    }

    #[test]
    fn what_was_found_by_something_else_is_told_by_its_leave() {
        let seen = vec![
            touched("path/a", &["version=1"], false),
            touched("path/a", &["version=2"], true),
        ];
        assert_eq!(
            told(&["path"], seen, None),
            (
                vec![
                    line("path", "path", "outcome=OK"),
                    line("path/a", "path", "version=1 outcome=OK"),
                    line("path/a", "path", "version=2 outcome=OK"),
                ],
                true
            )
        );
    }

    #[test]
    fn nothing_is_told_of_what_was_not_begun() {
        let story = StoryOf::default();
        story.note(touched("a", &[], true));
        assert_eq!(story.end("OK", None), None);
    }
}
