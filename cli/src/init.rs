//! `muster init`: the keys and credentials of a bus, and its server's configuration (docs/operate/nats.md).

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use muster_credential::{TlsFiles, WebSocket, layout};
use muster_wire::is_loopback;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::trust::{self, Chosen, Keys, TrustError, TrustFolder};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Called again on the same folder it makes what is missing, signs anew what an upgrade has changed, and touches nothing \
else. Keys that are there are never replaced. A lost tls/server.pem is made again from the authority.

The folder holds secrets: keys/operator.seed and the seeds of accounts belong on no server; services need only their \
own file in creds/.")]
pub(crate) struct Arguments {
    /// Where everything goes: a folder that is empty or not there.
    folder: PathBuf,
    /// Where the server will listen.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:4222")]
    listen: String,
    /// Where the server will take connections as WebSocket too, for machines behind a proxy; encrypted as the others are.
    #[arg(long, value_name = "HOST:PORT")]
    websocket: Option<String>,
    /// A name or an address under which machines reach the server; may be repeated.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Encrypt although only this machine can connect; elsewhere it is done anyway.
    #[arg(long, conflicts_with = "insecure_without_tls")]
    tls: bool,
    /// Do not encrypt although other machines can connect.
    #[arg(long)]
    insecure_without_tls: bool,
    /// A certificate of your own, PEM, with those between it and the authority.
    #[arg(long, value_name = "FILE", requires = "tls_key", requires = "tls_ca")]
    tls_certificate: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The authority by which clients know it, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_ca: Option<PathBuf>,
    /// What the first operator is called.
    #[arg(long, value_name = "NAME", default_value = "operator")]
    operator: String,
    /// Most connections: as many as nodes, and a fifth more.
    #[arg(long, value_name = "N", default_value_t = 12_000)]
    max_connections: u32,
    /// Where the server sees the folder, if that is elsewhere: in a container for example.
    #[arg(long, value_name = "FOLDER")]
    server_folder: Option<PathBuf>,
}

/// Does what the command line says.
pub(crate) fn run(arguments: &Arguments) -> Result<Exit, Complaint> {
    let wanted = arguments.chosen()?;
    let folder = TrustFolder::at(&arguments.folder);
    let (keys, mut written) = begin(&folder, &wanted)?;
    written.extend(arguments.server(&folder, &wanted)?);
    complete(&folder)?;
    let shown = folder.root().display();
    match written.is_empty() {
        true => print::say(&format!("{shown} is complete; nothing was changed")),
        false => print::say(&format!("{shown}: wrote {}", written.join(", "))),
    }
    // Who is not on this machine must want that.
    let insecure = match wanted.tls || is_local(&wanted) {
        true => "",
        false => " MUSTER_NATS__INSECURE=true",
    };
    print::data(&format!(
        "Start the server:    nats-server --config {}\n\
         Give each service:   MUSTER_NATS__CREDENTIALS={}{insecure}\n\
         Give fleet as well:  MUSTER_SERVICE__NODE_KEY_FILE={} MUSTER_SERVICE__NODE_ACCOUNT={}\n\
         Operate with:        muster --creds {} nodes\n",
        folder.conf().display(),
        folder.creds("<service>").display(),
        folder.seed(trust::NODES).display(),
        keys.public().muster,
        folder.creds(&wanted.operator).display(),
    ))?;
    Ok(Exit::Success)
}

