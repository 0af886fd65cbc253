//! Stored rows as the contract shows them.

use std::collections::BTreeMap;

use muster_model::{Account, Timestamp};
use muster_proto::Word;
use muster_proto::aws::v1::{DocumentHashType, PlatformType, Tag};
use muster_proto::documents::v1::{
    AttachmentContent, AttachmentHashType, AttachmentInformation, DocumentDescription, DocumentFormat,
    DocumentIdentifier, DocumentParameter, DocumentParameterType, DocumentRequires, DocumentStatus, DocumentType,
    DocumentVersionInfo, GetDocumentResult, ReviewStatus,
};
use muster_store::StoreError;

use crate::domain::attachment::{Arrival, StoredFile};
use crate::domain::draft::Facts;
use crate::domain::review::Standing;
use crate::store::row::VersionRow;

/// A version in full, without its content.
pub(super) fn description(
    row: &VersionRow,
    shown_tags: BTreeMap<String, String>,
    account: &Account,
) -> Result<DocumentDescription, StoreError> {
    let facts = row.facts()?;
    Ok(DocumentDescription {
        hash: Some(row.hash.clone()),
        hash_type: Some(DocumentHashType::Sha256.into()),
        name: Some(row.name.clone()),
        display_name: row.display_name.clone(),
        version_name: row.version_name.clone(),
        owner: Some(owner(row, account)),
        created_date: Some(time(row.created_at)),
        status: Some(status(row)?.into()),
        status_information: row.reason.clone().or_else(|| facts.remarks.clone()),
        document_version: Some(row.version.to_string()),
        description: facts.description.clone(),
        parameters: parameters(&facts),
        platform_types: platforms(row),
        document_type: DocumentType::from_word(&row.document_type).map(Into::into),
        schema_version: facts.schema_version.clone(),
        latest_version: Some(row.latest_version.to_string()),
        default_version: Some(row.default_version.to_string()),
        document_format: DocumentFormat::from_word(&row.format).map(Into::into),
        target_type: row.target_type.clone(),
        tags: tags(shown_tags),
        attachments_information: attachment_names(&facts),
        requires: requires(&facts),
        ..DocumentDescription::default()
    })
}

/// A document in a list.
pub(super) fn identifier(
    row: &VersionRow,
    shown_tags: BTreeMap<String, String>,
    account: &Account,
) -> Result<DocumentIdentifier, StoreError> {
    let facts = row.facts()?;
    Ok(DocumentIdentifier {
        name: Some(row.name.clone()),
        created_date: Some(time(row.created_at)),
        display_name: row.display_name.clone(),
        owner: Some(owner(row, account)),
        version_name: row.version_name.clone(),
        platform_types: platforms(row),
        document_version: Some(row.version.to_string()),
        document_type: DocumentType::from_word(&row.document_type).map(Into::into),
        schema_version: facts.schema_version.clone(),
        document_format: DocumentFormat::from_word(&row.format).map(Into::into),
        target_type: row.target_type.clone(),
        tags: tags(shown_tags),
        requires: requires(&facts),
        review_status: row.standing()?.map(|standing| review_status(standing).into()),
        ..DocumentIdentifier::default()
    })
}

/// Where the files of a version stand.
fn status(row: &VersionRow) -> Result<DocumentStatus, StoreError> {
    Ok(match row.arrival()? {
        Arrival::Creating => DocumentStatus::Creating,
        Arrival::Active => DocumentStatus::Active,
        Arrival::Failed => DocumentStatus::Failed,
    })
}

/// A version with its content as it is stored, without its review, which may change.
/// `place` is where the URLs of its files begin.
pub(super) fn content(row: &VersionRow, content: String, place: &str) -> Result<GetDocumentResult, StoreError> {
    let facts = row.facts()?;
    Ok(GetDocumentResult {
        name: Some(row.name.clone()),
        created_date: Some(time(row.created_at)),
        display_name: row.display_name.clone(),
        version_name: row.version_name.clone(),
        document_version: Some(row.version.to_string()),
        status: Some(status(row)?.into()),
        status_information: row.reason.clone().or_else(|| facts.remarks.clone()),
        content: Some(content),
        document_type: DocumentType::from_word(&row.document_type).map(Into::into),
        document_format: DocumentFormat::from_word(&row.format).map(Into::into),
        requires: requires(&facts),
        attachments_content: attachments(row.files()?, place),
        ..GetDocumentResult::default()
    })
}

