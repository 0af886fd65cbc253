//! The queries on SQLite, and on PostgreSQL where `MUSTER_TEST_POSTGRES` names a server.

use muster_model::CommandId;
use muster_proto::agent::v1::record::Fact;
use muster_proto::agent::v1::{Record, StepResult, StepStatus};
use muster_proto::aws::v1::{Alarm, AlarmConfiguration, ExternalAlarmState};
use muster_proto::fanout::v1::{StartRolloutRequest, TargetState, Transition};
use muster_proto::runcommand::v1::Command;
use muster_store::{Db, StoreError};

use crate::domain::command::Progress;
use crate::domain::filter::Filters;
use crate::store::accept::{NewCommand, NewInvocation, accept};
use crate::store::alarm::watched;
use crate::store::cancel::{Scope, cancel, strangers};
use crate::store::news::{self as store_news, News, Told};
use crate::store::read::{self, Question};
use crate::store::record::record;
use crate::store::{outbox, retention};

pub(crate) async fn databases(name: &str) -> Vec<(Db, tempfile::TempDir)> {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("it.db").display());
    let mut all = vec![(Db::open(&url, name, &crate::MIGRATIONS).await.unwrap(), folder)];
    if let Ok(url) = std::env::var("MUSTER_TEST_POSTGRES") {
        let schema = format!("run_command_{name}_{}", std::process::id());
        let db = Db::open(&url, &schema, &crate::MIGRATIONS).await.unwrap();
        all.push((db, tempfile::tempdir().unwrap()));
    }
    all
}

pub(crate) fn command(at: i64, nodes: &[&str]) -> NewCommand {
    let id = CommandId::random();
    NewCommand {
        id,
        requested_at: at,
        expires_at: at + 1,
        document_name: "AWS-RunShellScript".to_owned(),
        facts: Command {
            command_id: Some(id.to_string()),
            ..Command::default()
        },
        progress: Progress::new(u32::try_from(nodes.len()).unwrap(), 0),
        nodes: nodes
            .iter()
            .map(|node| NewInvocation {
                node_id: (*node).to_owned(),
                instance_name: format!("host of {node}"),
            })
            .collect(),
        sender: "arn:aws:iam::000000000000:user/ann".to_owned(),
        steps: vec![("one".to_owned(), "aws:runShellScript".to_owned())],
        triggered_alarm: None,
        rollout: Some(StartRolloutRequest {
            rollout_id: id.to_string(),
            ..StartRolloutRequest::default()
        }),
        traceparent: String::new(),
    }
}

fn news(command: &NewCommand, node: &str, state: TargetState, stdout: Option<&str>) -> Transition {
    let step = stdout.map(|stdout| Record {
        sequence: 1,
        at: None,
        fact: Some(Fact::StepResult(StepResult {
            name: "one".to_owned(),
            status: StepStatus::Success.into(),
            stdout: stdout.to_owned(),
            ..StepResult::default()
        })),
    });
    Transition {
        rollout_id: command.id.to_string(),
        node_id: node.to_owned(),
        state: state.into(),
        at: Some(prost_types::Timestamp { seconds: 9, nanos: 0 }),
        records: step.into_iter().collect(),
        note: String::new(),
    }
}

async fn status(db: &Db, command: &NewCommand) -> (String, String, u32) {
    let row = read::command(db, command.id).await.unwrap().unwrap();
    let completed = row.progress().completed();
    (row.status, row.status_details, completed)
}

/// Whom the events are about, and the new status.
fn words(told: &Told) -> Vec<String> {
    let events = told.news.iter().flat_map(|news| &news.events);
    let word = |event: &crate::domain::event::Event| {
        let whom = event.node_id.as_deref().unwrap_or("command");
        format!("{whom} {}", event.details)
    };
    events.map(word).collect()
}

async fn told_of(db: &Db) -> Vec<News> {
    store_news::oldest(db, "g", 100).await.unwrap()
}

