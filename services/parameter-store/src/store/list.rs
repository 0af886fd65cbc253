//! Parameters by path and by filters, in the order of their paths.

use muster_store::{Db, StoreError, read};
use sqlx::AssertSqlSafe;

use super::bytewise;
use super::row::{FactsRow, ValueRow, facts_columns, value_columns};
use crate::domain::filter::{By, Comparison, Filter};

/// What parameters are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) filters: Vec<Filter>,
    /// Only what comes after this path and version.
    pub(crate) after: Option<(String, i64)>,
    pub(crate) limit: i64,
    /// In microseconds; what expired before is not listed.
    pub(crate) now: i64,
}

/// Versions with their values.
pub(crate) async fn values(db: &Db, question: &Question) -> Result<Vec<ValueRow>, StoreError> {
    let (sql, texts) = statement(db, value_columns!(), question);
    Ok(read!(db, pool => {
        let mut query = sqlx::query_as(sql);
        for text in &texts {
            query = query.bind(text);
        }
        query.fetch_all(pool).await
    })?)
}

/// Versions without their values.
pub(crate) async fn facts(db: &Db, question: &Question) -> Result<Vec<FactsRow>, StoreError> {
    let (sql, texts) = statement(db, facts_columns!(), question);
    Ok(read!(db, pool => {
        let mut query = sqlx::query_as(sql);
        for text in &texts {
            query = query.bind(text);
        }
        query.fetch_all(pool).await
    })?)
}

fn statement(db: &Db, columns: &str, question: &Question) -> (AssertSqlSafe<String>, Vec<String>) {
    let mut statement = Statement {
        path: bytewise(db),
        conditions: format!("(p.expires_at is null or p.expires_at > {})", question.now),
        texts: Vec::new(),
    };
    let is_labelled = question.filters.iter().any(|filter| matches!(filter, Filter::Label(_)));
    if !is_labelled {
        statement.and("v.version = p.last_version");
    }
    for filter in &question.filters {
        statement.narrow(filter);
    }
    if let Some((path, version)) = &question.after {
        let place = statement.place(path);
        let compared = statement.path;
        statement.and(&format!(
            "({compared} > {place} or ({compared} = {place} and v.version > {version}))"
        ));
    }
    let sql = format!(
        "select {columns} from parameter as p join parameter_version as v on v.parameter_id = p.id where {} order by \
         {}, v.version limit {}",
        statement.conditions, statement.path, question.limit
    );
    // Safe: constants, numbers and placeholders; every text of the caller is bound.
    (AssertSqlSafe(sql), statement.texts)
}

/// Conditions and the texts that go into their placeholders.
#[derive(Debug)]
struct Statement {
    /// The path, compared byte by byte.
    path: &'static str,
    conditions: String,
    texts: Vec<String>,
}

impl Statement {
    fn narrow(&mut self, filter: &Filter) {
        match filter {
            Filter::Below { folders, recursive } => {
                let alternatives: Vec<_> = folders.iter().map(|folder| self.below(folder, *recursive)).collect();
                self.any(&alternatives);
            }
            Filter::Label(labels) => {
                let labels: Vec<_> = labels.iter().map(|label| self.place(label)).collect();
                self.and(&format!(
                    "v.version in (select l.version from parameter_label as l where l.parameter_id = p.id and l.label \
                     in ({}))",
                    labels.join(", ")
                ));
            }
            Filter::Compare {
                key: By::Tag(tag),
                comparison,
                values,
            } => self.tag(tag, *comparison, values),
            Filter::Compare {
                key: By::Name,
                comparison: Comparison::BeginsWith,
                values,
            } => {
                let alternatives: Vec<_> = values.iter().map(|value| self.beginning(value)).collect();
                self.any(&alternatives);
            }
            Filter::Compare {
                key,
                comparison,
                values,
            } => {
                let column = match key {
                    By::Name | By::Tag(_) => "p.path",
                    By::Type => "v.type",
                    By::KeyId => "v.key_id",
                    By::Tier => "v.tier",
                    By::DataType => "v.data_type",
                };
                let alternatives: Vec<_> = values
                    .iter()
                    .map(|value| self.compare(column, *comparison, value))
                    .collect();
                self.any(&alternatives);
            }
        }
    }

    fn compare(&mut self, column: &str, comparison: Comparison, value: &str) -> String {
        let place = self.place(value);
        match comparison {
            Comparison::Equals => format!("{column} = {place}"),
            // Not LIKE: `_` is legal in names, and on SQLite it takes no notice of case.
            Comparison::BeginsWith => format!("substr({column}, 1, length({place})) = {place}"),
            Comparison::Contains => format!("replace({column}, {place}, '') <> {column}"),
        }
    }

    /// Everything below a folder, or its direct children.
    fn below(&mut self, folder: &str, recursive: bool) -> String {
        if recursive {
            return self.beginning(&format!("{folder}/"));
        }
        format!("p.parent = {}", self.place(folder))
    }

    /// A range of paths. All characters of paths come before `{`, so that what begins with the text is just what is not
    /// before it and before the text with a `{`.
    fn beginning(&mut self, text: &str) -> String {
        let (from, to) = (self.place(text), self.place(&format!("{text}{{")));
        format!("({path} >= {from} and {path} < {to})", path = self.path)
    }

    fn tag(&mut self, tag: &str, comparison: Comparison, values: &[String]) {
        let tag = self.place(tag);
        let alternatives: Vec<_> = values
            .iter()
            .map(|value| self.compare("t.value", comparison, value))
            .collect();
        let of_value = match alternatives.is_empty() {
            true => String::new(),
            false => format!(" and ({})", alternatives.join(" or ")),
        };
        self.and(&format!(
            "exists (select 1 from parameter_tag as t where t.parameter_id = p.id and t.key = {tag}{of_value})"
        ));
    }

    fn and(&mut self, condition: &str) {
        self.conditions.push_str(" and ");
        self.conditions.push_str(condition);
    }

    fn any(&mut self, alternatives: &[String]) {
        self.and(&format!("({})", alternatives.join(" or ")));
    }

    fn place(&mut self, text: &str) -> String {
        self.texts.push(text.to_owned());
        format!("${}", self.texts.len())
    }
}