/// A version in a list.
pub(super) fn version(row: &VersionRow) -> Result<DocumentVersionInfo, StoreError> {
    Ok(DocumentVersionInfo {
        name: Some(row.name.clone()),
        display_name: row.display_name.clone(),
        document_version: Some(row.version.to_string()),
        version_name: row.version_name.clone(),
        created_date: Some(time(row.created_at)),
        is_default_version: Some(row.version == row.default_version),
        document_format: DocumentFormat::from_word(&row.format).map(Into::into),
        status: Some(status(row)?.into()),
        status_information: row.reason.clone().or(row.facts()?.remarks),
        review_status: row.standing()?.map(|standing| review_status(standing).into()),
    })
}

/// What a document needs.
fn requires(facts: &Facts) -> Vec<DocumentRequires> {
    let requires = facts.requires.iter().map(|needed| DocumentRequires {
        name: needed.name.clone(),
        version: needed.version.clone(),
        require_type: needed.require_type.clone(),
        version_name: needed.version_name.clone(),
    });
    requires.collect()
}

fn attachment_names(facts: &Facts) -> Vec<AttachmentInformation> {
    let names = facts.attachments.iter().map(|attachment| AttachmentInformation {
        name: Some(attachment.name.clone()),
    });
    names.collect()
}

/// The stored files of a version, with where they are and what they are.
fn attachments(files: Vec<StoredFile>, place: &str) -> Vec<AttachmentContent> {
    let attachments = files.into_iter().map(|file| AttachmentContent {
        name: Some(file.name),
        size: Some(file.size),
        hash: Some(file.sha256),
        hash_type: Some(AttachmentHashType::Sha256.into()),
        url: Some(format!("{place}{}", file.object)),
    });
    attachments.collect()
}

/// Where a review stands.
pub(super) fn review_status(standing: Standing) -> ReviewStatus {
    match standing {
        Standing::Pending => ReviewStatus::Pending,
        Standing::Approved => ReviewStatus::Approved,
        Standing::Rejected => ReviewStatus::Rejected,
    }
}

/// Microseconds since 1970 as the contract's time.
pub(super) fn time(micros: i64) -> prost_types::Timestamp {
    let time = Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH);
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

/// A tag as a caller gives it.
pub(super) fn pair(tag: &Tag) -> (String, String) {
    (
        tag.key.clone().unwrap_or_default(),
        tag.value.clone().unwrap_or_default(),
    )
}

/// Tags in the order of their keys.
pub(super) fn tags(tags: BTreeMap<String, String>) -> Vec<Tag> {
    let tags = tags.into_iter().map(|(key, value)| Tag {
        key: Some(key),
        value: Some(value),
    });
    tags.collect()
}

fn owner(row: &VersionRow, account: &Account) -> String {
    match row.built_in {
        true => "Amazon".to_owned(),
        false => account.to_string(),
    }
}

fn platforms(row: &VersionRow) -> Vec<i32> {
    let words = row.platforms.split(',').filter_map(PlatformType::from_word);
    words.map(Into::into).collect()
}

/// What a content declares, in its order.
pub(super) fn parameters(facts: &Facts) -> Vec<DocumentParameter> {
    let parameters = facts.parameters.iter().map(|parameter| DocumentParameter {
        name: Some(parameter.name.clone()),
        // Types of automations, which the public list does not hold, are texts or lists of texts.
        r#type: DocumentParameterType::from_word(&parameter.kind)
            .or(Some(match parameter.kind.starts_with("List<") {
                true => DocumentParameterType::StringList,
                false => DocumentParameterType::String,
            }))
            .map(Into::into),
        description: parameter.description.clone(),
        default_value: parameter.default.clone(),
    });
    parameters.collect()
}