#[tokio::test]
async fn notifications_are_claimed_once_and_come_again_when_their_pause_is_over() {
    for (db, _folder) in databases("notifications").await {
        let mut one = command(1, &["mi-a"]);
        one.facts.notification_config = Some(muster_proto::aws::v1::NotificationConfig {
            notification_arn: Some("ops".to_owned()),
            ..Default::default()
        });
        assert!(
            !accept(&db, std::slice::from_ref(&one), u64::MAX)
                .await
                .unwrap()
                .1
                .notifies()
        );
        let told = record(&db, &[news(&one, "mi-a", TargetState::Success, None)])
            .await
            .unwrap();
        assert!(told.notifies());
        let claim = async |now, until| store_news::claim(&db, "ops", now, until, 10).await.unwrap();
        assert!(
            store_news::claim(&db, "other", 9_000_000, 10_000_000, 10)
                .await
                .unwrap()
                .is_empty()
        );
        let mine = claim(9_000_000, 10_000_000).await;
        assert_eq!((mine.len(), mine[0].attempts), (1, 1));
        assert!(
            mine[0].payload.contains("\"status\":\"Success\""),
            "{}",
            mine[0].payload
        );
        assert!(claim(9_000_000, 10_000_000).await.is_empty(), "somebody has it");
        store_news::postpone(&db, &mine[0].id, 9_500_000).await.unwrap();
        let again = claim(9_600_000, 10_000_000).await;
        assert_eq!(again[0].attempts, 2);
        store_news::done(&db, &again[0].id).await.unwrap();
        assert!(claim(i64::MAX, i64::MAX).await.is_empty());
    }
}

#[tokio::test]
async fn a_command_that_is_accepted_twice_is_there_once() {
    for (db, _folder) in databases("twice").await {
        let one = command(1, &["mi-a"]);
        let same = [command(1, &["mi-a"]), command(1, &["mi-a"])].map(|other| NewCommand { id: one.id, ..other });
        assert_eq!(accept(&db, &same, u64::MAX).await.unwrap().0.len(), 1);
        let (entries, told) = accept(&db, std::slice::from_ref(&one), u64::MAX).await.unwrap();
        assert!(entries.is_empty() && told.news.is_none());
        assert_eq!(status(&db, &one).await.0, "Pending");
    }
}

#[tokio::test]
async fn a_command_beyond_the_quota_of_pending_invocations_reaches_no_node() {
    for (db, _folder) in databases("quota").await {
        let (one, two) = (command(1, &["mi-a", "mi-b"]), command(2, &["mi-a", "mi-b"]));
        let first = [one, two];
        let (entries, told) = accept(&db, &first, 3).await.unwrap();
        let [one, two] = first;
        assert_eq!(entries.len(), 1);
        assert_eq!(
            words(&told),
            ["command Pending", "command Pending", "command LimitExceeded"]
        );
        let over = ("Failed".to_owned(), "LimitExceeded".to_owned(), 0);
        assert_eq!(status(&db, &two).await, over);
        assert!(read::statuses(&db, two.id).await.unwrap().is_empty());
        assert!(cancel(&db, two.id, Scope::All, "", 5).await.unwrap().is_none());

        // What runs or is over does not count; what is delayed does.
        let three = command(3, &["mi-a", "mi-b"]);
        accept(&db, std::slice::from_ref(&three), 3).await.unwrap();
        assert_eq!(status(&db, &three).await, over);
        record(&db, &[news(&one, "mi-a", TargetState::InProgress, None)])
            .await
            .unwrap();
        record(&db, &[news(&one, "mi-b", TargetState::Delayed, None)])
            .await
            .unwrap();
        let four = command(4, &["mi-a", "mi-b"]);
        accept(&db, std::slice::from_ref(&four), 3).await.unwrap();
        assert_eq!(status(&db, &four).await.0, "Pending");
        let five = command(5, &["mi-a"]);
        accept(&db, std::slice::from_ref(&five), 3).await.unwrap();
        assert_eq!(status(&db, &five).await, over);
    }
}

