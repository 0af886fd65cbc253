//! Files that belong to a version: where they come from, and what they must be (documents.md 7, 8).
//!
//! A version keeps where its files come from, and the checksums that its content states. They are fetched when the version
//! is there already, as `Creating`, and then kept in the object store.

use muster_document::AttachedFile;
use muster_proto::documents::v1::{AttachmentsSource, AttachmentsSourceKey};
use serde::{Deserialize, Serialize};

use crate::domain::version::{Selector, Which};
use crate::error::DocumentError;

/// A file of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    /// Where it comes from.
    pub(crate) url: String,
    /// Where it is already, as a file of another version.
    #[serde(default)]
    pub(crate) object: Option<String>,
    /// SHA-256 in lower-case hexadecimal, if the content states it.
    pub(crate) sha256: Option<String>,
    /// Bytes, if the content states them.
    pub(crate) size: Option<i64>,
}

/// A file that is in the object store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    pub(crate) name: String,
    /// Its key in the bucket of attachments.
    pub(crate) object: String,
    /// In lower-case hexadecimal.
    pub(crate) sha256: String,
    /// Bytes.
    pub(crate) size: i64,
}

/// How far the files of a version have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// They are being fetched.
    Creating,
    /// They are all there.
    Active,
    /// One of them could not be had.
    Failed,
}

impl Arrival {
    /// The word that is stored.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Active => "Active",
            Self::Failed => "Failed",
        }
    }

    /// The arrival of a stored word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Creating, Self::Active, Self::Failed]
            .into_iter()
            .find(|arrival| arrival.word() == word)
    }
}

/// The folder of the objects of a version.
pub(crate) fn folder(document_id: &str, version: i64) -> String {
    format!("{document_id}/{version}")
}

/// Where a request says that files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// All files that the content speaks of are in this folder.
    Folder(String),
    /// One file.
    File { name: String, url: String },
    /// A file that another version has already.
    Reference { name: Option<String>, other: OtherFile },
}

/// A file of a version of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherFile {
    /// A name or an ARN.
    pub(crate) document: String,
    pub(crate) version: Selector,
    pub(crate) file: String,
}

const SCHEMES: [&str; 3] = ["https://", "http://", "s3://"];

/// Reads the attachments of a request, whose shape was checked by the contract.
pub(crate) fn sources(given: &[AttachmentsSource]) -> Result<Vec<Source>, DocumentError> {
    given.iter().map(source).collect()
}

fn source(given: &AttachmentsSource) -> Result<Source, DocumentError> {
    let bad = |message: &str| DocumentError::Attachment(message.to_owned());
    let [value] = given.values.as_slice() else {
        return Err(bad("Values has exactly one value"));
    };
    let url = || match SCHEMES.iter().any(|scheme| value.starts_with(scheme)) && !value.contains(['\0', ' ']) {
        true => Ok(value.clone()),
        false => Err(bad("the place of a file is a URL: https://, http:// or s3://")),
    };
    match given.key() {
        AttachmentsSourceKey::Unset => Err(bad("Key is SourceUrl, S3FileUrl or AttachmentReference")),
        AttachmentsSourceKey::SourceUrl => Ok(Source::Folder(url()?)),
        AttachmentsSourceKey::S3FileUrl => {
            let url = url()?;
            let name = match &given.name {
                Some(name) => name.clone(),
                None => match last_segment(&url) {
                    Some(name) => name.to_owned(),
                    None => return Err(bad("Name is missing, and the URL ends with no name")),
                },
            };
            Ok(Source::File { name, url })
        }
        AttachmentsSourceKey::AttachmentReference => {
            let other = other_file(value).ok_or_else(|| bad("a reference is document/version/file"))?;
            let name = given.name.clone();
            Ok(Source::Reference { name, other })
        }
    }
}

fn last_segment(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?.split_once("://")?.1;
    let (_, name) = path.rsplit_once('/')?;
    (!name.is_empty()).then_some(name)
}

/// `document/version/file`, where the document may be an ARN, which has a slash of its own.
fn other_file(text: &str) -> Option<OtherFile> {
    let (document, file) = text.rsplit_once('/')?;
    let (document, version) = document.rsplit_once('/')?;
    let is_version = matches!(version, "$DEFAULT" | "$LATEST")
        || (!version.starts_with('0') && !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()));
    (is_version && !document.is_empty() && !file.is_empty() && !text.contains('\0')).then(|| OtherFile {
        document: document.to_owned(),
        version: Selector {
            which: Some(Which::parse(version)),
            name: None,
        },
        file: file.to_owned(),
    })
}