impl Arguments {
    fn chosen(&self) -> Result<Chosen, Complaint> {
        let usage = |what: String, hint: &str| Complaint::Usage {
            what,
            hint: hint.to_owned(),
        };
        let (own, _) = address(&self.listen)
            .ok_or_else(|| usage(format!("{:?} is no HOST:PORT", self.listen), "write it as 0.0.0.0:4222"))?;
        if let Some(listen) = &self.websocket {
            let (host, _) = address(listen)
                .ok_or_else(|| usage(format!("{listen:?} is no HOST:PORT"), "write it as 0.0.0.0:443"))?;
            if !is_loopback(&host) && is_loopback(&own) && !self.tls && !self.insecure_without_tls {
                let what = format!("{listen} is for other machines, and {} is not encrypted", self.listen);
                return Err(usage(what, "encrypt both with --tls, or say --insecure-without-tls"));
            }
        }
        layout::check_name(&self.operator).map_err(TrustError::from)?;
        let host = own;
        let is_local = is_loopback(&host);
        let tls = match (is_local, self.insecure_without_tls) {
            (true, _) => self.tls || self.tls_certificate.is_some(),
            (false, true) => false,
            (false, false) => true,
        };
        let is_any = host.parse::<IpAddr>().is_ok_and(|host| host.is_unspecified());
        if tls && is_any && self.hosts.is_empty() && self.tls_certificate.is_none() {
            let what = format!(
                "{} is every address of this machine, and a certificate needs names",
                self.listen
            );
            return Err(usage(what, "say how machines reach it: --host nats.example.org"));
        }
        let mut hosts = self.hosts.clone();
        let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        for host in own.into_iter().chain((!is_any).then(|| host.clone())) {
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        Ok(Chosen {
            version: 1,
            complete: false,
            operator: self.operator.clone(),
            listen: self.listen.clone(),
            hosts,
            tls,
            websocket: self.websocket.clone(),
            max_connections: self.max_connections,
            retiring: Vec::new(),
            revoked: Vec::new(),
        })
    }

    /// The certificate and the configuration, where they are not there yet.
    fn server(&self, folder: &TrustFolder, chosen: &Chosen) -> Result<Vec<String>, TrustError> {
        let mut written = Vec::new();
        if let (Some(certificate), Some(key), Some(authority)) = (&self.tls_certificate, &self.tls_key, &self.tls_ca) {
            for (from, to) in [(authority, "ca.pem"), (key, "server.key"), (certificate, "server.pem")] {
                let to = folder.tls(to);
                if to.exists() {
                    continue;
                }
                let text = folder.read(from)?.ok_or_else(|| TrustError::File {
                    path: from.clone(),
                    source: std::io::ErrorKind::NotFound.into(),
                })?;
                folder.write(&to, text.as_bytes())?;
                written.push(format!("tls/{}", to.file_name().unwrap_or_default().to_string_lossy()));
            }
        } else if chosen.tls {
            let is_foreign = folder.tls("ca.pem").exists() && !folder.tls("ca.key").exists();
            if !is_foreign {
                written.extend(trust::renew(folder, &chosen.hosts)?.into_iter().map(str::to_owned));
            }
        }
        if !folder.conf().exists() {
            let seen = match &self.server_folder {
                Some(seen) => seen.clone(),
                None => {
                    std::fs::canonicalize(folder.root()).map_err(|source| folder.unusable(folder.root(), source))?
                }
            };
            let keys = Keys::load(folder, chosen, false)?;
            let text = conf(&keys, chosen, &seen)?;
            folder.write(&folder.conf(), text.as_bytes())?;
            written.push("nats.conf".to_owned());
        }
        Ok(written)
    }
}

/// Whether only this machine can reach the server.
fn is_local(chosen: &Chosen) -> bool {
    address(&chosen.listen).is_some_and(|(host, _)| is_loopback(&host))
}

/// The configuration of a server that sees the folder at `seen`.
fn conf(keys: &Keys, chosen: &Chosen, seen: &Path) -> Result<String, TrustError> {
    let (host, port) = address(&chosen.listen).unwrap_or_default();
    let mut conf = keys.server_conf((host, Some(port)), &seen.join("nats"), chosen.max_connections)?;
    if chosen.tls {
        conf.tls = Some(TlsFiles {
            certificate: seen.join("tls/server.pem"),
            key: seen.join("tls/server.key"),
        });
    }
    conf.websocket = chosen
        .websocket
        .as_deref()
        .and_then(address)
        .map(|(host, port)| WebSocket { host, port: Some(port) });
    Ok(format!(
        "# Written by muster init once; yours from now on. Accounts that `muster nats push` brings outweigh those below.\n{}",
        conf.text()
    ))
}

fn address(listen: &str) -> Option<(String, u16)> {
    let (host, port) = listen.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match (host.is_empty(), port.parse()) {
        (false, Ok(port)) => Some((host.to_owned(), port)),
        _ => None,
    }
}

/// Makes the folder, its keys and its credentials, or takes up what was begun. Gives the keys and what was written.
pub(crate) fn begin(folder: &TrustFolder, wanted: &Chosen) -> Result<(Keys, Vec<String>), TrustError> {
    folder.prepare()?;
    let mut chosen = wanted.clone();
    match folder.chosen()? {
        None => folder.choose(&chosen)?,
        Some(known) => {
            if let Some(what) = difference(&known, wanted) {
                return Err(TrustError::Differs {
                    path: folder.root().to_owned(),
                    what,
                });
            }
            chosen = known;
        }
    }
    // A key that is lost after the folder was complete is not to be replaced silently: all that it signed would be void.
    let keys = Keys::load(folder, &chosen, !chosen.complete)?;
    let written = keys.refresh(folder, &chosen)?;
    let mut written: Vec<String> = written.into_iter().map(|user| format!("creds of {user}")).collect();
    if trust::begin_work_keys(folder)? {
        written.push("work/".to_owned());
    }
    written.extend(trust::refresh_answer_keys(folder)?);
    let (path, account) = (folder.node_account(), format!("{}\n", keys.public().muster));
    if folder.read(&path)?.as_ref() != Some(&account) {
        folder.write(&path, account.as_bytes())?;
        written.push("nodes.account".to_owned());
    }
    Ok((keys, written))
}

/// Says that everything is there.
pub(crate) fn complete(folder: &TrustFolder) -> Result<(), TrustError> {
    match folder.chosen()? {
        Some(chosen) if !chosen.complete => folder.choose(&Chosen {
            complete: true,
            ..chosen
        }),
        _ => Ok(()),
    }
}

/// What is not as it was when the folder was begun.
fn difference(known: &Chosen, wanted: &Chosen) -> Option<String> {
    let say = |what: &str, known: &dyn std::fmt::Debug, wanted: &dyn std::fmt::Debug| {
        Some(format!("{what} was {known:?} and is to be {wanted:?}"))
    };
    if known.operator != wanted.operator {
        return say("the operator", &known.operator, &wanted.operator);
    }
    if known.listen != wanted.listen {
        return say("the address", &known.listen, &wanted.listen);
    }
    if known.tls != wanted.tls {
        return say("encryption", &known.tls, &wanted.tls);
    }
    if known.websocket != wanted.websocket {
        return say("the address for WebSocket", &known.websocket, &wanted.websocket);
    }
    if known.hosts != wanted.hosts {
        return say("the list of hosts", &known.hosts, &wanted.hosts);
    }
    if known.max_connections != wanted.max_connections {
        return say(
            "the limit of connections",
            &known.max_connections,
            &wanted.max_connections,
        );
    }
    None
}
