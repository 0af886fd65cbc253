//! `Git`, `GitHub`: the content of a repository at a branch or a commit, by the git program.
//!
//! A password reaches git through its environment and a credential helper that reads it there; a private key through a
//! file that lives as long as the download. Neither is ever an argument.

use std::fs;
use std::path::{Component, Path, PathBuf};

use reqwest::Url;

use super::original::Original;
use super::place::Place;
use super::{Bench, End, Info, Trouble};
use crate::runner::account::Account;
use crate::runner::guise::Guise;
use crate::runner::process::Launch;
use crate::runner::script;

/// How much of git's own words is kept.
const WORDS: usize = 4_000;

/// What to fetch, and how to be let in. Not to be printed.
pub(super) struct Repository {
    url: String,
    at: At,
    /// A file or folder within; empty: all of it.
    path: String,
    username: Option<String>,
    password: Option<String>,
    key: Option<String>,
    skips_host_check: bool,
}

/// Which state of the repository.
#[derive(Debug, PartialEq, Eq)]
enum At {
    Default,
    Branch(String),
    Commit(String),
}

impl Repository {
    /// Reads the `sourceInfo` of the type `Git`.
    pub(super) fn of_git(info: &Info) -> Result<Self, Trouble> {
        let url = info.required("repository")?;
        check_url(&url).map_err(Trouble::NeverRan)?;
        Ok(Self {
            url,
            at: At::read(info.text("getOptions").as_deref())?,
            path: String::new(),
            username: info.text("username"),
            password: info.text("password"),
            key: info.text("privateSSHKey"),
            skips_host_check: info.switch("skipHostKeyChecking")?,
        })
    }

    /// Reads the `sourceInfo` of the type `GitHub`; `base` is where its repositories are.
    pub(super) fn of_github(info: &Info, base: &str) -> Result<Self, Trouble> {
        let (owner, repository) = (info.required("owner")?, info.required("repository")?);
        for name in [&owner, &repository] {
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            if !name.bytes().all(is_plain) || name.starts_with(['.', '-']) {
                return Err(Trouble::NeverRan(format!("{name:?} is no name at GitHub")));
            }
        }
        let token = info.text("tokenInfo");
        let repository = repository.trim_end_matches(".git");
        Ok(Self {
            url: format!("{}/{owner}/{repository}.git", base.trim_end_matches('/')),
            at: At::read(info.text("getOptions").as_deref())?,
            path: info.text("path").unwrap_or_default(),
            username: token.is_some().then(|| "x-access-token".to_owned()),
            password: token,
            key: None,
            skips_host_check: false,
        })
    }
}

impl At {
    fn read(options: Option<&str>) -> Result<Self, Trouble> {
        let Some(options) = options else {
            return Ok(Self::Default);
        };
        let wrong = || Trouble::NeverRan("getOptions is neither branch:<name> nor commitID:<hash>".to_owned());
        let (kind, value) = options.split_once(':').ok_or_else(wrong)?;
        let value = value.trim();
        let is_safe =
            |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'~' | b'^' | b':' | b'?' | b'*' | b'[' | b'\\');
        match kind.trim() {
            "branch" if !value.is_empty() && !value.starts_with('-') && value.bytes().all(is_safe) => {
                Ok(Self::Branch(value.to_owned()))
            }
            "commitID" if (7..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(Self::Commit(value.to_owned()))
            }
            _ => Err(wrong()),
        }
    }
}

/// What git may be asked to connect to: URLs of encrypted or plain protocols, and `user@host:path`.
/// Never a program of the author's choice, and never a password, which would be an argument.
fn check_url(url: &str) -> Result<(), String> {
    if url.starts_with('-') {
        return Err("the repository is no URL".to_owned());
    }
    match Url::parse(url) {
        Ok(url) if url.password().is_some() => {
            Err("the repository's URL holds a password: give username and password by themselves".to_owned())
        }
        Ok(url) if matches!(url.scheme(), "https" | "http" | "ssh" | "git" | "file") => Ok(()),
        // `user@host:path`.
        Err(_) if url.contains('@') && url.contains(':') && !url.contains("::") => Ok(()),
        _ => Err("the repository's URL has none of the protocols https, http, ssh, git and file".to_owned()),
    }
}