#[tokio::test]
async fn news_change_invocations_steps_and_counters_together() {
    for (db, _folder) in databases("news").await {
        let one = command(1, &["mi-a", "mi-b"]);
        let (entries, told) = accept(&db, std::slice::from_ref(&one), u64::MAX).await.unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(words(&told), ["command Pending"]);
        assert_eq!(status(&db, &one).await, ("Pending".to_owned(), "Pending".to_owned(), 0));

        let first = [
            news(&one, "mi-a", TargetState::InProgress, None),
            news(&one, "mi-b", TargetState::InProgress, None),
            news(&one, "mi-a", TargetState::Success, Some("it's 'fine'")),
        ];
        let told = record(&db, &first).await.unwrap();
        // Also what lasted only for a moment.
        assert_eq!(
            words(&told),
            [
                "mi-a InProgress",
                "command InProgress",
                "mi-b InProgress",
                "mi-a Success"
            ]
        );
        assert_eq!(
            status(&db, &one).await,
            ("InProgress".to_owned(), "InProgress".to_owned(), 1)
        );
        // A repeat changes nothing.
        assert!(record(&db, &first).await.unwrap().news.is_none());
        assert_eq!(status(&db, &one).await.2, 1);

        let told = record(&db, &[news(&one, "mi-b", TargetState::Failed, Some(""))])
            .await
            .unwrap();
        assert_eq!(words(&told), ["mi-b Failed", "command Failed"]);
        assert_eq!(status(&db, &one).await, ("Failed".to_owned(), "Failed".to_owned(), 2));
        // All of it waits to be published, in its order, until it was.
        let rows = told_of(&db).await;
        let all: usize = rows.iter().map(|row| row.events.len()).sum();
        assert_eq!((rows.len(), all), (3, 7));
        let ids: Vec<_> = rows.into_iter().map(|row| row.id).collect();
        store_news::published(&db, &ids).await.unwrap();
        assert!(told_of(&db).await.is_empty());
        let steps = read::plugins(&db, &[(&one.id.to_string(), "mi-a")]).await.unwrap();
        assert_eq!((steps.len(), steps[0].stdout.as_str()), (1, "it's 'fine'"));
    }
}

#[tokio::test]
async fn pages_visit_every_row_once_while_new_ones_arrive() {
    for (db, _folder) in databases("pages").await {
        let first: Vec<_> = (0..5).map(|at| command(at / 2, &["mi-a", "mi-b"])).collect();
        accept(&db, &first, u64::MAX).await.unwrap();
        let mut question = Question {
            limit: 1,
            ..Question::default()
        };
        let mut seen = Vec::new();
        while let Some(row) = read::commands(&db, &question).await.unwrap().pop() {
            question.after = Some((row.requested_at, row.command_id.clone(), String::new()));
            seen.push(row.command_id);
            accept(&db, &[command(100, &[])], u64::MAX).await.unwrap();
        }
        let mut expected: Vec<_> = first.iter().map(|each| each.id.to_string()).collect();
        let mut sorted = seen.clone();
        sorted.sort();
        expected.sort();
        assert_eq!(sorted, expected);

        let mut question = Question {
            node_id: Some("mi-b".to_owned()),
            limit: 2,
            ..Question::default()
        };
        let mut seen = 0;
        loop {
            let rows = read::invocations(&db, &question).await.unwrap();
            let Some(last) = rows.last() else { break };
            seen += rows.len();
            let row = &last.invocation;
            question.after = Some((last.accepted_at, row.command_id.clone(), row.node_id.clone()));
        }
        assert_eq!(seen, 5);
    }
}

