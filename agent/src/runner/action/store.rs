//! Reading the package store: a directory, or a web server.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt;
use reqwest::{Client, Response, StatusCode};
use ring::digest::{Context, SHA256};

use super::{Bench, Trouble};
use crate::facts;
use crate::package::{FileFacts, Index, Manifest, Trust, is_name};

/// Longest manifest or index, in bytes.
const MANIFEST: u64 = 1024 * 1024;
/// Longest file of a package, in bytes.
const FILE: u64 = 2 * 1024 * 1024 * 1024;
/// How long a server may take to answer at all.
const CONNECT: Duration = Duration::from_secs(15);

/// Where packages lie.
enum Place {
    Directory(PathBuf),
    Web(String),
}

/// The store that the node's configuration names.
pub(super) struct Store {
    place: Place,
    trust: Trust,
}

impl Store {
    /// Opens it; nothing is read yet.
    pub(super) fn open(bench: &Bench<'_, '_>) -> Result<Self, Trouble> {
        Self::find(bench).ok_or_else(|| {
            Trouble::NeverRan(
                "this node has no package store: set url in the section [packages] of the agent's configuration"
                    .to_owned(),
            )
        })
    }

    /// As `open`; nothing if there is none.
    pub(super) fn find(bench: &Bench<'_, '_>) -> Option<Self> {
        let packages = &bench.workshop.settings.packages;
        let url = packages.url.trim_end_matches('/');
        let place = match url.strip_prefix("file://") {
            Some(path) => Place::Directory(path.into()),
            None if url.starts_with('/') => Place::Directory(url.into()),
            None if !url.is_empty() => Place::Web(url.to_owned()),
            None => return None,
        };
        Some(Self {
            place,
            trust: packages.trust(),
        })
    }

    /// As configured, but unsigned packages are refused in any case.
    pub(super) fn signed_only(mut self) -> Self {
        self.trust.allows_unsigned = false;
        self
    }

    /// Whether the store has a package of this name; if not, what it says.
    ///
    /// To be refused counts as "not there": S3 answers so for what it does not have to whoever may not list.
    pub(super) fn has(&self, bench: &mut Bench<'_, '_>, name: &str) -> Result<Result<(), String>, Trouble> {
        let found = self.read(bench, &[name, "index.json"])?;
        Ok(found.map(|_| ()).map_err(|missing| match missing {
            Missing::Absent => "its package store has none either".to_owned(),
            Missing::Refused(why) => format!(
                "its package store does not show one either: {why}, as a store that may not be listed does for what it \
                 does not have"
            ),
        }))
    }

    /// The manifest of a version, or of the latest one; believed.
    pub(super) fn manifest(
        &self,
        bench: &mut Bench<'_, '_>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Manifest, Trouble> {
        let version = match version {
            Some(version) if is_name(version) => version.to_owned(),
            Some(version) => return Err(Trouble::NeverRan(format!("{version:?} is no version"))),
            None => self.latest(bench, name)?,
        };
        let text = self.read(bench, &[name, &version, "manifest.json"])?;
        let text = text.map_err(|missing| {
            missing.or_without(format!(
                "the package store has no package {name} in the version {version}"
            ))
        })?;
        let bad = |why: String| Trouble::Failed(format!("the manifest of {name} {version} is not taken: {why}"));
        let manifest = Manifest::read(&text).map_err(|error| bad(error.to_string()))?;
        self.trust
            .check(&manifest.statement(name), manifest.signature.as_ref())
            .map_err(|error| bad(error.to_string()))?;
        if manifest.version != version {
            return Err(bad(format!("it is one of the version {}", manifest.version)));
        }
        Ok(manifest)
    }

    fn latest(&self, bench: &mut Bench<'_, '_>, name: &str) -> Result<String, Trouble> {
        let text = self.read(bench, &[name, "index.json"])?;
        let text = text.map_err(|missing| missing.or_without(format!("the package store has no package {name}")))?;
        let bad = |why: String| Trouble::Failed(format!("the index of {name} is not taken: {why}"));
        let index = Index::read(&text).map_err(|error| bad(error.to_string()))?;
        self.trust
            .check(&index.statement(name), index.signature.as_ref())
            .map_err(|error| bad(error.to_string()))?;
        let latest = index.latest().map(str::to_owned);
        latest.ok_or_else(|| bad("it has no versions".to_owned()))
    }

    /// A small file, if the store gives it.
    fn read(&self, bench: &mut Bench<'_, '_>, path: &[&str]) -> Result<Result<Vec<u8>, Missing>, Trouble> {
        match &self.place {
            Place::Directory(root) => {
                let path = join(root, path);
                let mut text = Vec::new();
                let read = File::open(&path).and_then(|file| file.take(MANIFEST + 1).read_to_end(&mut text));
                match read {
                    Ok(_) if text.len() as u64 > MANIFEST => Err(too_long(&path.display(), MANIFEST)),
                    Ok(_) => Ok(Ok(text)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err(Missing::Absent)),
                    Err(error) => Err(Trouble::Failed(format!("cannot read {path:?}: {error}"))),
                }
            }
            Place::Web(root) => {
                let url = address(root, path);
                bench.block_on(async {
                    let mut answer = match get(&url).await? {
                        Ok(answer) => answer,
                        Err(missing) => return Ok(Err(missing)),
                    };
                    let mut text = Vec::new();
                    while let Some(piece) = answer.chunk().await.map_err(|error| lost(&url, &error))? {
                        text.extend_from_slice(&piece);
                        if text.len() as u64 > MANIFEST {
                            return Err(too_long(&url, MANIFEST));
                        }
                    }
                    Ok(Ok(text))
                })?
            }
        }
    }

    /// Fetches a file of a package, and takes it only with the right checksum.
    pub(super) fn fetch(
        &self,
        bench: &mut Bench<'_, '_>,
        path: &[&str],
        facts: &FileFacts,
        into: &Path,
    ) -> Result<(), Trouble> {
        let mut sink = Sink::create(into, facts)?;
        match &self.place {
            Place::Directory(root) => {
                let path = join(root, path);
                let unreadable = |error| Trouble::Failed(format!("cannot read {path:?}: {error}"));
                let mut file = File::open(&path).map_err(unreadable)?;
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    match file.read(&mut buffer).map_err(unreadable)? {
                        0 => break,
                        length => sink.push(&buffer[..length], &path.display())?,
                    }
                }
            }
            Place::Web(root) => {
                let url = address(root, path);
                bench.block_on(async {
                    let answer = get(&url).await?;
                    let answer = answer.map_err(|missing| missing.or_without(format!("there is no {url}")))?;
                    let mut pieces = answer.bytes_stream();
                    while let Some(piece) = pieces.next().await {
                        sink.push(&piece.map_err(|error| lost(&url, &error))?, &url)?;
                    }
                    Ok::<_, Trouble>(())
                })??;
            }
        }
        sink.finish(facts, path.last().unwrap_or(&""))
    }
}

