//! A document that was read and found acceptable.

use std::fmt;

use serde_json::{Map, Value};

use crate::action::Action;
use crate::automation::{self, Runbook};
use crate::content::{MAX_BYTES, TooLarge};
use crate::files::AttachedFile;
use crate::finding::{Finding, Findings, Kind, Pointer, Report};
use crate::format::{self, Format};
use crate::parameter::{Parameter, read_parameters};
use crate::schema::{DocumentType, Schema};
use crate::step::{Setting, Step};
use crate::{files, package, runtime_config, session, step};

/// A document: parsed, checked, immutable.
#[derive(Clone)]
pub struct Document {
    document_type: DocumentType,
    /// Of documents that are understood.
    schema: Option<Schema>,
    content: Value,
    parameters: Vec<Parameter>,
    body: Body,
    files: Vec<AttachedFile>,
    warnings: Vec<Finding>,
}

#[derive(Clone)]
enum Body {
    /// Command and Policy.
    Steps(Vec<Step>),
    /// Automation.
    Runbook(Runbook),
    /// Session, Package, and everything that is stored without being understood.
    Opaque,
}

impl Document {
    /// Reads a document and makes all checks of documents.md 9 from the size on (4 to 12).
    ///
    /// # Errors
    /// [`Findings`]: everything that is wrong with it, not only the first thing.
    pub fn parse(content: &str, format: Format, document_type: DocumentType) -> Result<Self, Findings> {
        let mut report = Report::default();
        let document = read(content, format, document_type, &mut report);
        let warnings = report.verdict()?;
        let mut document = document.expect("a document without an error was read to its end");
        document.warnings = warnings;
        Ok(document)
    }

    /// What the document is for.
    #[must_use]
    pub fn document_type(&self) -> DocumentType {
        self.document_type
    }

    /// The schema, of documents that are understood.
    #[must_use]
    pub fn schema(&self) -> Option<Schema> {
        self.schema
    }

    /// `description`, if there is one.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.content.get("description").and_then(Value::as_str)
    }

    /// The declared parameters in the document's order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The declaration of one parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name() == name)
    }

    /// The steps that nodes run; none unless it is a Command or a Policy.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        match &self.body {
            Body::Steps(steps) => steps,
            Body::Runbook(_) | Body::Opaque => &[],
        }
    }

    /// The runbook of an Automation document.
    #[must_use]
    pub fn runbook(&self) -> Option<&Runbook> {
        match &self.body {
            Body::Runbook(runbook) => Some(runbook),
            Body::Steps(_) | Body::Opaque => None,
        }
    }

    /// The attached files that an Automation or a Package speaks of, in the document's order.
    #[must_use]
    pub fn files(&self) -> &[AttachedFile] {
        &self.files
    }

    /// The whole document as an ordered value.
    #[must_use]
    pub fn content(&self) -> &Value {
        &self.content
    }

    /// What is odd about it; never blocks.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// The abilities beyond the protocol's first version that an agent needs to run it safely.
    #[must_use]
    pub fn required_capabilities(&self) -> Vec<&'static str> {
        match self.parameters.iter().any(Parameter::is_variable) {
            true => vec![CAPABILITY_ENV_VAR],
            false => Vec::new(),
        }
    }
}

/// The ability to hand `ENV_VAR` parameters to scripts as environment variables instead of pasting them.
pub const CAPABILITY_ENV_VAR: &str = "interpolation-env-var";

