//! Pages of nodes that meet conditions.
//!
//! The text of the statement is put together from constants; everything that a caller gave is bound.

use muster_store::{Db, StoreError, read};
use sqlx::AssertSqlSafe;

use crate::domain::condition::{Condition, Field, Operator};
use crate::store::node::NodeRow;

const SELECT: &str = "
    select n.node_id, n.name, n.registered_at, n.activation_id, n.iam_role, n.agent_version, n.platform_type,
        n.platform_name, n.platform_version, n.computer_name, n.ip_address, n.architecture, n.availability_zone,
        p.last_ping
    from node as n join presence as p on p.node_id = n.node_id
    where n.node_id > $1";
const ORDER: &str = "
    order by n.node_id limit $2";
/// Parameters of the two constants above.
const FIXED_PARAMETERS: usize = 2;
const COUNT_FROM: &str = ", count(*)
    from node as n join presence as p on p.node_id = n.node_id
    where true";
const GROUP: &str = "
    group by 1, 2";

/// What a list is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) conditions: Vec<Condition>,
    /// Who was heard of after this time, in microseconds, is online.
    pub(crate) cutoff: i64,
    /// Nodes after this one; empty: from the first.
    pub(crate) after: String,
    pub(crate) limit: i64,
}

/// Managed nodes in the order of their ids.
pub(crate) async fn page(db: &Db, question: &Question) -> Result<Vec<NodeRow>, StoreError> {
    let mut statement = Statement::new(db, question.cutoff, FIXED_PARAMETERS);
    for condition in &question.conditions {
        statement.and(condition);
    }
    let Statement { tests, bound, .. } = statement;
    let sql = [SELECT, &tests, ORDER].concat();
    Ok(read!(db, pool => {
        // Safe: `Statement` puts together constants and numbers of parameters.
        let mut query = sqlx::query_as(AssertSqlSafe(sql)).bind(&question.after).bind(question.limit);
        for text in &bound {
            query = query.bind(text);
        }
        query.fetch_all(pool).await
    })?)
}

/// How many managed nodes there are of each pair of values that two fields have together, in no order.
pub(crate) async fn counts(
    db: &Db,
    conditions: &[Condition],
    by: [&Field; 2],
    cutoff: i64,
) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut statement = Statement::new(db, cutoff, 0);
    let columns = by.map(|field| statement.text_of(field));
    for condition in conditions {
        statement.and(condition);
    }
    let Statement { tests, bound, .. } = statement;
    let sql = format!("select {}{COUNT_FROM}{tests}{GROUP}", columns.join(", "));
    Ok(read!(db, pool => {
        // Safe: `Statement` puts together constants and numbers of parameters.
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for text in &bound {
            query = query.bind(text);
        }
        query.fetch_all(pool).await
    })?)
}

struct Statement<'a> {
    db: &'a Db,
    cutoff: i64,
    /// Parameters that stand before those that are bound here.
    fixed: usize,
    /// What follows "where".
    tests: String,
    bound: Vec<String>,
}

impl<'a> Statement<'a> {
    fn new(db: &'a Db, cutoff: i64, fixed: usize) -> Self {
        Self {
            db,
            cutoff,
            fixed,
            tests: String::new(),
            bound: Vec::new(),
        }
    }

    /// The number of a new parameter.
    fn bind(&mut self, text: String) -> usize {
        self.bound.push(text);
        self.fixed + self.bound.len()
    }

    fn and(&mut self, condition: &Condition) {
        let Condition {
            field,
            operator,
            values,
        } = condition;
        let is_not = *operator == Operator::NotEqual;
        let test = match field {
            Field::Association => match is_not {
                true => "true".to_owned(),
                false => "false".to_owned(),
            },
            Field::Tag(key) => {
                let key = self.bind(key.clone());
                let value = self.compare("t.value", *operator, values);
                let of_key = format!("select t.node_id from node_tag as t where t.key = ${key} and {value}");
                within(&of_key, is_not)
            }
            Field::TagKey => {
                let key = self.compare("t.key", *operator, values);
                within(&format!("select t.node_id from node_tag as t where {key}"), is_not)
            }
            _ => {
                let text = self.text_of(field);
                let test = self.compare(&text, *operator, values);
                match is_not {
                    true => format!("not ({test})"),
                    false => test,
                }
            }
        };
        self.tests.push_str("\n        and ");
        self.tests.push_str(&test);
    }

    fn text_of(&mut self, field: &Field) -> String {
        let column = match field {
            Field::NodeId => "n.node_id",
            Field::Name => "n.name",
            Field::AgentVersion => "n.agent_version",
            Field::AgentVersionOrder => "n.agent_version_order",
            Field::PlatformType => "n.platform_type",
            Field::PlatformName => "n.platform_name",
            Field::PlatformVersion => "n.platform_version",
            Field::ComputerName => "n.computer_name",
            Field::IpAddress => "n.ip_address",
            Field::Architecture => "n.architecture",
            Field::AvailabilityZone => "n.availability_zone",
            Field::ActivationId => "n.activation_id",
            Field::IamRole => "n.iam_role",
            Field::PingStatus => {
                let cutoff = self.bind(self.cutoff.to_string());
                return format!(
                    "case when p.last_ping > 0 and p.last_ping > cast(${cutoff} as bigint) \
                     then 'Online' else 'ConnectionLost' end"
                );
            }
            Field::ResourceType => "case when n.node_id like 'i-%' then 'EC2Instance' else 'ManagedInstance' end",
            Field::SourceType => {
                "case when n.node_id like 'i-%' then 'AWS::EC2::Instance' else 'AWS::SSM::ManagedInstance' end"
            }
            Field::Same(value) => {
                let value = self.bind(value.clone());
                return format!("cast(${value} as text)");
            }
            // `and` has dealt with these.
            Field::Association | Field::Tag(_) | Field::TagKey => "''",
        };
        column.to_owned()
    }

    /// Whether a text is equal to any, begins with any, or stands before or after each of the values.
    fn compare(&mut self, text: &str, operator: Operator, values: &[String]) -> String {
        let values = self.bind(muster_store::json(values));
        let list = match self.db {
            Db::Sqlite(_) => format!("json_each(${values}) as v"),
            Db::Postgres(_) => format!("json_array_elements_text(cast(${values} as json)) as v(value)"),
        };
        match operator {
            Operator::Equal | Operator::NotEqual => format!("{text} in (select v.value from {list})"),
            Operator::BeginWith => {
                format!("exists (select 1 from {list} where substr({text}, 1, length(v.value)) = v.value)")
            }
            // What is unknown is neither smaller nor greater.
            Operator::LessThan => format!("{text} <> '' and {text} < (select min(v.value) from {list})"),
            Operator::GreaterThan => format!("{text} <> '' and {text} > (select max(v.value) from {list})"),
        }
    }
}

fn within(nodes: &str, is_not: bool) -> String {
    let not = if is_not { "not " } else { "" };
    format!("n.node_id {not}in ({nodes})")
}
