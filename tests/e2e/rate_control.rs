//! Rate control as users see it: the worked examples of the specification, and two coordinators of which one dies.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use muster_agent_sim::{End, Fleet, FleetSettings, Outcome, Script};
use muster_harness::{Postgres, until_within};
use muster_proto::aws::v1::Target;
use muster_proto::runcommand::v1::{CommandInvocation, SendCommandRequest};
use muster_tests::{Api, Cluster};

/// Rows of schedules-and-rate-control 7.4: number, N, MaxConcurrency, MaxErrors, outcomes, sent, and then
/// Success, Failed, Other, Not sent, Final. `F4` fails at position 4, `X` runs too long, `D` is away, `U` is unknown.
const ROWS: &str = "
R01 10 50 0 - 10 10 0 0 0 Success
R02 10 50 0 F4 10 9 1 0 0 Failed
R03 10 1 0 F4 4 3 1 0 6 Failed
R04 10 1 0 F1 1 0 1 0 9 Failed
R05 10 1 1 F4 10 9 1 0 0 Incomplete
R06 10 1 1 F4,7 7 5 2 0 3 Failed
R07 10 1 2 F4 10 9 1 0 0 Incomplete
R08 10 3 0 F2 4 3 1 0 6 Failed
R09 10 3 1 F2,3 5 3 2 0 5 Failed
R10 10 3 1 F2,3,5 5 2 3 0 5 Failed
R11 10 100% 0 F1,2,3 10 7 3 0 0 Failed
R12 50 10% 10% F1..5 50 45 5 0 0 Incomplete
R13 50 10% 10% F1..6 10 4 6 0 40 Failed
R14 50 1 10% F1..6 6 0 6 0 44 Failed
R15 50 5 3 F10,20,30,40 44 40 4 0 6 Failed
R16 50 10% 10% F1..4 50 46 4 0 0 Incomplete
R17 5 10% 10% F3 3 2 1 0 2 Failed
R18 5 50% 50% F1,2 5 3 2 0 0 Incomplete
R19 5 50% 50% F1,2,3 4 1 3 0 1 Failed
R20 7 30% 15% F2,6 7 5 2 0 0 Failed
R21 3 33% 33% F2 2 1 1 0 1 Failed
R22 1 1 0 F1 1 0 1 0 0 Failed
R23 1 50 1 F1 1 0 1 0 0 Failed
R24 10 1 100% F1..10 10 0 10 0 0 Failed
R25 10 2 99% F1..10 10 0 10 0 0 Failed
R26 4 10 10 F1..4 4 0 4 0 0 Failed
R27 200 50 0 F60 109 108 1 0 91 Failed
R28 19 10% 5% F7 7 6 1 0 12 Failed
R29 10 2 0 X5 6 5 1 0 4 Failed
R30 5 5 0 U1..4 5 1 0 4 0 Success
R31 5 5 0 U1..5 5 0 0 5 0 Failed
R32 5 1 0 D2 5 4 0 1 0 DeliveryTimedOut
R33 5 1 2 D2 5 4 0 1 0 Incomplete
R34 6 1 1 U1,2_F4 6 3 1 2 0 Incomplete
R35 99 10% 1% F1 9 8 1 0 90 Failed
";

/// Between two ends of nodes that were sent their work together: more than a busy machine's hiccup.
const GAP: Duration = Duration::from_millis(40);
/// Longer than the ramp takes.
const LEAST: Duration = Duration::from_millis(400);
/// Commands at the same time.
const AT_ONCE: usize = 8;

#[derive(Debug, Clone)]
struct Row {
    name: String,
    targets: usize,
    concurrency: String,
    errors: String,
    /// Outcomes that are no success, by position from 1.
    ends: BTreeMap<usize, char>,
    /// Sent, Success, Failed, Other, Not sent.
    counts: [usize; 5],
    last: String,
}

impl Row {
    fn read(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let mut ends = BTreeMap::new();
        for group in words[4].split('_').filter(|group| *group != "-") {
            let (letter, positions) = group.split_at(1);
            for range in positions.split(',') {
                let (first, last) = range.split_once("..").unwrap_or((range, range));
                let range = first.parse::<usize>().unwrap()..=last.parse().unwrap();
                ends.extend(range.map(|position| (position, letter.chars().next().unwrap())));
            }
        }
        Self {
            name: words[0].to_owned(),
            targets: words[1].parse().unwrap(),
            concurrency: words[2].to_owned(),
            errors: words[3].to_owned(),
            ends,
            counts: std::array::from_fn(|at| words[5 + at].parse().unwrap()),
            last: words[10].to_owned(),
        }
    }

