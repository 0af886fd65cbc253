//! The user that a script runs as (agent.md B4).
//!
//! Accounts are looked for in the machine's own files first, and asked for with `getent` and `id` where they come from
//! elsewhere (LDAP and its like): a static program cannot load the system's own lookup.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Gid, Uid};

use super::environment::SEARCH_PATH;
use crate::os::Identity;
use crate::policy::Policy;
use crate::settings::Settings;

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) home: String,
    pub(crate) shell: String,
    uid: u32,
    gid: u32,
}

/// Why a step cannot run as the user it asks for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountError {
    #[error("this node does not allow to run as {0:?}: it is neither run_as nor in run_as_allowed")]
    NotAllowed(String),
    #[error("there is no user {0:?} on this machine")]
    Unknown(String),
    #[error("the agent runs as {me:?} and cannot run anything as {wanted:?}")]
    NotRoot { me: String, wanted: String },
    #[error("this action is the agent's own work, done as {me:?}: the input runAs cannot make it {wanted:?}")]
    Inapplicable { me: String, wanted: String },
    #[error(transparent)]
    Forbidden(#[from] crate::policy::Forbidden),
}

/// Decides whom a step runs as: its input, else the node's default, else the agent's own user `me`.
pub(crate) fn choose(
    input: Option<&str>,
    settings: &Settings,
    policy: &Policy,
    me: &Account,
) -> Result<Account, AccountError> {
    let default = match settings.run_as.as_str() {
        "" => me.name.as_str(),
        name => name,
    };
    let wanted = input.map(str::trim).filter(|name| !name.is_empty()).unwrap_or(default);
    policy.check_user(wanted)?;
    if wanted != default && !settings.run_as_allowed.iter().any(|name| name == wanted) {
        return Err(AccountError::NotAllowed(wanted.to_owned()));
    }
    if wanted == me.name {
        return Ok(me.clone());
    }
    let account = Account::named(wanted).ok_or_else(|| AccountError::Unknown(wanted.to_owned()))?;
    if account.uid != me.uid && me.uid != 0 {
        return Err(AccountError::NotRoot {
            me: me.name.clone(),
            wanted: wanted.to_owned(),
        });
    }
    Ok(account)
}

impl Account {
    /// The account that this process runs as.
    pub(crate) fn current() -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self::find(&accounts, |account| account.uid == uid).unwrap_or_else(|| Self {
            name: uid.to_string(),
            home: "/".to_owned(),
            shell: "/bin/sh".to_owned(),
            uid,
            gid: rustix::process::getegid().as_raw(),
        })
    }

    /// The account with this name.
    fn named(name: &str) -> Option<Self> {
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let is_it = |account: &Self| account.name == name;
        Self::find(&accounts, is_it).or_else(|| Self::find(&ask("getent", &["passwd", name])?, is_it))
    }

    /// The first account in the text of an account file for which this holds.
    fn find(accounts: &str, is_it: impl Fn(&Self) -> bool) -> Option<Self> {
        let of_line = |line: &str| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, shell] = fields[..] else {
                return None;
            };
            Some(Self {
                name: name.to_owned(),
                home: home.to_owned(),
                shell: if shell.is_empty() { "/bin/sh" } else { shell }.to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
            })
        };
        accounts.lines().filter_map(of_line).find(is_it)
    }

    /// The user's number.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// What a process needs to become this user; nothing if it is this user already.
    pub(crate) fn identity(&self) -> Option<Identity> {
        if self.uid == rustix::process::geteuid().as_raw() {
            return None;
        }
        let groups = ask("id", &["-G", &self.name])
            .map(|numbers| numbers.split_whitespace().filter_map(|one| one.parse().ok()).collect())
            .unwrap_or_else(|| groups_of(&self.name, &fs::read_to_string("/etc/group").unwrap_or_default()));
        Some(Identity::new(
            Uid::from_raw(self.uid),
            Gid::from_raw(self.gid),
            groups.into_iter().map(Gid::from_raw).collect(),
        ))
    }

    /// Where a step runs that names no directory.
    pub(crate) fn directory(&self) -> PathBuf {
        let home = Path::new(&self.home);
        if home.is_absolute() && home.is_dir() {
            home.to_owned()
        } else {
            "/".into()
        }
    }

    /// Makes a file or directory one of this user's group; whose it is stays.
    pub(crate) fn share(&self, path: &Path) -> std::io::Result<()> {
        std::os::unix::fs::chown(path, None, Some(self.gid))
    }

    /// The number of the user's group.
    pub(crate) fn gid(&self) -> u32 {
        self.gid
    }

    /// Makes a file or directory this user's.
    pub(crate) fn own(&self, path: &Path) -> std::io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
    }
}

/// The groups that the text of a group file puts a user in.
fn groups_of(name: &str, groups: &str) -> Vec<u32> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields[..] else { return None };
        members
            .split(',')
            .any(|member| member == name)
            .then(|| gid.parse().ok())?
    };
    groups.lines().filter_map(of_line).collect()
}

/// What a program of the system says, if it is there and content.
fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\nweb:x:33:34:web,,:/var/www:/usr/sbin/nologin\nbare:x:5:5::/:\n";

    fn account(name: &str) -> Option<Account> {
        Account::find(FILE, |account| account.name == name)
    }

    #[test]
    fn accounts_are_found_by_what_is_asked() {
        let web = account("web").unwrap();
        assert_eq!((web.uid, web.gid, web.home.as_str()), (33, 34, "/var/www"));
        assert_eq!(web.shell, "/usr/sbin/nologin");
        assert_eq!(account("bare").unwrap().shell, "/bin/sh");
        assert_eq!(account("none"), None);
        assert_eq!(Account::find(FILE, |account| account.uid == 0).unwrap().home, "/root");
    }

    #[test]
    fn members_of_groups_are_found() {
        let file = "adm:x:4:syslog,web\nwww:x:34:\nbroken\nwebbers:x:50:webmaster\ndocker:x:99:web";
        assert_eq!(groups_of("web", file), [4, 99]);
    }

    #[test]
    fn a_step_may_name_only_whom_the_node_allows() {
        let me = account("root").unwrap();
        let mut settings = Settings::default();
        let policy = Policy::default();
        assert_eq!(choose(None, &settings, &policy, &me).unwrap(), me);
        assert_eq!(choose(Some("root"), &settings, &policy, &me).unwrap(), me);
        assert!(matches!(
            choose(Some("nobody"), &settings, &policy, &me),
            Err(AccountError::NotAllowed(_))
        ));
        settings.run_as_allowed = vec!["no-such-user".into()];
        assert!(matches!(
            choose(Some("no-such-user"), &settings, &policy, &me),
            Err(AccountError::Unknown(_))
        ));
        settings.run_as = "nobody".into();
        assert_eq!(choose(None, &settings, &policy, &me).unwrap().name, "nobody");
        assert!(
            matches!(
                choose(Some("root"), &settings, &policy, &me),
                Err(AccountError::NotAllowed(_))
            ),
            "root is not the default any more"
        );
        let policy = Policy {
            forbid_users: vec!["nobody".into()],
            ..Policy::default()
        };
        assert!(matches!(
            choose(None, &settings, &policy, &me),
            Err(AccountError::Forbidden(_))
        ));
    }

    #[test]
    fn only_root_can_become_somebody_else() {
        let me = account("web").unwrap();
        let settings = Settings {
            run_as: "root".into(),
            ..Settings::default()
        };
        assert!(matches!(
            choose(None, &settings, &Policy::default(), &me),
            Err(AccountError::NotRoot { .. })
        ));
    }
}
