//! The SQL agrees with the pure rules, for fleets and questions at random.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::{Fresh, databases};
use crate::domain::condition::{Condition, Field, Operator};
use crate::domain::facts::Facts;
use crate::domain::ping;
use crate::domain::target::{Criterion, Selection};
use crate::store::list::{self, Question};
use crate::store::node::NodeRow;
use crate::store::presence::heard;
use crate::store::register::{Registration, register};
use crate::store::target::matching;
use muster_proto::Word;

const NODES: usize = 60;
const QUESTIONS: usize = 400;
const CUTOFF: i64 = 100;

/// A node as it is and as the database knows it.
struct Known {
    row: NodeRow,
    version_order: String,
    tags: BTreeMap<String, String>,
}

/// Few words, so that questions meet nodes; some with what a careless statement would stumble over.
fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "A", "", "a%", "_", "it's", "ü"]).prop_map(str::to_owned)
}

fn version() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "0.1.0", "0.2.0", "0.10.0"]).prop_map(str::to_owned)
}

fn registration() -> impl Strategy<Value = Registration> {
    let tags = prop::collection::btree_map(word(), word(), 0..4);
    (tags, word(), word(), version()).prop_map(|(tags, name, platform_name, agent_version)| Registration {
        tags,
        name,
        facts: Facts {
            agent_version_order: crate::domain::facts::version_order(&agent_version).unwrap_or_default(),
            agent_version,
            platform_name,
            ..Facts::default()
        },
        ..Registration::default()
    })
}

fn draw<T>(runner: &mut TestRunner, strategy: &impl Strategy<Value = T>) -> T {
    strategy.new_tree(runner).unwrap().current()
}

async fn fleet(fresh: &Fresh, runner: &mut TestRunner) -> Vec<Known> {
    let machines: Vec<_> = (0..NODES)
        .map(|number| Registration {
            machine_identity: format!("m{number}"),
            ..draw(runner, &registration())
        })
        .collect();
    let nodes = register(&fresh.db, &machines, 1).await.unwrap();
    let pings: Vec<_> = nodes
        .iter()
        .map(|each| (each.node_id.as_str(), draw(runner, &(0_i64..200))))
        .collect();
    heard(&fresh.db, &pings).await.unwrap();
    let mut known: Vec<_> = machines
        .into_iter()
        .zip(&pings)
        .map(|(machine, (node_id, last_ping))| Known {
            row: NodeRow {
                node_id: (*node_id).to_owned(),
                name: machine.name,
                registered_at: 1,
                activation_id: String::new(),
                iam_role: String::new(),
                agent_version: machine.facts.agent_version,
                platform_type: String::new(),
                platform_name: machine.facts.platform_name,
                platform_version: String::new(),
                computer_name: String::new(),
                ip_address: String::new(),
                architecture: String::new(),
                availability_zone: String::new(),
                last_ping: *last_ping,
            },
            version_order: machine.facts.agent_version_order,
            tags: machine.tags,
        })
        .collect();
    known.sort_by(|one, two| one.row.node_id.cmp(&two.row.node_id));
    known
}

impl Known {
    fn values<'a>(&'a self, field: &'a Field) -> Vec<&'a str> {
        let one = match field {
            Field::NodeId => &self.row.node_id,
            Field::Name => &self.row.name,
            Field::AgentVersion => &self.row.agent_version,
            Field::AgentVersionOrder if self.version_order.is_empty() => return Vec::new(),
            Field::AgentVersionOrder => &self.version_order,
            Field::PlatformName => &self.row.platform_name,
            Field::PingStatus => return vec![ping::status(self.row.last_ping, CUTOFF).word()],
            Field::ResourceType => return vec!["ManagedInstance"],
            Field::SourceType => return vec!["AWS::SSM::ManagedInstance"],
            Field::Tag(key) => return self.tags.get(key).map(String::as_str).into_iter().collect(),
            Field::TagKey => return self.tags.keys().map(String::as_str).collect(),
            Field::Association => return Vec::new(),
            other => panic!("{other:?} is not asked for here"),
        };
        vec![one.as_str()]
    }
}

