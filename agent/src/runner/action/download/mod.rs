//! `aws:downloadContent`: a file or a folder from somewhere else (documents.md 5, agent.md B9).
//!
//! | Module | Source types |
//! |---|---|
//! | `http` | `HTTP` |
//! | `git` | `Git`, `GitHub`: by the git program, which must be installed |
//! | `object` | `S3`: the object store that the node is configured for, or AWS's own |
//! | `library` | `SSMDocument`: asked of the documents service |
//! | `place` | where it goes |
//! | `ground` | writing there without following links |
//! | `original` | copying a clone that is another user's |
//!
//! What is written is for the owner only and may be executed, because most of what is downloaded is scripts.
//!
//! A step that runs as another user writes as that user: what goes anywhere but to the run's own downloads directory is
//! copied there by a process of that user. The downloads directory stays ours and is shown to whoever runs next; fetching
//! over HTTP and from the object store, with the node's own keys, is the agent's work.

mod git;
mod ground;
mod http;
mod library;
mod object;
mod original;
mod place;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use muster_document::stored::SECRET_MEMBERS;
use serde_json::{Map, Value};

use super::{Bench, End, Trouble};
use crate::runner::guise::Guise;
use crate::runner::process::Launch;
use crate::runner::script;
use crate::runner::secrets::Secrets;
use place::Place;

pub(super) use library::{ask, ask_for};
pub(super) use object::{read, without_query};

/// Downloads what the inputs name.
pub(super) fn perform(bench: &mut Bench<'_, '_>) -> Result<End, Trouble> {
    let guise = bench.guise()?;
    let info = Info::read(bench.part.inputs().get("sourceInfo"))?.with(bench.workshop.secrets);
    let input = bench.text("destinationPath").unwrap_or_default();
    let place = Place::find(&bench.downloads(), Some(&input)).map_err(Trouble::Failed)?;
    if !guise.is_other() || Path::new(&input).is_relative() {
        let said = fetch(bench, &guise, &info, &place)?;
        bench.print(&said);
        return Ok(End::Exited(0));
    }
    let staging = Staging::make(bench.file("download"))
        .map_err(|error| Trouble::Failed(format!("cannot empty the folder for the download: {error}")))?;
    let place = place.staged(&staging.0);
    let said = fetch(bench, &guise, &info, &place)?;
    let end = hand_over(bench, &guise, &staging, &place)?;
    if end == End::Exited(0) {
        bench.print(&said);
    }
    Ok(end)
}

fn fetch(bench: &mut Bench<'_, '_>, guise: &Guise, info: &Info, place: &Place) -> Result<String, Trouble> {
    let limit = bench.workshop.settings.download_bytes;
    match bench.text("sourceType").unwrap_or_default().as_str() {
        "HTTP" => http::download(bench, info, place, limit),
        "Git" => git::download(bench, guise, &git::Repository::of_git(info)?, place, limit),
        "GitHub" => {
            let repository = git::Repository::of_github(info, &bench.workshop.settings.github_url)?;
            git::download(bench, guise, &repository, place, limit)
        }
        "S3" => object::download(bench, info, place, limit),
        "SSMDocument" => library::download(bench, info, place),
        other => Err(Trouble::NeverRan(format!(
            "sourceType {other:?} is not known; GitHub, Git, HTTP, S3 and SSMDocument are"
        ))),
    }
}

/// A folder of ours that is gone when the download is over.
struct Staging(PathBuf);

impl Staging {
    /// What a runner that died left there is removed.
    fn make(path: PathBuf) -> io::Result<Self> {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self(path)),
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Takes a file, or what is in a folder, to where it belongs, for the step's user only.
const TAKE: &str = r#"umask 077
if [ -d "$1" ]
then mkdir -p -- "$2" && exec cp -R -- "$1/." "$2"
else mkdir -p -- "$(dirname -- "$2")" && exec cp -- "$1" "$2"
fi"#;

/// Lets the step's user take what was downloaded to its destination. What that user may not write is not written.
fn hand_over(bench: &mut Bench<'_, '_>, guise: &Guise, staging: &Staging, place: &Place) -> Result<End, Trouble> {
    let Some((from, to)) = place.onward() else {
        return Ok(End::Exited(0));
    };
    guise
        .show(&staging.0, bench.workshop.state.root())
        .map_err(|error| Trouble::Failed(format!("cannot hand the download over: {error}")))?;
    let launch = Launch {
        program: script::find("sh")?,
        arguments: vec!["-c".into(), TAKE.into(), "sh".into(), from.into(), to.into()],
        environment: bench.environment(&guise.account, &[]),
        directory: "/".into(),
    };
    bench.run(&launch, guise)
}

/// The `sourceInfo` input: a map, or the JSON text of one. Values may be secret, so there is no way to print it.
struct Info(Map<String, Value>);

impl Info {
    fn read(input: Option<&Value>) -> Result<Self, Trouble> {
        let wrong = || Trouble::NeverRan("sourceInfo is neither a map nor the JSON text of one".to_owned());
        match input {
            Some(Value::Object(map)) => Ok(Self(map.clone())),
            Some(Value::String(text)) => match serde_json::from_str(text) {
                Ok(Value::Object(map)) => Ok(Self(map)),
                _ => Err(wrong()),
            },
            _ => Err(wrong()),
        }
    }

    /// With what its members stand for that are references to secrets.
    fn with(mut self, secrets: &Secrets) -> Self {
        for member in SECRET_MEMBERS {
            if let Some(Value::String(text)) = self.0.get_mut(member) {
                *text = secrets.put_into(std::mem::take(text));
            }
        }
        self
    }

    /// A value as text; nothing if it is absent or empty.
    fn text(&self, key: &str) -> Option<String> {
        let text = match self.0.get(key)? {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => self.0[key].to_string(),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// As `text`, for what must be there.
    fn required(&self, key: &str) -> Result<String, Trouble> {
        self.text(key)
            .ok_or_else(|| Trouble::NeverRan(format!("sourceInfo has no {key}")))
    }

    /// A switch, off unless it says otherwise.
    fn switch(&self, key: &str) -> Result<bool, Trouble> {
        match self.text(key).as_deref() {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Trouble::NeverRan(format!("{key} is neither true nor false"))),
        }
    }
}

/// More than the node allows.
fn too_large(limit: u64) -> String {
    format!("the download is larger than the {limit} bytes that this node allows (download_bytes)")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn source_info_is_a_map_or_its_text() {
        for input in [
            json!({"url": "x", "insecure": true, "empty": ""}),
            json!("{\"url\": \"x\", \"insecure\": \"True\", \"empty\": \"\"}"),
        ] {
            let info = Info::read(Some(&input)).unwrap();
            assert_eq!(info.text("url").as_deref(), Some("x"));
            assert!(info.switch("insecure").unwrap());
            assert!(!info.switch("absent").unwrap());
            assert!(info.required("empty").is_err());
            assert!(info.switch("url").is_err());
        }
        assert!(Info::read(Some(&json!("no map"))).is_err());
        assert!(Info::read(Some(&json!(["x"]))).is_err());
        assert!(Info::read(None).is_err());
    }
}