impl fmt::Debug for Document {
    /// Names the document's kind; its text is nobody's business in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("document_type", &self.document_type)
            .field("schema", &self.schema)
            .field(
                "parameters",
                &self.parameters.iter().map(Parameter::name).collect::<Vec<_>>(),
            )
            .field("steps", &self.steps().iter().map(Step::name).collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn read(content: &str, format: Format, document_type: DocumentType, report: &mut Report) -> Option<Document> {
    let root = Pointer::root();
    if content.len() > MAX_BYTES {
        report.refuse(Kind::TooLarge, &root, TooLarge { bytes: content.len() }.to_string());
        return None;
    }
    let value = match format::parse(content, format) {
        Ok(value) => value,
        Err(error) => {
            report.error(&root, error.to_string());
            return None;
        }
    };
    if document_type == DocumentType::ChangeCalendar {
        check_calendar(content, format, report);
    }
    if document_type.schemas().is_empty() {
        return Some(Document {
            document_type,
            schema: None,
            content: value,
            parameters: Vec::new(),
            body: Body::Opaque,
            files: Vec::new(),
            warnings: Vec::new(),
        });
    }
    if format == Format::Text {
        report.error(&root, format!("a {document_type} document is written in JSON or YAML"));
        return None;
    }
    let Value::Object(map) = &value else {
        report.error(&root, "the document is not a map");
        return None;
    };
    let schema = read_schema(map, document_type, report)?;
    if document_type == DocumentType::Package {
        let files = package::read(map, report);
        return Some(Document {
            document_type,
            schema: Some(schema),
            content: value,
            parameters: Vec::new(),
            body: Body::Opaque,
            files,
            warnings: Vec::new(),
        });
    }
    check_keys(map, schema, report);
    let parameters = match map.get("parameters") {
        // A YAML key with nothing behind it is seen in practice.
        None | Some(Value::Null) => Vec::new(),
        Some(parameters) => read_parameters(parameters, schema, &root.key("parameters"), report),
    };
    let setting = Setting {
        schema,
        parameters: &parameters,
    };
    let body = match schema {
        Schema::V1_2 => Body::Steps(runtime_config::read(map, &setting, report)),
        Schema::V2_0 | Schema::V2_2 => Body::Steps(step::read(map, &setting, report)),
        Schema::V0_3 => Body::Runbook(automation::read(map, &setting, report)),
        Schema::V1_0 => {
            session::check(map, report);
            Body::Opaque
        }
    };
    let files = match schema {
        Schema::V0_3 => files::read(map.get("files"), &root.key("files"), report),
        _ => Vec::new(),
    };
    Some(Document {
        document_type,
        schema: Some(schema),
        content: value,
        parameters,
        body,
        files,
        warnings: Vec::new(),
    })
}

fn read_schema(map: &Map<String, Value>, document_type: DocumentType, report: &mut Report) -> Option<Schema> {
    let at = Pointer::root().key("schemaVersion");
    let word = match map.get("schemaVersion") {
        Some(Value::String(word)) => word,
        Some(_) => {
            report.error(&at, "schemaVersion should be String");
            return None;
        }
        None => {
            report.error(&at, "schemaVersion is missing");
            return None;
        }
    };
    let allowed = document_type.schemas();
    let Some(schema) = Schema::from_word(word).filter(|schema| allowed.contains(schema)) else {
        let allowed = allowed
            .iter()
            .map(|schema| schema.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!("a {document_type} document has schemaVersion {allowed}");
        report.refuse(Kind::SchemaVersion, &at, message);
        return None;
    };
    Some(schema)
}

/// A calendar is looked at from outside only: what its events mean is decided where the calendar is asked.
fn check_calendar(content: &str, format: Format, report: &mut Report) {
    let root = Pointer::root();
    if format != Format::Text {
        report.error(&root, "a ChangeCalendar document is written as TEXT");
    }
    let mut lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
    let is = |line: Option<&str>, word: &str| line.is_some_and(|line| line.eq_ignore_ascii_case(word));
    if !is(lines.next(), "BEGIN:VCALENDAR") || !is(lines.next_back(), "END:VCALENDAR") {
        report.error(
            &root,
            "a calendar begins with BEGIN:VCALENDAR and ends with END:VCALENDAR",
        );
    }
}

fn check_keys(map: &Map<String, Value>, schema: Schema, report: &mut Report) {
    let root = Pointer::root();
    for key in map
        .keys()
        .filter(|key| !schema.top_level_keys().contains(&key.as_str()))
    {
        report.error(
            &root.key(key),
            format!("unknown key {key:?} in a document of schema {schema}"),
        );
    }
    if map
        .get("description")
        .is_some_and(|description| !description.is_string())
    {
        report.error(&root.key("description"), "description must be a text");
    }
}

/// The words of all actions a schema knows, for messages.
pub(crate) fn known_actions(schema: Schema) -> String {
    Action::known(schema).map(Action::name).collect::<Vec<_>>().join(", ")
}