fn condition(ids: Vec<String>) -> impl Strategy<Value = Condition> {
    let words = || prop::collection::vec(word(), 1..4);
    let operators = || prop::sample::select(vec![Operator::Equal, Operator::NotEqual, Operator::BeginWith]);
    let make = |(field, operator, values)| Condition {
        field,
        operator,
        values,
    };
    let of_text = prop::sample::select(vec![
        Field::Name,
        Field::PlatformName,
        Field::TagKey,
        Field::Association,
    ]);
    let fixed = |field: Field, words: &'static [&'static str]| {
        let values = prop::sample::subsequence(words.to_vec(), 1..=words.len());
        let values = values.prop_map(|words| words.into_iter().map(str::to_owned).collect());
        (Just(field), operators(), values).prop_map(make)
    };
    let orders = prop::collection::vec(
        version().prop_filter_map("a version", |text| crate::domain::facts::version_order(&text)),
        1..3,
    );
    let ordered = prop::sample::select(vec![Operator::LessThan, Operator::GreaterThan]);
    prop_oneof![
        (of_text, operators(), words()).prop_map(make),
        (word().prop_map(Field::Tag), operators(), words()).prop_map(make),
        (Just(Field::NodeId), operators(), prop::sample::subsequence(ids, 1..20)).prop_map(make),
        (Just(Field::AgentVersionOrder), ordered, orders).prop_map(make),
        fixed(Field::AgentVersion, &["0.1.0", "0.10.0", "0"]),
        fixed(Field::PingStatus, &["Online", "ConnectionLost", "Inactive"]),
        fixed(Field::ResourceType, &["ManagedInstance", "EC2Instance"]),
        fixed(Field::SourceType, &["AWS::SSM::ManagedInstance", "AWS::IoT::Thing"]),
    ]
}

#[tokio::test]
async fn lists_hold_the_nodes_for_which_all_conditions_hold() {
    for fresh in databases().await {
        let mut runner = TestRunner::deterministic();
        let fleet = fleet(&fresh, &mut runner).await;
        let ids: Vec<String> = fleet.iter().map(|node| node.row.node_id.clone()).collect();
        let conditions = prop::collection::vec(condition(ids), 0..3);
        for _ in 0..QUESTIONS {
            let conditions = draw(&mut runner, &conditions);
            let expected: Vec<&str> = fleet
                .iter()
                .filter(|node| conditions.iter().all(|each| each.holds(&node.values(&each.field))))
                .map(|node| node.row.node_id.as_str())
                .collect();
            let mut question = Question {
                conditions,
                cutoff: CUTOFF,
                after: String::new(),
                limit: 7,
            };
            let mut seen = Vec::new();
            while let Some(last) = {
                let rows = list::page(&fresh.db, &question).await.unwrap();
                let last = rows.last().map(|row| row.node_id.clone());
                seen.extend(rows.into_iter().map(|row| row.node_id));
                last
            } {
                question.after = last;
            }
            assert_eq!(seen, expected, "{:#?}", question.conditions);
        }
    }
}

#[tokio::test]
async fn targets_are_the_nodes_that_the_rules_mean() {
    for fresh in databases().await {
        let mut runner = TestRunner::deterministic();
        let fleet = fleet(&fresh, &mut runner).await;
        let ids: Vec<String> = fleet.iter().map(|node| node.row.node_id.clone()).collect();
        let criterion = prop_oneof![
            (word(), prop::collection::btree_set(word(), 0..5))
                .prop_map(|(key, values)| Criterion::Tag { key, values }),
            prop::collection::btree_set(word(), 1..4).prop_map(Criterion::TagKey),
            prop::sample::subsequence(ids, 1..40).prop_map(|ids| Criterion::NodeId(ids.into_iter().collect())),
        ];
        let criteria = prop::collection::vec(criterion, 1..5);
        for _ in 0..QUESTIONS {
            let criteria = draw(&mut runner, &criteria);
            let found: Vec<String> = matching(&fresh.db, &criteria)
                .await
                .unwrap()
                .into_iter()
                .map(|row| row.node_id)
                .collect();
            let selection = Selection::Matching(criteria);
            let expected: Vec<&str> = fleet
                .iter()
                .map(|node| (node.row.node_id.as_str(), &node.tags))
                .filter(|(node_id, tags)| selection.means(node_id, tags))
                .map(|(node_id, _)| node_id)
                .collect();
            assert_eq!(found, expected, "{selection:#?}");
        }
    }
}
