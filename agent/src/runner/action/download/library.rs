//! `SSMDocument`: the text of a document.

use muster_proto::agent::v1::{DocumentRequest, DocumentResult};
use muster_wire::subject::RPC_DOCUMENT;

use super::place::{Draft, Place};
use super::{Bench, Info, Trouble};

/// Downloads; what to say about it.
pub(super) fn download(bench: &mut Bench<'_, '_>, info: &Info, place: &Place) -> Result<String, Trouble> {
    let document = ask_for(bench, &info.required("name")?)?;
    let ending = match document.format.as_str() {
        "YAML" => "yaml",
        "TEXT" => "txt",
        _ => "json",
    };
    let own = document.name.rsplit('/').next().unwrap_or_default();
    let target = place.file(&format!("{own}.{ending}"));
    let write = || {
        let mut draft = Draft::begin(place, target.clone(), u64::MAX)?;
        draft.write(document.content.as_bytes())?;
        draft.finish()
    };
    let bytes = write().map_err(Trouble::Failed)?;
    Ok(format!(
        "downloaded document {own} version {} ({bytes} bytes) to {}",
        document.version,
        place.shown(&target).display()
    ))
}

/// Asks for a document by `name[:version]` or by its ARN.
pub(in super::super) fn ask_for(bench: &mut Bench<'_, '_>, wanted: &str) -> Result<DocumentResult, Trouble> {
    let (name, version) = split(wanted);
    ask(
        bench,
        &DocumentRequest {
            name: name.to_owned(),
            version: version.to_owned(),
            ..DocumentRequest::default()
        },
    )
}

/// Asks for a document.
pub(in super::super) fn ask(bench: &mut Bench<'_, '_>, request: &DocumentRequest) -> Result<DocumentResult, Trouble> {
    // An answer is signed over its question: nobody can give one that was meant for another.
    let request = DocumentRequest {
        nonce: rand::random::<[u8; 16]>().to_vec(),
        ..request.clone()
    };
    let document: DocumentResult = bench.ask(RPC_DOCUMENT, &request)?;
    // By the name that the service gives it, not by what it was asked by, which may be an ARN. Here, where every document
    // comes through: one that may not run is not fetched either, or it would run as a local file.
    bench
        .workshop
        .policy
        .check_document(&document.name, &document.content)
        .map_err(|forbidden| Trouble::NeverRan(forbidden.to_string()))?;
    Ok(document)
}

/// A name and a version, which may be empty.
fn split(wanted: &str) -> (&str, &str) {
    let is_version = |text: &str| {
        matches!(text, "$LATEST" | "$DEFAULT") || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match wanted.rsplit_once(':') {
        // An ARN's account number is no version.
        Some((name, version)) if is_version(version) && (!name.starts_with("arn:") || name.contains('/')) => {
            (name, version)
        }
        _ => (wanted, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_follows_the_name() {
        for (wanted, expected) in [
            ("AWS-Run", ("AWS-Run", "")),
            ("My-Doc:3", ("My-Doc", "3")),
            ("My-Doc:$LATEST", ("My-Doc", "$LATEST")),
            (
                "arn:aws:ssm:local:000000000000:document/My-Doc",
                ("arn:aws:ssm:local:000000000000:document/My-Doc", ""),
            ),
            (
                "arn:aws:ssm:local:000000000000:document/My-Doc:2",
                ("arn:aws:ssm:local:000000000000:document/My-Doc", "2"),
            ),
        ] {
            assert_eq!(split(wanted), expected);
        }
    }
}