#[tokio::test]
async fn steps_are_there_before_their_node_tells_of_them() {
    for (db, _folder) in databases("steps").await {
        let mut one = command(1, &["mi-a"]);
        one.steps.push(("two".to_owned(), "aws:runShellScript".to_owned()));
        accept(&db, std::slice::from_ref(&one), u64::MAX).await.unwrap();
        let words = async || {
            let question = Question {
                limit: 1,
                ..Question::default()
            };
            let row = read::invocations(&db, &question).await.unwrap().remove(0);
            let told = read::plugins(&db, &[(&one.id.to_string(), "mi-a")]).await.unwrap();
            let steps = row.all_steps(told).unwrap().into_iter();
            steps
                .map(|step| format!("{} {} {}", step.name, step.status_details, step.response_code))
                .collect::<Vec<_>>()
        };
        assert_eq!(words().await, ["one Pending -1", "two Pending -1"]);
        record(&db, &[news(&one, "mi-a", TargetState::InProgress, Some("x"))])
            .await
            .unwrap();
        assert_eq!(words().await, ["one Success 0", "two Pending -1"]);
        record(&db, &[news(&one, "mi-a", TargetState::DeliveryTimedOut, None)])
            .await
            .unwrap();
        assert_eq!(words().await, ["one Success 0", "two DeliveryTimedOut -1"]);
    }
}

#[tokio::test]
async fn filters_narrow_by_status_time_and_document() {
    for (db, _folder) in databases("filters").await {
        let (old, new) = (command(10, &["mi-a"]), command(20, &["mi-a"]));
        let ids = [old.id.to_string(), new.id.to_string()];
        accept(&db, &[old, command(30, &[]), new], u64::MAX).await.unwrap();
        let done = Transition {
            rollout_id: ids[0].clone(),
            node_id: "mi-a".to_owned(),
            state: TargetState::DeliveryTimedOut.into(),
            ..Transition::default()
        };
        record(&db, &[done]).await.unwrap();
        let find = async |filters: Filters| {
            let question = Question {
                filters,
                limit: 50,
                ..Question::default()
            };
            let rows = read::commands(&db, &question).await.unwrap();
            rows.into_iter().map(|row| row.command_id).collect::<Vec<_>>()
        };
        let by_status = |status: &str| Filters {
            status: Some(status.to_owned()),
            ..Filters::default()
        };
        assert_eq!(find(by_status("TimedOut")).await, vec![ids[0].clone()]);
        assert_eq!(find(by_status("DeliveryTimedOut")).await, vec![ids[0].clone()]);
        let between = Filters {
            after: Some(20),
            before: Some(20),
            ..Filters::default()
        };
        assert_eq!(find(between).await, vec![ids[1].clone()]);
        let open = Filters {
            finished: Some(false),
            ..Filters::default()
        };
        assert_eq!(find(open).await, vec![ids[1].clone()]);
        let other = Filters {
            document_name: Some("Other".to_owned()),
            ..Filters::default()
        };
        assert!(find(other).await.is_empty());
    }
}

#[tokio::test]
async fn a_cancel_marks_the_command_and_tells_the_coordinator() {
    for (db, _folder) in databases("cancel").await {
        let one = command(1, &["mi-a", "mi-b"]);
        accept(&db, std::slice::from_ref(&one), u64::MAX).await.unwrap();
        let (_, told) = cancel(&db, one.id, Scope::All, "", 5).await.unwrap().unwrap();
        assert_eq!(words(&told), ["command Cancelling"]);
        assert_eq!(status(&db, &one).await.0, "Cancelling");
        let waiting = outbox::oldest(&db, 10).await.unwrap();
        assert_eq!(waiting.len(), 2);
        assert!(matches!(waiting[0].message(), Ok(outbox::Message::Start(_))));
        assert!(matches!(waiting[1].message(), Ok(outbox::Message::Cancel(_))));
        outbox::heard(&db, &waiting).await.unwrap();
        assert!(outbox::oldest(&db, 10).await.unwrap().is_empty());

        let ended: Vec<_> = ["mi-a", "mi-b"]
            .map(|node| news(&one, node, TargetState::Cancelled, None))
            .into_iter()
            .collect();
        record(&db, &ended).await.unwrap();
        assert_eq!(status(&db, &one).await.0, "Cancelled");
        assert!(cancel(&db, one.id, Scope::All, "", 5).await.unwrap().is_none());
        let missing = cancel(&db, CommandId::random(), Scope::All, "", 5).await;
        assert!(matches!(missing, Err(StoreError::Missing)));
        let wrong = strangers(&db, one.id, &["mi-b".to_owned(), "mi-c".to_owned()])
            .await
            .unwrap();
        assert_eq!(wrong, vec!["mi-c".to_owned()]);
    }
}