    fn unknown(&self) -> usize {
        self.ends.values().filter(|end| **end == 'U').count()
    }

    fn is_away(&self) -> bool {
        self.ends.values().any(|end| *end == 'D')
    }
}

/// What becomes of the node at a position of a row.
fn outcome(row: &Row, position: usize) -> Outcome {
    let delay = LEAST + GAP * u32::try_from(position).unwrap();
    let plain = Outcome::success_after(delay);
    match row.ends.get(&position) {
        Some('F') => Outcome { code: 1, ..plain },
        Some('X') => Outcome {
            end: End::TimeOut,
            ..plain
        },
        _ => plain,
    }
}

async fn fleet(cluster: &Cluster, name: &str, nodes: usize) -> Fleet {
    Fleet::start(FleetSettings {
        nats_url: cluster.nats.url(),
        credentials: Some(cluster.crowd()),
        nodes,
        // One, so that what nodes say arrives in the order in which they say it.
        connections: 1,
        name: name.to_owned(),
        tags: BTreeMap::from([("Fleet".to_owned(), name.to_owned())]),
        script: Script::always(Outcome::NOTHING),
    })
    .await
    .unwrap()
}

/// Numbers of a fleet's nodes in the order of their ids, which is the order in which they are sent to.
fn in_order(fleet: &Fleet) -> Vec<(usize, String)> {
    let mut ids: Vec<_> = fleet.ids().iter().map(ToString::to_string).enumerate().collect();
    ids.sort_by(|one, other| one.1.cmp(&other.1));
    ids
}

/// Lets the nodes of a fleet do what the row that a command names wants of their positions.
fn obey(fleet: &Fleet, rows: &Arc<HashMap<String, Row>>) {
    let mut rank = vec![0; fleet.ids().len()];
    for (position, (number, _)) in in_order(fleet).into_iter().enumerate() {
        rank[number] = position + 1;
    }
    let rows = Arc::clone(rows);
    fleet.set_script(Script::new(move |number, item| {
        let row = &rows[&item.parameters["commands"].items[0]];
        outcome(row, row.unknown() + rank[number])
    }));
}

fn by_ids(ids: impl IntoIterator<Item = String>) -> Target {
    Target {
        key: Some("InstanceIds".to_owned()),
        values: ids.into_iter().collect(),
    }
}

fn by_fleet(name: &str) -> Target {
    Target {
        key: Some("tag:Fleet".to_owned()),
        values: vec![name.to_owned()],
    }
}

/// Sent, Success, Failed, Other, Not sent.
fn counts(invocations: &[CommandInvocation]) -> [usize; 5] {
    let of = |words: &[&str]| {
        let is = |each: &&CommandInvocation| words.contains(&each.status_details());
        invocations.iter().filter(is).count()
    };
    let not_sent = of(&["Terminated"]);
    [
        invocations.len() - not_sent,
        of(&["Success"]),
        of(&["Failed", "ExecutionTimedOut"]),
        of(&["DeliveryTimedOut", "Undeliverable"]),
        not_sent,
    ]
}

/// Runs a row; says what is wrong, if anything.
async fn try_row(cluster: &Cluster, ids: &[String], row: &Row) -> Option<String> {
    let unknown = (1..=row.unknown()).map(|number| format!("mi-{number:017x}"));
    let target = match row.targets {
        200 => by_fleet("all"),
        99 => by_fleet("many"),
        _ if row.is_away() => by_fleet("away"),
        count => by_ids(unknown.chain(ids.iter().take(count - row.unknown()).cloned())),
    };
    let mut request = SendCommandRequest {
        targets: vec![target],
        max_concurrency: Some(row.concurrency.clone()),
        max_errors: Some(row.errors.clone()),
        timeout_seconds: Some(if row.is_away() { 30 } else { 600 }),
        ..Api::script(&[], &[&row.name])
    };
    let seconds = muster_proto::aws::v1::ParameterValueList {
        items: vec!["5".to_owned()],
    };
    request.parameters.insert("executionTimeout".to_owned(), seconds);
    let mut api = cluster.api().await;
    let id = api.start(request).await;
    let command = api.ended_within(&id, Duration::from_secs(120)).await;
    let got = (counts(&api.invocations(&id).await), command.status_details().to_owned());
    cluster.verify(&id);
    // The kind of the errors is told too where all of them are of one kind (run-command 4.3).
    let last = match row.ends.values().any(|end| *end == 'X') {
        true => "ExecutionTimedOut".to_owned(),
        false => row.last.clone(),
    };
    let wrong = got != (row.counts, last.clone());
    wrong.then(|| format!("{}: {got:?} instead of {:?} {last}", row.name, row.counts))
}