/// What the files of a folder are called is what the content calls them.
pub(crate) fn in_folder(url: &str, files: &[AttachedFile]) -> Result<Vec<Attachment>, DocumentError> {
    if files.is_empty() {
        let message = "SourceUrl is for documents whose content lists its files";
        return Err(DocumentError::Attachment(message.to_owned()));
    }
    let place = url.trim_end_matches('/');
    let attachments = files
        .iter()
        .map(|file| stated(file.name(), format!("{place}/{}", file.name()), files));
    Ok(attachments.collect())
}

/// A file with what the content states of it.
pub(crate) fn stated(name: &str, url: String, files: &[AttachedFile]) -> Attachment {
    let file = files.iter().find(|file| file.name() == name);
    Attachment {
        name: name.to_owned(),
        url,
        object: None,
        sha256: file.and_then(AttachedFile::sha256).map(str::to_owned),
        size: file.and_then(AttachedFile::size).and_then(|size| size.try_into().ok()),
    }
}

/// Refuses two files of one name, and names that cannot be part of a key.
pub(crate) fn check_names(attachments: &[Attachment]) -> Result<(), DocumentError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+~".contains(c);
    let is_name = |name: &str| (1..=128).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('.');
    let mut names: Vec<&str> = attachments.iter().map(|attachment| attachment.name.as_str()).collect();
    if let Some(name) = names.iter().find(|name| !is_name(name)) {
        return Err(DocumentError::Attachment(format!(
            "{name:?} cannot be the name of a file: letters, digits and . _ - + ~ only, at most 128, no point at the beginning"
        )));
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(DocumentError::Attachment(format!(
            "there are two files called {}",
            pair[0]
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(key: AttachmentsSourceKey, value: &str, name: Option<&str>) -> AttachmentsSource {
        let mut source = AttachmentsSource {
            values: vec![value.to_owned()],
            name: name.map(str::to_owned),
            ..AttachmentsSource::default()
        };
        source.set_key(key);
        source
    }

    #[test]
    fn each_key_has_its_form() {
        use AttachmentsSourceKey::{AttachmentReference, S3FileUrl, SourceUrl, Unset};
        let read = |key, value: &str, name| sources(&[given(key, value, name)]).map(|mut all| all.remove(0));
        let file = |name: &str, url: &str| {
            Ok(Source::File {
                name: name.to_owned(),
                url: url.to_owned(),
            })
        };
        assert_eq!(
            read(SourceUrl, "s3://b/p/", None),
            Ok(Source::Folder("s3://b/p/".to_owned()))
        );
        assert_eq!(read(S3FileUrl, "s3://b/p/a.zip", None), file("a.zip", "s3://b/p/a.zip"));
        assert_eq!(
            read(S3FileUrl, "https://h/x.sh?v=1", Some("run.sh")),
            file("run.sh", "https://h/x.sh?v=1")
        );
        let other = |document: &str, which, file: &str| {
            Ok(Source::Reference {
                name: None,
                other: OtherFile {
                    document: document.to_owned(),
                    version: Selector {
                        which: Some(which),
                        name: None,
                    },
                    file: file.to_owned(),
                },
            })
        };
        assert_eq!(
            read(AttachmentReference, "Other/3/a.py", None),
            other("Other", Which::Number(3), "a.py")
        );
        assert_eq!(
            read(
                AttachmentReference,
                "arn:aws:ssm:x:123456789012:document/Other/$LATEST/a.py",
                None
            ),
            other("arn:aws:ssm:x:123456789012:document/Other", Which::Latest, "a.py")
        );
        for (key, value) in [
            (Unset, "s3://b/a"),
            (SourceUrl, "/etc/passwd"),
            (S3FileUrl, "file:///etc/passwd"),
            (S3FileUrl, "https://host/"),
            (AttachmentReference, "Other/a.py"),
            (AttachmentReference, "Other/x/a.py"),
            (AttachmentReference, "/1/a.py"),
        ] {
            assert!(read(key, value, None).is_err(), "{value}");
        }
    }

    #[test]
    fn two_files_have_two_names() {
        let file = |name: &str| stated(name, "s3://b/x".to_owned(), &[]);
        assert!(check_names(&[file("a"), file("b")]).is_ok());
        let error = check_names(&[file("a"), file("b"), file("a")]).unwrap_err();
        assert!(error.to_string().contains("two files called a"), "{error}");
        for bad in ["", ".a", "a/b", "..", "a b"] {
            assert!(check_names(&[file(bad)]).is_err(), "{bad}");
        }
    }
}
