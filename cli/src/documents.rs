//! `muster documents`: what can be run.

use std::io::Read as _;

use clap::{Subcommand, ValueEnum};
use muster_proto::Word as _;
use muster_proto::documents::v1::{
    CreateDocumentRequest, DeleteDocumentRequest, DocumentDescription, DocumentFinding, DocumentFormat,
    DocumentIdentifier, DocumentKeyValuesFilter, DocumentType, GetDocumentRequest, ListDocumentsRequest,
    ListDocumentsResult, UpdateDocumentDefaultVersionRequest, UpdateDocumentRequest, ValidateDocumentRequest,
};

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::pair::{self, Choice};
use crate::server::{Server, ServerArguments};
use crate::table::Table;
use crate::{print, shape};

#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    list: ListArguments,
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// Only documents that match: Owner=Self, DocumentType=Command, PlatformTypes=Linux; may be repeated.
    #[arg(long = "filter", value_name = "KEY=VALUE[,VALUE…]", value_parser = pair::choice)]
    filters: Vec<Choice>,
    /// Print the public API's JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List documents (the default).
    List(ListArguments),
    /// Print a document's text.
    Get {
        /// The document's name.
        name: String,
        /// A version: a number, $DEFAULT or $LATEST.
        #[arg(long, default_value = "$DEFAULT")]
        version: String,
        /// Convert it to this format.
        #[arg(long)]
        format: Option<Format>,
    },
    /// Make a document from a file.
    Create {
        /// The document's name.
        name: String,
        #[command(flatten)]
        content: ContentArguments,
        /// What kind of document it is.
        #[arg(long = "type", default_value = "Command", value_parser = document_type)]
        document_type: DocumentType,
    },
    /// Make a new version of a document from a file.
    Update {
        /// The document's name.
        name: String,
        #[command(flatten)]
        content: ContentArguments,
        /// Make it the version that runs when nobody names one.
        #[arg(long)]
        set_default: bool,
    },
    /// Say what is wrong with a document, and what is odd about it, without storing it.
    Validate {
        /// The text; `-` reads the standard input.
        file: String,
        /// The text's format; without it, JSON if the text begins with a brace, text if it is a calendar, YAML otherwise.
        #[arg(long)]
        format: Option<Format>,
        /// What kind of document it is.
        #[arg(long = "type", default_value = "Command", value_parser = document_type)]
        document_type: DocumentType,
        /// Print the whole answer as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete a document with all its versions, or one version.
    Delete {
        /// The document's name.
        name: String,
        /// Only this version.
        #[arg(long)]
        version: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct ContentArguments {
    /// The text; `-` reads the standard input.
    #[arg(long, value_name = "FILE")]
    file: String,
    /// The text's format; without it, JSON if the text begins with a brace, text if it is a calendar, YAML otherwise.
    #[arg(long)]
    format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
    Text,
}

impl Format {
    fn of(text: &str) -> Self {
        match text.trim_start() {
            text if text.starts_with('{') => Self::Json,
            text if text.starts_with("BEGIN:VCALENDAR") => Self::Text,
            _ => Self::Yaml,
        }
    }

    fn in_contract(self) -> i32 {
        (match self {
            Self::Json => DocumentFormat::Json,
            Self::Yaml => DocumentFormat::Yaml,
            Self::Text => DocumentFormat::Text,
        }) as i32
    }
}

fn document_type(text: &str) -> Result<DocumentType, String> {
    DocumentType::from_word(text).ok_or_else(|| format!("expected one of {}", DocumentType::WORDS.join(", ")))
}

pub(crate) async fn run(arguments: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    match arguments.verb.unwrap_or(Verb::List(arguments.list)) {
        Verb::List(wanted) => list(wanted, &server.connect().await?).await,
        Verb::Get { name, version, format } => get(name, version, format, &server.connect().await?).await,
        Verb::Create {
            name,
            content,
            document_type,
        } => create(name, content, document_type, server).await,
        Verb::Update {
            name,
            content,
            set_default,
        } => update(name, content, set_default, server).await,
        Verb::Validate {
            file,
            format,
            document_type,
            json,
        } => validate(&file, format, document_type, json, server).await,
        Verb::Delete { name, version } => delete(name, version, &server.connect().await?).await,
    }
}

async fn list(wanted: ListArguments, server: &Server) -> Result<Exit, Complaint> {
    let filters = wanted.filters.into_iter().map(|filter| DocumentKeyValuesFilter {
        key: Some(filter.key),
        values: filter.values,
    });
    let mut request = ListDocumentsRequest {
        filters: filters.collect(),
        max_results: Some(50),
        ..ListDocumentsRequest::default()
    };
    let mut documents = Vec::new();
    loop {
        let answer = server.documents().list_documents(request.clone()).await;
        let page = answer
            .map_err(|status| Complaint::answered("Documents.ListDocuments", status))?
            .into_inner();
        documents.extend(page.document_identifiers);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListDocumentsResult {
            document_identifiers: documents,
            next_token: None,
        };
        let name = "muster.documents.v1.ListDocumentsResult";
        print::data(&shape::pretty(&shape::json(name, &result)))?;
    } else if documents.is_empty() {
        print::say("no documents");
    } else {
        print::data(&table(&documents))?;
    }
    Ok(Exit::Success)
}

fn table(documents: &[DocumentIdentifier]) -> String {
    let mut table = Table::new(&["NAME", "TYPE", "VERSION", "SCHEMA", "FORMAT", "PLATFORMS", "OWNER"]);
    for document in documents {
        let platforms: Vec<&str> = document.platform_types().map(muster_proto::Word::word).collect();
        table.row([
            document.name().to_owned(),
            document.document_type().word().to_owned(),
            document.document_version().to_owned(),
            document.schema_version().to_owned(),
            document.document_format().word().to_owned(),
            platforms.join(","),
            document.owner().to_owned(),
        ]);
    }
    table.text()
}

async fn get(name: String, version: String, format: Option<Format>, server: &Server) -> Result<Exit, Complaint> {
    let request = GetDocumentRequest {
        name: Some(name),
        document_version: Some(version),
        document_format: format.map(Format::in_contract),
        ..GetDocumentRequest::default()
    };
    let answer = server.documents().get_document(request).await;
    let document = answer
        .map_err(|status| Complaint::answered("Documents.GetDocument", status))?
        .into_inner();
    let mut text = document.content.unwrap_or_default();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    print::data(&text)?;
    Ok(Exit::Success)
}

async fn create(
    name: String,
    content: ContentArguments,
    document_type: DocumentType,
    server: &ServerArguments,
) -> Result<Exit, Complaint> {
    let text = read(&content.file)?;
    let request = CreateDocumentRequest {
        name: Some(name),
        document_type: Some(document_type as i32),
        document_format: Some(content.format.unwrap_or(Format::of(&text)).in_contract()),
        content: Some(text),
        ..CreateDocumentRequest::default()
    };
    let answer = server.connect().await?.documents().create_document(request).await;
    let result = answer.map_err(|status| Complaint::answered("Documents.CreateDocument", status))?;
    say_made(&result.into_inner().document_description.unwrap_or_default());
    Ok(Exit::Success)
}

async fn update(
    name: String,
    content: ContentArguments,
    set_default: bool,
    server: &ServerArguments,
) -> Result<Exit, Complaint> {
    let text = read(&content.file)?;
    let request = UpdateDocumentRequest {
        name: Some(name.clone()),
        document_format: Some(content.format.unwrap_or(Format::of(&text)).in_contract()),
        document_version: Some("$LATEST".to_owned()),
        content: Some(text),
        ..UpdateDocumentRequest::default()
    };
    let server = server.connect().await?;
    let answer = server.documents().update_document(request).await;
    let result = answer.map_err(|status| Complaint::answered("Documents.UpdateDocument", status))?;
    let made = result.into_inner().document_description.unwrap_or_default();
    if set_default {
        let request = UpdateDocumentDefaultVersionRequest {
            name: Some(name),
            document_version: made.document_version.clone(),
        };
        let answer = server.documents().update_document_default_version(request).await;
        answer.map_err(|status| Complaint::answered("Documents.UpdateDocumentDefaultVersion", status))?;
    }
    say_made(&made);
    Ok(Exit::Success)
}

async fn validate(
    file: &str,
    format: Option<Format>,
    document_type: DocumentType,
    json: bool,
    server: &ServerArguments,
) -> Result<Exit, Complaint> {
    let text = read(file)?;
    let request = ValidateDocumentRequest {
        document_type: Some(document_type as i32),
        document_format: Some(format.unwrap_or(Format::of(&text)).in_contract()),
        content: Some(text),
    };
    let answer = server.connect().await?.document_validation().validate(request).await;
    let verdict = answer
        .map_err(|status| Complaint::answered("DocumentValidation.Validate", status))?
        .into_inner();
    if json {
        let name = "muster.documents.v1.ValidateDocumentResult";
        print::data(&shape::pretty(&shape::json(name, &verdict)))?;
    } else {
        for finding in &verdict.findings {
            print::data(&finding_line(finding))?;
        }
    }
    match verdict.acceptable() {
        true => {
            print::say("the document is acceptable");
            Ok(Exit::Success)
        }
        false => {
            print::say(&format!("the document would be refused: {}", verdict.error()));
            Ok(Exit::Failed)
        }
    }
}

/// `error /mainSteps/0/action: …`.
fn finding_line(finding: &DocumentFinding) -> String {
    let path = finding.path();
    let place = if path.is_empty() {
        String::new()
    } else {
        format!(" {path}")
    };
    format!(
        "{}{place}: {}\n",
        finding.severity().word().to_lowercase(),
        finding.message()
    )
}

fn say_made(made: &DocumentDescription) {
    print::say(&format!("{} version {}", made.name(), made.document_version()));
}

async fn delete(name: String, version: Option<String>, server: &Server) -> Result<Exit, Complaint> {
    let request = DeleteDocumentRequest {
        name: Some(name),
        document_version: version,
        ..DeleteDocumentRequest::default()
    };
    let answer = server.documents().delete_document(request).await;
    answer.map_err(|status| Complaint::answered("Documents.DeleteDocument", status))?;
    Ok(Exit::Success)
}

fn read(file: &str) -> Result<String, Complaint> {
    let (path, text) = match file {
        "-" => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            ("the standard input", read.map(|_| text))
        }
        file => (file, std::fs::read_to_string(file)),
    };
    text.map_err(|source| Complaint::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use muster_proto::aws::v1::PlatformType;

    use super::*;

    #[test]
    fn the_list_shows_what_a_document_is() {
        let document = DocumentIdentifier {
            name: Some("AWS-RunShellScript".to_owned()),
            owner: Some("Amazon".to_owned()),
            platform_types: vec![PlatformType::Linux as i32, PlatformType::MacOs as i32],
            document_version: Some("1".to_owned()),
            document_type: Some(DocumentType::Command as i32),
            schema_version: Some("1.2".to_owned()),
            document_format: Some(DocumentFormat::Json as i32),
            ..DocumentIdentifier::default()
        };
        let expected = "\
NAME                TYPE     VERSION  SCHEMA  FORMAT  PLATFORMS    OWNER
AWS-RunShellScript  Command  1        1.2     JSON    Linux,MacOS  Amazon
";
        assert_eq!(table(&[document]), expected);
    }

    #[test]
    fn the_format_shows_in_the_first_letter() {
        assert_eq!(Format::of("\n  {\"schemaVersion\":\"2.2\"}"), Format::Json);
        assert_eq!(Format::of("schemaVersion: '2.2'\n"), Format::Yaml);
        assert_eq!(Format::of("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"), Format::Text);
    }

    #[test]
    fn an_unknown_type_is_answered_with_the_known_ones() {
        assert_eq!(document_type("Command").unwrap(), DocumentType::Command);
        assert!(document_type("Poem").unwrap_err().contains("Automation"));
    }
}
