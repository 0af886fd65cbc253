//! `CreateDocument`, `UpdateDocument`, `UpdateDocumentDefaultVersion`, `DeleteDocument` (documents 7 to 9).

use muster_document::{AttachedFile, DocumentType, Format};
use muster_proto::Word;
use muster_proto::documents::v1::{
    CreateDocumentRequest, CreateDocumentResult, DeleteDocumentRequest, DeleteDocumentResult,
    DocumentDefaultVersionDescription, DocumentFormat, DocumentRequires, DocumentStatus,
    UpdateDocumentDefaultVersionRequest, UpdateDocumentDefaultVersionResult, UpdateDocumentRequest,
    UpdateDocumentResult,
};
use muster_wire::Failure;

use super::{DocumentsApi, settle, view};
use crate::domain::attachment::{Attachment, Source};
use crate::domain::draft::{Draft, Requirement};
use crate::domain::history::Removal;
use crate::domain::version::{Selector, Which};
use crate::domain::{attachment, name, tag};
use crate::error::{DocumentError, from_store};
use crate::store::read;
use crate::store::write::{self, NewVersion};

impl DocumentsApi {
    pub(super) async fn create(&self, request: CreateDocumentRequest) -> Result<CreateDocumentResult, Failure> {
        let asked = request.name.clone().unwrap_or_default();
        name::check_new(&asked)?;
        let sources = attachment::sources(&request.attachments)?;
        let document_type = match request.document_type() {
            muster_proto::documents::v1::DocumentType::Unset => DocumentType::Command,
            given => parse_type(given.word())?,
        };
        let format = parse_format(request.document_format.map(|_| request.document_format()));
        let whole = Selector::new(None, None);
        if read::pointer(&self.db, &asked, &whole)
            .await
            .map_err(from_store)?
            .is_ok()
        {
            return Err(DocumentError::AlreadyExists { name: asked }.into());
        }
        let tags = tag::given(request.tags.iter().map(view::pair))?;
        if tags.len() > tag::MAX_TAGS {
            return Err(DocumentError::TooManyTagsAtCreation { limit: tag::MAX_TAGS }.into());
        }
        let mut draft = Draft::read(request.content.unwrap_or_default(), format, document_type)?;
        draft.facts.requires = request.requires.iter().map(requirement).collect();
        draft.facts.attachments = self.attach(sources, &draft.files).await?;
        let new = NewVersion {
            draft,
            version_name: request.version_name,
            display_name: request.display_name,
            target_type: request.target_type,
            created_at: self.now().as_microsecond(),
        };
        let row = settle(write::create(&self.db, &asked, document_type, &new, &tags, self.quotas()).await)?;
        self.fetch.notify_one();
        self.news.tell("created", &asked, Some(row.version), self.now()).await;
        let mut description = view::description(&row, tags, &self.account).map_err(from_store)?;
        // The reply says what AWS says; a document without attachments can be used at once.
        description.set_status(DocumentStatus::Creating);
        Ok(CreateDocumentResult {
            document_description: Some(description),
        })
    }

    pub(super) async fn update(&self, request: UpdateDocumentRequest) -> Result<UpdateDocumentResult, Failure> {
        let given = request.name.clone().unwrap_or_default();
        let asked = name::asked(&given, &self.account)?.to_owned();
        let sources = attachment::sources(&request.attachments)?;
        let latest = Selector {
            which: Some(Which::Latest),
            name: None,
        };
        let present = settle(read::find(&self.db, &asked, &latest).await)?;
        if present.built_in {
            return Err(DocumentError::BuiltIn { name: asked }.into());
        }
        let facts = present.facts().map_err(from_store)?;
        // Both: a document of the old schema has one version, and a newer one cannot turn into it.
        Draft::check_updatable(facts.schema_version.as_deref())?;
        let format = parse_format(request.document_format.map(|_| request.document_format()));
        let content = request.content.unwrap_or_default();
        let mut draft = Draft::read(content, format, parse_type(&present.document_type)?)?;
        Draft::check_updatable(draft.facts.schema_version.as_deref())?;
        draft.facts.attachments = self.attach(sources, &draft.files).await?;
        let new = NewVersion {
            draft,
            version_name: request.version_name,
            display_name: request.display_name,
            target_type: request.target_type,
            created_at: self.now().as_microsecond(),
        };
        let expected = request.document_version.as_deref().map_or(Which::Latest, Which::parse);
        let id = &present.document_id;
        let row = settle(write::update(&self.db, &asked, id, expected, &new, self.quotas()).await)?;
        self.fetch.notify_one();
        self.news.tell("updated", &asked, Some(row.version), self.now()).await;
        let tags = read::tags(&self.db, id).await.map_err(from_store)?;
        let mut description = view::description(&row, tags, &self.account).map_err(from_store)?;
        description.set_status(DocumentStatus::Updating);
        Ok(UpdateDocumentResult {
            document_description: Some(description),
        })
    }