/// Item 10: every row, from the command to its end.
#[tokio::test]
async fn every_worked_example_comes_out_as_the_table_says() {
    let cluster = Cluster::start(&[]).await;
    let rows: Vec<Row> = ROWS.trim().lines().map(Row::read).collect();
    assert_eq!(rows.len(), 35);
    let by_name = Arc::new(rows.iter().map(|row| (row.name.clone(), row.clone())).collect());
    let (all, many, away) = (
        fleet(&cluster, "all", 200).await,
        fleet(&cluster, "many", 99).await,
        fleet(&cluster, "away", 5).await,
    );
    for fleet in [&all, &many, &away] {
        obey(fleet, &by_name);
    }
    away.disconnect(in_order(&away)[1].0);
    let ids: Vec<String> = in_order(&all).into_iter().map(|(_, id)| id).collect();

    let wrong: Vec<String> = futures::stream::iter(&rows)
        .map(|row| try_row(&cluster, &ids, row))
        .buffer_unordered(AT_ONCE)
        .filter_map(async |wrong| wrong)
        .collect()
        .await;
    assert!(wrong.is_empty(), "{wrong:#?}");
    for fleet in [all, many, away] {
        fleet.stop().await;
    }
}

const NODES: usize = 1_000;
/// The position whose failure is one too many.
const FATAL: usize = 600;
const CONCURRENCY: usize = 50;

/// Item 14, on PostgreSQL where a server is at hand (`MUSTER_TEST_POSTGRES`): SQLite has one replica for each service.
#[tokio::test]
async fn of_two_coordinators_one_dies_in_the_middle_and_nobody_is_forgotten_or_runs_twice() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let settings = [("muster-fan-out", "MUSTER_DATABASE__URL", postgres.url())];
    let mut cluster = Cluster::start_with(&[], &settings).await;
    cluster
        .add_replica("muster-fan-out-two", "muster-fan-out", &postgres.url())
        .await;
    let fleet = fleet(&cluster, "pair", NODES).await;
    let mut rank = vec![0; NODES];
    for (position, (number, _)) in in_order(&fleet).into_iter().enumerate() {
        rank[number] = position;
    }
    fleet.set_script(Script::new(move |number, _| Outcome {
        code: i32::from(rank[number] == FATAL),
        ..Outcome::success_after(Duration::from_millis(100))
    }));
    let mut api = cluster.api().await;
    // Several, so that each replica has some of them whoever took which.
    let mut ids = Vec::new();
    for _ in 0..4 {
        let request = SendCommandRequest {
            targets: vec![by_fleet("pair")],
            max_concurrency: Some(CONCURRENCY.to_string()),
            max_errors: Some("0".to_owned()),
            ..Api::script(&[], &["true"])
        };
        ids.push(api.start(request).await);
    }
    let mut waiting = api.clone();
    until_within(Duration::from_secs(60), "the commands are under way", async || {
        for id in &ids {
            let command = waiting.command(id).await.map_err(|status| status.to_string())?;
            if command.completed_count() < 200 {
                return Err(format!("{:?}", command.completed_count));
            }
        }
        Ok(())
    })
    .await;
    cluster.kill("muster-fan-out");
    for id in &ids {
        let command = api.ended_within(id, Duration::from_secs(120)).await;
        assert_eq!(command.status_details(), "Failed");
        assert_eq!((command.target_count(), command.completed_count()), (1_000, 1_000));
        assert_eq!(command.error_count(), 1);
        let [sent, success, failed, other, not_sent] = counts(&api.invocations(id).await);
        assert_eq!((failed, other), (1, 0));
        assert_eq!(sent, success + 1);
        assert!(not_sent >= NODES - FATAL - 2 * CONCURRENCY, "{not_sent} were spared");
        let ran = fleet.executions().into_iter().filter(|each| each.run_id == *id);
        let ran: Vec<_> = ran.collect();
        assert_eq!(ran.len(), sent, "whoever was sent the work has run it");
        assert!(ran.iter().all(|each| each.times == 1), "nobody ran it twice");
        // The history says that nothing was sent after the breach, whoever was the coordinator.
        cluster.verify(id);
    }
    fleet.stop().await;
}
