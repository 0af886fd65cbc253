//! Filters of the two list operations (run-command 5.1). They hold together; of two with the same key the later counts.

use muster_model::Timestamp;
use muster_proto::Word;
use muster_proto::runcommand::v1::{CommandFilter, CommandFilterKey};
use muster_wire::Refusal;

/// Which of the two lists is filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Commands,
    Invocations,
}

const COMMAND_STATUSES: [&str; 12] = [
    "Pending",
    "InProgress",
    "Success",
    "Cancelled",
    "Failed",
    "TimedOut",
    "AccessDenied",
    "DeliveryTimedOut",
    "ExecutionTimedOut",
    "Incomplete",
    "NoInstancesInTag",
    "LimitExceeded",
];

const INVOCATION_STATUSES: [&str; 13] = [
    "Pending",
    "InProgress",
    "Delayed",
    "Success",
    "Cancelled",
    "Failed",
    "TimedOut",
    "AccessDenied",
    "DeliveryTimedOut",
    "ExecutionTimedOut",
    "Undeliverable",
    "InvalidPlatform",
    "Terminated",
];

/// What a list is narrowed to; `None` means not narrowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    /// Accepted at this time or later, in microseconds.
    pub(crate) after: Option<i64>,
    /// Accepted at this time or earlier, in microseconds.
    pub(crate) before: Option<i64>,
    pub(crate) document_name: Option<String>,
    /// Matches `Status` or `StatusDetails`.
    pub(crate) status: Option<String>,
    /// `ExecutionStage`: whether the command has ended.
    pub(crate) finished: Option<bool>,
}

impl Filters {
    /// Reads the filters of a request.
    pub(crate) fn parse(filters: &[CommandFilter], list: List) -> Result<Self, Refusal> {
        let mut parsed = Self::default();
        for filter in filters {
            let key = filter.key();
            let value = filter.value.as_deref().unwrap_or_default();
            // PostgreSQL refuses even the question.
            if value.contains('\0') {
                let message = format!("the filter {} holds a NUL character", key.word());
                return Err(Refusal::validation(message));
            }
            match key {
                CommandFilterKey::InvokedAfter => parsed.after = Some(time(key, value)?),
                CommandFilterKey::InvokedBefore => parsed.before = Some(time(key, value)?),
                CommandFilterKey::DocumentName => parsed.document_name = Some(value.to_owned()),
                CommandFilterKey::Status => parsed.status = Some(status(value, list)?),
                CommandFilterKey::ExecutionStage => parsed.finished = Some(stage(value, list)?),
                CommandFilterKey::Unset => {
                    return Err(Refusal::new(
                        muster_wire::Reason::InvalidFilterKey,
                        format!("a filter needs a key, one of {}", CommandFilterKey::WORDS.join(", ")),
                    ));
                }
            }
        }
        Ok(parsed)
    }
}

fn time(key: CommandFilterKey, value: &str) -> Result<i64, Refusal> {
    value.parse::<Timestamp>().map(Timestamp::as_microsecond).map_err(|_| {
        Refusal::validation(format!(
            "the filter {} takes a time such as 2021-07-07T00:00:00Z",
            key.word()
        ))
    })
}

fn status(value: &str, list: List) -> Result<String, Refusal> {
    let words: &[&str] = match list {
        List::Commands => &COMMAND_STATUSES,
        List::Invocations => &INVOCATION_STATUSES,
    };
    if words.contains(&value) {
        return Ok(value.to_owned());
    }
    Err(Refusal::validation(format!(
        "the filter Status takes one of {}",
        words.join(", ")
    )))
}

fn stage(value: &str, list: List) -> Result<bool, Refusal> {
    match (list, value) {
        (List::Invocations, _) => Err(Refusal::validation(
            "the filter ExecutionStage works with ListCommands only",
        )),
        (List::Commands, "Executing") => Ok(false),
        (List::Commands, "Complete") => Ok(true),
        (List::Commands, _) => Err(Refusal::validation(
            "the filter ExecutionStage takes Executing or Complete",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(key: CommandFilterKey, value: &str) -> CommandFilter {
        CommandFilter {
            key: Some(key.into()),
            value: Some(value.to_owned()),
        }
    }

    #[test]
    fn the_later_of_two_filters_counts() {
        let filters = [
            filter(CommandFilterKey::Status, "Pending"),
            filter(CommandFilterKey::Status, "Failed"),
        ];
        let parsed = Filters::parse(&filters, List::Commands).unwrap();
        assert_eq!(parsed.status.as_deref(), Some("Failed"));
    }

    #[test]
    fn values_are_checked_per_list() {
        let check = |key, value, list, good: bool| {
            assert_eq!(
                Filters::parse(&[filter(key, value)], list).is_ok(),
                good,
                "{value} {list:?}"
            );
        };
        use CommandFilterKey as K;
        check(K::Status, "Delayed", List::Commands, false);
        check(K::Status, "Delayed", List::Invocations, true);
        check(K::Status, "Terminated", List::Invocations, true);
        check(K::Status, "Incomplete", List::Commands, true);
        check(K::Status, "Incomplete", List::Invocations, false);
        check(K::ExecutionStage, "Executing", List::Commands, true);
        check(K::ExecutionStage, "Executing", List::Invocations, false);
        check(K::InvokedAfter, "2021-07-07T00:00:00Z", List::Commands, true);
        check(K::InvokedAfter, "yesterday", List::Commands, false);
        check(K::DocumentName, "AWS-RunShellScript", List::Commands, true);
        check(K::DocumentName, "AWS\0", List::Commands, false);
    }
}