    pub(super) async fn move_default(
        &self,
        request: UpdateDocumentDefaultVersionRequest,
    ) -> Result<UpdateDocumentDefaultVersionResult, Failure> {
        let given = request.name.unwrap_or_default();
        let asked = name::asked(&given, &self.account)?;
        let which = Which::parse(request.document_version.as_deref().unwrap_or_default());
        let (version, version_name) = settle(write::move_default(&self.db, asked, which).await)?;
        self.news
            .tell("default-changed", asked, Some(version), self.now())
            .await;
        Ok(UpdateDocumentDefaultVersionResult {
            description: Some(DocumentDefaultVersionDescription {
                name: Some(asked.to_owned()),
                default_version: Some(version.to_string()),
                default_version_name: version_name,
            }),
        })
    }

    pub(super) async fn delete(&self, request: DeleteDocumentRequest) -> Result<DeleteDocumentResult, Failure> {
        let given = request.name.unwrap_or_default();
        let asked = name::asked(&given, &self.account)?;
        let selector = Selector::new(request.document_version.as_deref(), request.version_name);
        let force = request.force.unwrap_or_default();
        let version = match settle(write::delete(&self.db, asked, &selector, force).await)? {
            Removal::Document => None,
            Removal::Version { version, .. } => Some(version),
        };
        self.news.tell("deleted", asked, version, self.now()).await;
        Ok(DeleteDocumentResult {})
    }

    /// The files of a new version, whose content speaks of `files`.
    async fn attach(&self, sources: Vec<Source>, files: &[AttachedFile]) -> Result<Vec<Attachment>, Failure> {
        if !sources.is_empty() && self.settings.objects.url.is_empty() {
            let message = "this installation has no object store to keep files in: set objects.url of documents";
            return Err(DocumentError::Attachment(message.to_owned()).into());
        }
        let mut attachments = Vec::new();
        for source in sources {
            match source {
                Source::Folder(url) => attachments.extend(attachment::in_folder(&url, files)?),
                Source::File { name, url } => attachments.push(attachment::stated(&name, url, files)),
                Source::Reference { name, other } => {
                    let row = self.find(&other.document, &other.version).await?;
                    let present = row.files().map_err(from_store)?;
                    let found = present.into_iter().find(|file| file.name == other.file);
                    let found = found.ok_or_else(|| {
                        let message = format!(
                            "{} has no file {} in that version, or does not have it yet",
                            row.name, other.file
                        );
                        DocumentError::Attachment(message)
                    })?;
                    let name = name.unwrap_or(found.name);
                    let found = Attachment {
                        object: Some(found.object),
                        ..attachment::stated(&name, format!("{}/{}/{}", row.name, row.version, other.file), files)
                    };
                    attachments.push(found);
                }
            }
        }
        attachment::check_names(&attachments)?;
        Ok(attachments)
    }
}

/// The format that a request names.
pub(super) fn parse_format(given: Option<DocumentFormat>) -> Format {
    match given {
        None | Some(DocumentFormat::Unset | DocumentFormat::Json) => Format::Json,
        Some(DocumentFormat::Yaml) => Format::Yaml,
        Some(DocumentFormat::Text) => Format::Text,
    }
}

/// The document type of a word of the contract.
pub(super) fn parse_type(word: &str) -> Result<DocumentType, Failure> {
    word.parse()
        .map_err(|_| Failure::internal(format!("{word} is no document type")))
}

fn requirement(requires: &DocumentRequires) -> Requirement {
    Requirement {
        name: requires.name.clone(),
        version: requires.version.clone(),
        require_type: requires.require_type.clone(),
        version_name: requires.version_name.clone(),
    }
}