#[tokio::test]
async fn an_alarm_stops_a_command_once_and_stays_with_it() {
    for (db, _folder) in databases("alarms").await {
        let with_alarm = |mut command: NewCommand| {
            command.facts.alarm_configuration = Some(AlarmConfiguration {
                ignore_poll_alarm_failure: None,
                alarms: vec![Alarm {
                    name: Some("TooSlow".to_owned()),
                }],
            });
            command
        };
        let one = with_alarm(command(1, &["mi-a", "mi-b"]));
        let other = command(2, &["mi-a"]);
        let rings = NewCommand {
            triggered_alarm: Some(ExternalAlarmState::Unknown),
            ..with_alarm(command(3, &["mi-a"]))
        };
        let all = [one, other, rings];
        assert_eq!(accept(&db, &all, u64::MAX).await.unwrap().0.len(), 2);
        let [one, _, rings] = all;
        let over = ("Cancelled".to_owned(), "Cancelled".to_owned(), 0);
        assert_eq!(status(&db, &rings).await, over);
        let ids = async || {
            let watched = watched(&db).await.unwrap();
            watched.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(ids().await, [one.id.to_string()]);

        let stop = async || cancel(&db, one.id, Scope::Unsent(ExternalAlarmState::Alarm), "", 5).await;
        let (entry, told) = stop().await.unwrap().unwrap();
        assert_eq!(words(&told), ["command Cancelling"]);
        let Ok(outbox::Message::Cancel(request)) = entry.message() else {
            panic!("{entry:?}");
        };
        assert!(request.only_unsent && request.node_ids.is_empty());
        assert!(stop().await.unwrap().is_none(), "once is enough");
        assert!(ids().await.is_empty());
        // The user may still end what goes on.
        cancel(&db, one.id, Scope::All, "", 6).await.unwrap().unwrap();
        for (command, state) in [(&one, "ALARM"), (&rings, "UNKNOWN")] {
            let row = read::command(&db, command.id).await.unwrap().unwrap();
            assert_eq!(row.triggered_alarm, state);
            let shown = crate::api::shown(&row).unwrap().triggered_alarms;
            assert_eq!((shown.len(), shown[0].name()), (1, "TooSlow"));
        }
    }
}

#[tokio::test]
async fn only_old_and_finished_commands_are_forgotten() {
    for (db, _folder) in databases("retention").await {
        let (finished, open) = (command(1, &["mi-a"]), command(1, &["mi-a"]));
        let ended = news(&finished, "mi-a", TargetState::Success, Some("x"));
        let (gone, kept) = (finished.id, open.id);
        accept(&db, &[finished, open], u64::MAX).await.unwrap();
        record(&db, &[ended]).await.unwrap();
        let old = async |before, after| {
            let rows = retention::old(&db, before, &after, 10).await.unwrap();
            rows.into_iter().map(|row| row.command_id).collect::<Vec<_>>()
        };
        let start = || (i64::MIN, String::new());
        assert!(old(1, start()).await.is_empty());
        assert!(old(2, (1, gone.to_string())).await.is_empty());
        let ids = old(2, start()).await;
        assert_eq!(ids, [gone.to_string()]);
        retention::forget(&db, &[]).await.unwrap();
        assert!(read::command(&db, gone).await.unwrap().is_some());
        retention::forget(&db, &ids).await.unwrap();
        assert!(read::command(&db, gone).await.unwrap().is_none());
        assert!(read::command(&db, kept).await.unwrap().is_some());
    }
}
