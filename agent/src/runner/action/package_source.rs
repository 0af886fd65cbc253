//! Where `aws:configurePackage` finds a package: in the node's package store, or in a document of the type Package.
//!
//! A store believes signatures. Of a document its content is believed, as that of every document which runs here, and the
//! content names the SHA-256 of each file (docs/operate/packages.md).

use std::path::Path;

use muster_document::{Format, convert, hash};
use muster_proto::agent::v1::{DocumentRequest, DocumentResult};

use super::download;
use super::store::{Sink, Store};
use super::{Bench, Trouble};
use crate::package::{FileFacts, Manifest, is_name};

/// What the input `name` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The package's name on this machine.
    pub(super) name: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// The store, and what it does not have the documents.
    Any,
    Store,
    /// By its ARN.
    Document(String),
}

impl Wanted {
    /// Reads a name or an ARN, whose last part is the name.
    pub(super) fn read(input: &str) -> Result<Self, Trouble> {
        let (kind, name) = match input.rsplit_once('/') {
            Some((before, name)) if before.starts_with("arn:") && before.ends_with(":document") => {
                (Kind::Document(input.to_owned()), name)
            }
            Some((before, name)) if before.starts_with("arn:") => (Kind::Store, name),
            _ => (Kind::Any, input),
        };
        match is_name(name) {
            true => Ok(Self {
                name: name.to_owned(),
                kind,
            }),
            false => Err(Trouble::NeverRan(format!("{input:?} cannot be the name of a package"))),
        }
    }
}

/// Where the files of a version are.
pub(super) enum Source {
    Store(Store),
    Document(Box<DocumentResult>),
}

impl Source {
    /// Finds a version, or the newest one, and reads what it consists of.
    pub(super) fn find(
        bench: &mut Bench<'_, '_>,
        wanted: &Wanted,
        version: Option<&str>,
    ) -> Result<(Self, Manifest), Trouble> {
        let name = &wanted.name;
        let from_store = |bench: &mut Bench<'_, '_>, store: Store| {
            let manifest = store.manifest(bench, name, version)?;
            Ok((Self::Store(store), manifest))
        };
        match &wanted.kind {
            Kind::Store => {
                let store = Store::open(bench)?;
                from_store(bench, store)
            }
            Kind::Document(arn) => of_document(bench, arn, version),
            Kind::Any => match Store::find(bench) {
                Some(store) => match store.has(bench, name)? {
                    Ok(()) => from_store(bench, store),
                    Err(words) => of_document(bench, name, version).map_err(|trouble| besides(trouble, &words)),
                },
                None => of_document(bench, name, version)
                    .map_err(|trouble| besides(trouble, "this node has no package store")),
            },
        }
    }

    /// What is fetched, in words.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Store(_) => "the package store".to_owned(),
            Self::Document(document) => format!(
                "version {} of the document {}, sha256 {}",
                document.version,
                document.name,
                hash(&document.content)
            ),
        }
    }

    /// Fetches a file of the package, and takes it only with the right checksum.
    pub(super) fn fetch(
        &self,
        bench: &mut Bench<'_, '_>,
        path: [&str; 3],
        facts: &FileFacts,
        into: &Path,
    ) -> Result<(), Trouble> {
        let document = match self {
            Self::Store(store) => return store.fetch(bench, &path, facts, into),
            Self::Document(document) => document,
        };
        let [.., name] = path;
        let file = document.files.iter().find(|file| file.name == name).ok_or_else(|| {
            Trouble::Failed(format!(
                "the document {} has no attachment {name}: it was made without it",
                document.name
            ))
        })?;
        let mut sink = Sink::create(into, facts)?;
        let place = download::without_query(&file.url);
        download::read(bench, &file.url, |piece| sink.push(piece, &place)).map_err(|trouble| {
            besides(
                trouble,
                "attachments are in the services' object store, which the section [objects] of this agent's configuration \
                 must name",
            )
        })?;
        sink.finish(facts, name)
    }
}

/// A failure with what else is to be known.
fn besides(trouble: Trouble, more: &str) -> Trouble {
    match trouble {
        Trouble::Failed(why) => Trouble::Failed(format!("{why}; {more}")),
        other => other,
    }
}

/// A package that a document describes: the version of this name, else the default one if it is that version.
fn of_document(bench: &mut Bench<'_, '_>, name: &str, version: Option<&str>) -> Result<(Source, Manifest), Trouble> {
    let request = |version_name: &str| DocumentRequest {
        name: name.to_owned(),
        version_name: version_name.to_owned(),
        ..DocumentRequest::default()
    };
    let document = match version.map(|version| download::ask(bench, &request(version))) {
        None => download::ask(bench, &request(""))?,
        Some(Ok(document)) => document,
        Some(Err(Trouble::Failed(why))) => {
            let document = download::ask(bench, &request(""))?;
            let manifest = manifest(&document)?;
            if Some(manifest.version.as_str()) != version {
                return Err(Trouble::Failed(format!(
                    "{why}; its default version is of {}",
                    manifest.version
                )));
            }
            document
        }
        Some(Err(trouble)) => return Err(trouble),
    };
    let manifest = manifest(&document)?;
    Ok((Source::Document(Box::new(document)), manifest))
}

fn manifest(document: &DocumentResult) -> Result<Manifest, Trouble> {
    let bad = |why: &str| Trouble::Failed(format!("the document {} is no package: {why}", document.name));
    if document.document_type != "Package" {
        return Err(bad(&format!("its type is {}", document.document_type)));
    }
    let format: Format = document.format.parse().map_err(|_| bad("its format is unknown"))?;
    let json = match format {
        Format::Json => document.content.clone(),
        other => convert(&document.content, other, Format::Json).map_err(|error| bad(&error.to_string()))?,
    };
    Manifest::read(json.as_bytes()).map_err(|error| bad(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_plainly_or_by_an_arn() {
        let read = |input: &str| Wanted::read(input).ok().map(|wanted| (wanted.name, wanted.kind));
        assert_eq!(read("Tool"), Some(("Tool".to_owned(), Kind::Any)));
        let arn = "arn:aws:ssm:local:000000000000:document/Tool";
        assert_eq!(read(arn), Some(("Tool".to_owned(), Kind::Document(arn.to_owned()))));
        assert_eq!(
            read("arn:aws:ssm:::package/Tool"),
            Some(("Tool".to_owned(), Kind::Store))
        );
        for bad in ["", "..", "a/b", "arn:aws:ssm:::document/", "a b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
