//! The line that makes a machine a node, for a shell on it.

use std::path::Path;

use async_nats::ServerAddr;
use muster_credential::work::WorkKeys;
use muster_proto::fleet::v1::CreateActivationResult;
use muster_wire::in_clear;

use crate::complaint::Complaint;

/// Where a machine registers.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// On the bus.
    Bus {
        address: &'a str,
        ticket: Option<String>,
        /// The authority of its certificate, DER in base64.
        authority: Option<String>,
    },
    /// At the gateway, which tells where the bus is.
    Gateway {
        url: &'a str,
        /// The authority of its certificate, DER in base64; none: one that machines trust.
        authority: Option<String>,
    },
}

/// How a machine gets the agent. With a package of Debian's kind the agent runs as a service afterwards.
#[derive(Debug)]
pub(crate) struct Download<'a> {
    pub(crate) url: &'a str,
    /// SHA-256 of the file, in hexadecimal.
    pub(crate) sha256: Option<&'a str>,
}

/// The line. `echo` is the shell's own, so that the code stands in no process list.
pub(crate) fn line(
    made: &CreateActivationResult,
    place: &Place<'_>,
    work_keys: Option<&WorkKeys>,
    download: Option<&Download<'_>>,
) -> String {
    let mut steps: Vec<String> = Vec::new();
    let is_package = download.is_some_and(|download| download.url.ends_with(".deb"));
    let file = match is_package {
        true => "muster-agent.deb",
        false => "muster-agent",
    };
    if let Some(Download { url, sha256 }) = download {
        steps.push(format!("curl -fsSL --proto =https -o {file} {}", quoted(url)));
        if let Some(hash) = sha256 {
            steps.push(format!("echo '{hash}  {file}' | sha256sum -c -"));
        }
        steps.push(match is_package {
            true => format!("sudo dpkg -i {file}"),
            false => format!("sudo install -m 755 {file} /usr/local/bin/muster-agent"),
        });
    }
    let option = |name: &str, value: &Option<String>| match value {
        Some(value) => format!(" --{name} {}", quoted(value)),
        None => String::new(),
    };
    let place = match place {
        Place::Gateway { url, authority } => {
            format!(" --url {}{}", quoted(url), option("ca-certificate", authority))
        }
        Place::Bus {
            address,
            ticket,
            authority,
        } => {
            let authority = option("ca-certificate", authority);
            format!(" --server {}{authority}{}", quoted(address), option("ticket", ticket))
        }
    };
    let keys = work_keys.map_or_else(String::new, |keys| format!(" --work-keys {keys}"));
    steps.push(format!(
        "echo {} | sudo muster-agent register{place}{keys} --activation-id {} --activation-code -",
        made.activation_code(),
        made.activation_id()
    ));
    if download.is_some() {
        steps.push(match is_package {
            true => "sudo systemctl restart muster-agent".to_owned(),
            false => "sudo muster-agent run".to_owned(),
        });
    }
    format!("{}\n", steps.join(" && "))
}

/// A word for the shell, whatever stands in it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/@%+=,".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Whether whoever is on the way to this address can read and change everything.
pub(crate) fn is_in_clear(address: &str) -> bool {
    // What is no address the machine will say.
    let servers: Result<Vec<ServerAddr>, _> = address.split(',').map(|one| one.trim().parse()).collect();
    servers.is_ok_and(|servers| in_clear(&servers, false).is_some())
}

/// The certificate in a PEM file, DER in base64.
pub(crate) fn authority(path: &Path) -> Result<String, Complaint> {
    let text = std::fs::read_to_string(path).map_err(|source| Complaint::Read {
        path: path.display().to_string(),
        source,
    })?;
    let inside = text
        .split_once("-----BEGIN CERTIFICATE-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE-----"));
    let body: String = inside.map_or("", |(body, _)| body).split_whitespace().collect();
    match body.is_empty() {
        false => Ok(body),
        true => Err(Complaint::Usage {
            what: format!("{} holds no certificate", path.display()),
            hint: "name a PEM file, as the ca.pem that `muster init` made".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use muster_credential::{Key, KeyKind};

    use super::*;

    fn made() -> CreateActivationResult {
        CreateActivationResult {
            activation_id: Some("id".to_owned()),
            activation_code: Some("CODE".to_owned()),
        }
    }

    #[test]
    fn the_line_keeps_the_code_out_of_process_lists() {
        let bus = Place::Bus {
            address: "tls://bus:4222",
            ticket: Some("a.b.c".to_owned()),
            authority: Some("MIIB".to_owned()),
        };
        let expected = "echo CODE | sudo muster-agent register --server tls://bus:4222 --ca-certificate MIIB \
                        --ticket a.b.c --activation-id id --activation-code -\n";
        assert_eq!(line(&made(), &bus, None, None), expected);
        let key = Key::generate(KeyKind::Work).public().clone();
        let keys = WorkKeys::new(1, vec![key.clone()]).unwrap();
        let told = format!(" --work-keys 1:{key} --activation-id ");
        assert!(line(&made(), &bus, Some(&keys), None).contains(&told));
    }

    #[test]
    fn a_bare_machine_gets_the_agent_first() {
        let gateway = Place::Gateway {
            url: "https://muster.example",
            authority: None,
        };
        let package = Download {
            url: "https://muster.example/muster-agent_0.1.0_amd64.deb",
            sha256: Some("ab12"),
        };
        let expected = "curl -fsSL --proto =https -o muster-agent.deb \
                        https://muster.example/muster-agent_0.1.0_amd64.deb && \
                        echo 'ab12  muster-agent.deb' | sha256sum -c - && sudo dpkg -i muster-agent.deb && \
                        echo CODE | sudo muster-agent register --url https://muster.example --activation-id id \
                        --activation-code - && sudo systemctl restart muster-agent\n";
        assert_eq!(line(&made(), &gateway, None, Some(&package)), expected);
        let own = Place::Gateway {
            url: "https://muster.example",
            authority: Some("MIIB".to_owned()),
        };
        let told = " register --url https://muster.example --ca-certificate MIIB --activation-id id";
        assert!(line(&made(), &own, None, None).contains(told));
        let program = Download {
            url: "https://muster.example/it's here",
            sha256: None,
        };
        let said = line(&made(), &gateway, None, Some(&program));
        assert!(
            said.starts_with(r"curl -fsSL --proto =https -o muster-agent 'https://muster.example/it'\''s here' &&")
        );
        assert!(said.ends_with(" && sudo muster-agent run\n"), "{said}");
    }

    #[test]
    fn what_is_encrypted_or_on_this_machine_is_not_in_clear() {
        for good in [
            "tls://bus:4222",
            "nats://127.0.0.1:4222",
            "localhost",
            "nats://u:p@[::1]:4222",
            "tls://a,tls://b",
            "wss://bus",
        ] {
            assert!(!is_in_clear(good), "{good}");
        }
        for bad in [
            "nats://bus:4222",
            "bus",
            "ws://bus",
            "nats://u:p@10.0.0.1",
            "tls://a,nats://b",
            "nats://127.0.0.1.evil",
        ] {
            assert!(is_in_clear(bad), "{bad}");
        }
    }

    #[test]
    fn a_certificate_is_one_word() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let text = "x\n-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(authority(&path).unwrap(), "MIIBAAAA");
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(authority(&path), Err(Complaint::Usage { .. })));
    }
}