/// A file on its way to the disk, measured.
pub(super) struct Sink {
    file: File,
    digest: Context,
    longest: u64,
    left: u64,
}

impl Sink {
    /// Begins a file, and the directory above it; `facts` say how long it may become.
    pub(super) fn create(into: &Path, facts: &FileFacts) -> Result<Self, Trouble> {
        let disk = |error: io::Error| Trouble::Failed(format!("cannot write {into:?}: {error}"));
        if let Some(directory) = into.parent() {
            fs::create_dir_all(directory).map_err(disk)?;
        }
        let longest = facts.size.unwrap_or(FILE).min(FILE);
        Ok(Self {
            file: File::create(into).map_err(disk)?,
            digest: Context::new(&SHA256),
            longest,
            left: longest,
        })
    }

    /// Adds a piece; `from` is where it comes from.
    pub(super) fn push(&mut self, piece: &[u8], from: &dyn std::fmt::Display) -> Result<(), Trouble> {
        let left = self.left.checked_sub(piece.len() as u64);
        self.left = left.ok_or_else(|| too_long(from, self.longest))?;
        self.digest.update(piece);
        self.file
            .write_all(piece)
            .map_err(|error| Trouble::Failed(format!("cannot write what comes from {from}: {error}")))
    }

    /// Takes the file only with the right checksum.
    pub(super) fn finish(self, facts: &FileFacts, name: &str) -> Result<(), Trouble> {
        let digest = self.digest.finish();
        let found: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        match facts.sha256() {
            Some(expected) if expected == found => Ok(()),
            _ => Err(Trouble::Failed(format!(
                "the file {name} is not the one that the manifest names: its sha256 is {found}"
            ))),
        }
    }
}

/// Why a store does not give a file.
enum Missing {
    Absent,
    /// The server keeps it from us, with these words.
    Refused(String),
}

impl Missing {
    /// A failure; `absent` is what to say where the file is not there.
    fn or_without(self, absent: String) -> Trouble {
        Trouble::Failed(match self {
            Self::Absent => absent,
            Self::Refused(why) => why,
        })
    }
}

/// What the server has there, if it gives it.
async fn get(url: &str) -> Result<Result<Response, Missing>, Trouble> {
    let client = Client::builder()
        .user_agent(format!("muster-agent/{}", facts::version()))
        .connect_timeout(CONNECT)
        .read_timeout(CONNECT)
        .build()
        .map_err(|error| Trouble::NeverRan(format!("cannot make a client: {error}")))?;
    let answer = client.get(url).send().await.map_err(|error| lost(url, &error))?;
    match answer.status() {
        StatusCode::NOT_FOUND => Ok(Err(Missing::Absent)),
        status @ StatusCode::FORBIDDEN => Ok(Err(Missing::Refused(format!("{url} answers {status}")))),
        status if status.is_success() => Ok(Ok(answer)),
        status => Err(Trouble::Failed(format!("{url} answers {status}"))),
    }
}

fn lost(url: &str, error: &reqwest::Error) -> Trouble {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Trouble::Failed(format!("cannot fetch {url}: {cause}"))
}

fn too_long(what: &dyn std::fmt::Display, longest: u64) -> Trouble {
    Trouble::Failed(format!("{what} is longer than {longest} bytes"))
}

fn join(root: &Path, path: &[&str]) -> PathBuf {
    let mut joined = root.to_owned();
    joined.extend(path);
    joined
}

/// Names of packages, versions and files need no encoding but for these two.
fn address(root: &str, path: &[&str]) -> String {
    let mut url = root.to_owned();
    for part in path {
        url.push('/');
        url.push_str(&part.replace('+', "%2B").replace('~', "%7E"));
    }
    url
}
