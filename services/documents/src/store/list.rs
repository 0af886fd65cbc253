//! Documents by their filters.

use muster_store::{Db, StoreError, read};
use sqlx::AssertSqlSafe;

use super::row::{VersionRow, select_version};
use crate::domain::filter::{Filter, Owner};

const DOCUMENTS: &str = select_version!("where v.version = d.default_version");

/// What documents are listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Question {
    pub(crate) filters: Vec<Filter>,
    /// Only names after this one.
    pub(crate) after: Option<String>,
    pub(crate) limit: i64,
}

/// Documents in their default versions, in the order of their names.
pub(crate) async fn documents(db: &Db, question: &Question) -> Result<Vec<VersionRow>, StoreError> {
    let mut statement = Statement::default();
    for filter in &question.filters {
        statement.narrow(filter);
    }
    if let Some(after) = &question.after {
        statement.any("d.name > {}", std::slice::from_ref(after));
    }
    let sql = format!(
        "{DOCUMENTS}{} order by d.name limit {}",
        statement.conditions, question.limit
    );
    // Safe: constants, numbers and placeholders; every text of the caller is bound.
    let sql = AssertSqlSafe(sql);
    Ok(read!(db, pool => {
        let mut query = sqlx::query_as(sql);
        for text in &statement.texts {
            query = query.bind(text);
        }
        query.fetch_all(pool).await
    })?)
}

/// Conditions and the texts that go into their placeholders.
#[derive(Debug, Default)]
struct Statement {
    conditions: String,
    texts: Vec<String>,
}

impl Statement {
    fn narrow(&mut self, filter: &Filter) {
        match filter {
            Filter::Owner(owner) => self.all(match owner {
                Owner::Amazon => "d.built_in = true",
                Owner::Own => "d.built_in = false",
                Owner::Public => {
                    "(d.built_in = true or exists (
                        select 1 from document_share as s where s.document_id = d.id and s.account_id = 'all'))"
                }
                Owner::Others => "1 = 0",
            }),
            // Not LIKE: on SQLite it takes no notice of case.
            Filter::Name(beginnings) => self.any("substr(d.name, 1, length({})) = {}", beginnings),
            Filter::Platform(platforms) => {
                let words: Vec<_> = platforms.iter().map(|platform| format!("%{platform}%")).collect();
                self.any("v.platforms like {}", &words);
            }
            Filter::Type(types) => {
                let words: Vec<_> = types.iter().map(ToString::to_string).collect();
                self.any("d.document_type = {}", &words);
            }
            Filter::TargetType(types) => self.any("v.target_type = {}", types),
            Filter::Keyword(words) => {
                let patterns: Vec<_> = words.iter().map(|word| containing(word)).collect();
                self.any("v.keywords like {} escape '!'", &patterns);
            }
            Filter::Tag { key, values } => self.tag(key, values),
        }
    }

    /// A condition without texts.
    fn all(&mut self, condition: &str) {
        self.conditions.push_str(" and ");
        self.conditions.push_str(condition);
    }

    /// A condition that holds for any of the texts; `{}` is the text's place.
    fn any(&mut self, condition: &str, texts: &[String]) {
        let alternatives: Vec<_> = texts
            .iter()
            .map(|text| condition.replace("{}", &self.place(text)))
            .collect();
        self.all(&format!("({})", alternatives.join(" or ")));
    }

    fn tag(&mut self, key: &str, values: &[String]) {
        let key = self.place(key);
        let values: Vec<_> = values.iter().map(|value| self.place(value)).collect();
        let of_value = match values.is_empty() {
            true => String::new(),
            false => format!(" and t.value in ({})", values.join(", ")),
        };
        self.all(&format!(
            "exists (select 1 from document_tag as t where t.document_id = d.id and t.key = {key}{of_value})"
        ));
    }

    fn place(&mut self, text: &str) -> String {
        self.texts.push(text.to_owned());
        format!("${}", self.texts.len())
    }
}

/// A pattern for texts that have this one in them.
fn containing(word: &str) -> String {
    let mut pattern = String::from("%");
    for c in word.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}