/// Downloads; what to say about it. Git runs as the step's user, who may write to the clone as long as it likes: what is in
/// it is copied without following anything.
pub(super) fn download(
    bench: &mut Bench<'_, '_>,
    guise: &Guise,
    repository: &Repository,
    place: &Place,
    limit: u64,
) -> Result<String, Trouble> {
    let inner = Path::new(&repository.path);
    if inner.is_absolute() || inner.components().any(|part| part == Component::ParentDir) {
        return Err(Trouble::NeverRan(format!("{inner:?} is no path within a repository")));
    }
    let workplace = Workplace::make(bench, guise, repository.key.as_deref()).map_err(Trouble::Failed)?;
    let clone = workplace.0.join(CLONE);
    let git = Git {
        program: script::find("git")?,
        guise,
        environment: environment(bench, &guise.account, repository, &workplace),
        directory: workplace.0.clone(),
    };
    let clone_text = clone.to_string_lossy().into_owned();
    let mut arguments = vec!["clone", "--quiet"];
    match &repository.at {
        At::Default => arguments.extend(["--depth", "1"]),
        At::Branch(branch) => arguments.extend(["--depth", "1", "--branch", branch]),
        // A server need not give a commit that no branch ends with, so that the history is needed to find it.
        At::Commit(_) => arguments.push("--no-checkout"),
    }
    arguments.extend(["--", &repository.url, &clone_text]);
    git.run(bench, &arguments)?;
    if let At::Commit(commit) = &repository.at {
        git.run(bench, &["-C", &clone_text, "checkout", "--quiet", "--detach", commit])?;
    }
    let shown = shown(&repository.url);
    // A link in the repository must not lead out of it. Where it leads is only a guess, because the clone is the user's:
    // only the workplace has a name that is ours, and the way from there is gone without following anything.
    let guess = || {
        let real = clone.join(inner).canonicalize().ok()?;
        let within = real.strip_prefix(workplace.0.canonicalize().ok()?).ok()?;
        within.starts_with(CLONE).then(|| within.to_owned())
    };
    let within = guess().ok_or_else(|| Trouble::Failed(format!("{shown} has no {:?}", repository.path)))?;
    let failed = |error: std::io::Error| Trouble::Failed(format!("cannot copy the repository's content: {error}"));
    let from = Original::open(&workplace.0, &within, guise.account.uid()).map_err(failed)?;
    if from.measure().map_err(failed)? > limit {
        return Err(Trouble::Failed(super::too_large(limit)));
    }
    let target = match from.is_folder() {
        true => place.folder().to_owned(),
        false => place.file(&inner.file_name().unwrap_or_default().to_string_lossy()),
    };
    let files = from.copy(place, &target, limit).map_err(failed)?;
    Ok(format!(
        "downloaded {shown} ({files} files) to {}",
        place.shown(&target).display()
    ))
}

/// A folder for the download, for the step's user only; gone when the download is over.
struct Workplace(PathBuf);

/// The folder of the clone in the workplace.
const CLONE: &str = "clone";
/// The file of the private key.
const KEY: &str = "key";

impl Workplace {
    fn make(bench: &Bench<'_, '_>, guise: &Guise, key: Option<&str>) -> Result<Self, String> {
        let path = bench.file("git");
        // Keys often come through parameters that lost their last line end, without which ssh refuses them.
        let key = key.map(|key| format!("{}\n", key.trim_end()));
        let files: Vec<(&str, &str)> = key.iter().map(|key| (KEY, key.as_str())).collect();
        guise
            .folder(&path, &files, bench.workshop.state.root())
            .map_err(|error| format!("cannot make a folder for git: {error}"))?;
        Ok(Self(path))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The git program as it is called here.
struct Git<'g> {
    program: PathBuf,
    guise: &'g Guise,
    environment: Vec<(String, String)>,
    directory: PathBuf,
}

/// Forgets the helpers that the machine has, and asks one that reads what we were given.
const HELPER: &str = "credential.helper=!f() { test \"$1\" = get && \
                      printf 'username=%s\\npassword=%s\\n' \"$MUSTER_GIT_USERNAME\" \"$MUSTER_GIT_PASSWORD\"; }; f";

impl Git<'_> {
    fn run(&self, bench: &mut Bench<'_, '_>, arguments: &[&str]) -> Result<(), Trouble> {
        let mut all = vec!["-c", "credential.helper="];
        if self.environment.iter().any(|(name, _)| name == "MUSTER_GIT_PASSWORD") {
            all.extend(["-c", HELPER]);
        }
        all.extend(arguments);
        let launch = Launch {
            program: self.program.clone(),
            arguments: all.into_iter().map(Into::into).collect(),
            environment: self.environment.clone(),
            directory: self.directory.clone(),
        };
        match bench.run_aside(&launch, self.guise, WORDS)? {
            (End::Exited(0), _) => Ok(()),
            (End::Exited(code), [_, words]) => {
                let words = words.trim().lines().last().unwrap_or_default().to_owned();
                Err(Trouble::Failed(format!("git ended with exit status {code}: {words}")))
            }
            (End::Killed(signal), _) => Err(Trouble::Failed(format!("git was killed by signal {signal}"))),
            (end, _) => Err(Trouble::Ended(end)),
        }
    }
}

fn environment(
    bench: &Bench<'_, '_>,
    account: &Account,
    repository: &Repository,
    workplace: &Workplace,
) -> Vec<(String, String)> {
    let mut more = vec![
        ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
        ("GIT_ALLOW_PROTOCOL".to_owned(), "https:http:ssh:git:file".to_owned()),
        ("GIT_LFS_SKIP_SMUDGE".to_owned(), "0".to_owned()),
    ];
    if let Some(password) = &repository.password {
        let name = repository.username.clone().unwrap_or_else(|| "git".to_owned());
        more.push(("MUSTER_GIT_USERNAME".to_owned(), name));
        more.push(("MUSTER_GIT_PASSWORD".to_owned(), password.clone()));
    }
    let mut ssh = "ssh -o BatchMode=yes".to_owned();
    if repository.skips_host_check {
        ssh.push_str(" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null");
    }
    if repository.key.is_some() {
        ssh.push_str(&format!(
            " -o IdentitiesOnly=yes -i '{}'",
            workplace.0.join(KEY).display()
        ));
    }
    more.push(("GIT_SSH_COMMAND".to_owned(), ssh));
    bench.environment(account, &more)
}

/// A repository as it may be shown.
fn shown(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) => {
            let _ = parsed.set_username("");
            parsed.set_query(None);
            parsed.to_string()
        }
        Err(_) => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn options_name_a_branch_or_a_commit_and_no_option_of_git() {
        assert_eq!(At::read(None).unwrap(), At::Default);
        assert_eq!(At::read(Some("branch:main")).unwrap(), At::Branch("main".into()));
        assert_eq!(At::read(Some("branch:a/b-c.1")).unwrap(), At::Branch("a/b-c.1".into()));
        let commit = "bbc1ddb0123456789012345678901234567890ab";
        assert_eq!(
            At::read(Some(&format!("commitID:{commit}"))).unwrap(),
            At::Commit(commit.into())
        );
        for bad in [
            "main",
            "branch:",
            "branch:--upload-pack=x",
            "branch:a b",
            "commitID:HEAD",
            "tag:x",
        ] {
            assert!(At::read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_repository_is_no_program_and_holds_no_password() {
        for good in [
            "https://example.org/a.git",
            "ssh://git@example.org/a.git",
            "git@example.org:a/b.git",
            "file:///srv/a.git",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "ext::sh -c id",
            "--upload-pack=x",
            "https://me:pw@example.org/a.git",
            "/srv/a",
            "x@y::z:",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_repository_at_github_is_a_url_below_the_base() {
        let read = |info: serde_json::Value| {
            let info = Info::read(Some(&info)).unwrap();
            Repository::of_github(&info, "https://github.example.org/")
        };
        let good = read(json!({"owner": "me", "repository": "tools", "path": "a/b", "tokenInfo": "t"}))
            .ok()
            .unwrap();
        assert_eq!(good.url, "https://github.example.org/me/tools.git");
        assert_eq!(good.password.as_deref(), Some("t"));
        assert!(read(json!({"owner": "../x", "repository": "tools"})).is_err());
        assert!(read(json!({"owner": "me"})).is_err());
    }
}
