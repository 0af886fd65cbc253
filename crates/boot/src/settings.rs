//! Settings: embedded defaults, then a file, then the environment. Validated before anything starts.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use muster_model::Account;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{NodeQuotaSettings, TlsSettings};

const DEFAULTS: &str = include_str!("../config.default.toml");

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the settings cannot be used")]
pub struct SettingsError(#[source] Box<figment::Error>);

/// What every service understands; `config.default.toml` of this crate explains each key.
#[derive(Debug, Clone, Deserialize)]
pub struct Common {
    /// Seconds that calls are still taken after the service was told to stop.
    pub drain_seconds: u64,
    /// Seconds that calls under way may take when the service stops.
    pub grace_seconds: u64,
    /// Name of this replica; empty: the host's.
    pub replica: String,
    /// What ARNs are made of.
    #[serde(deserialize_with = "account")]
    pub account: Account,
    /// The bus.
    pub nats: NatsSettings,
    /// The service's port.
    pub server: ServerSettings,
    /// The service's database.
    pub database: DatabaseSettings,
    /// What each node may ask.
    pub node_quota: NodeQuotaSettings,
    /// Log and spans.
    pub telemetry: TelemetrySettings,
}

/// The section `[account]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountSettings {
    partition: String,
    region: String,
    id: String,
}

fn account<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Account, D::Error> {
    let AccountSettings { partition, region, id } = AccountSettings::deserialize(deserializer)?;
    Account::new(partition, region, id).map_err(serde::de::Error::custom)
}

/// The bus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsSettings {
    /// Addresses, separated by commas.
    pub url: String,
    /// A `.creds` file, read at every connection; empty: none.
    pub credentials: PathBuf,
    /// The authority of the server's certificate, PEM; connections are encrypted then. Empty: none.
    pub ca: PathBuf,
    /// Connect without encryption although the server is elsewhere: the network is private in itself.
    pub insecure: bool,
}

impl NatsSettings {
    /// Just these addresses, of servers that let everybody in.
    #[must_use]
    pub fn open(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            credentials: PathBuf::new(),
            ca: PathBuf::new(),
            insecure: false,
        }
    }
}

/// The service's port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port; port 0: any that is free.
    pub listen: String,
    /// How callers by gRPC are known.
    pub authentication: GrpcAuthentication,
    /// Listen where others can connect, although nobody is asked who they are, or secrets come in clear.
    pub insecure_listen_anywhere: bool,
    /// TLS on this port.
    pub tls: TlsSettings,
}

/// How callers by gRPC are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrpcAuthentication {
    /// Everybody who reaches the port is let in.
    Development,
    /// By an access key and its secret.
    Bearer,
    /// By the certificate that they come in with, which `tls.client_ca` has signed.
    Certificate,
}

impl ServerSettings {
    /// Any free port of loopback, for everybody who reaches it.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            authentication: GrpcAuthentication::Development,
            insecure_listen_anywhere: false,
            tls: TlsSettings::default(),
        }
    }
}

/// The service's database.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// `sqlite:<path>` or `postgres://…`. Never printed: it may hold a password.
    pub url: String,
}

impl std::fmt::Debug for DatabaseSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.url.split(':').next().unwrap_or_default();
        write!(f, "DatabaseSettings({kind}:…)")
    }
}

/// Log and spans.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetrySettings {
    /// Filter of the log.
    pub log: String,
    /// Address of an OTLP collector; empty: none.
    pub otlp: String,
}

#[derive(Deserialize)]
struct Whole<S> {
    #[serde(flatten)]
    common: Common,
    service: S,
}

/// What variables that are settings begin with.
const PREFIX: &str = "MUSTER_";
/// The section of the agent's variables, which may stand in the environment of a machine that has services, too.
const AGENT: &str = "agent";

fn figment(defaults: &str, file: Option<&Path>) -> Result<Figment, SettingsError> {
    let figment = Figment::from(Toml::string(DEFAULTS)).merge(Toml::string(defaults));
    let known = keys(&figment)?;
    let variables = Env::prefixed(PREFIX);
    let names = variables.iter().map(|(name, _)| name.into_string());
    if let Some(stranger) = strange_variable(names, &known) {
        let text = format!("the variable {PREFIX}{stranger} names no section");
        return Err(unknown(&text, &known));
    }
    let figment = match file {
        Some(file) => {
            let written = Toml::file_exact(file);
            if let Some(stranger) = keys(&Figment::from(&written))?
                .into_iter()
                .find(|key| !known.contains(key))
            {
                let text = format!("unknown section or key `{stranger}` in {}", file.display());
                return Err(unknown(&text, &known));
            }
            figment.merge(written)
        }
        None => figment,
    };
    // These tell the command line where the bus is and who asks; the first is not the section of that name.
    Ok(figment.merge(variables.ignore(&["server", "creds", "ca"]).split("__")))
}

/// Sections, and keys that are in none.
fn keys(figment: &Figment) -> Result<Vec<String>, SettingsError> {
    let values: figment::value::Dict = figment.extract().map_err(|error| SettingsError(Box::new(error)))?;
    Ok(values.into_keys().collect())
}

/// The first of these variables, without their prefix, that has the form of a setting and is none; its value may be a
/// secret, and is not looked at. What is in a section that is known is judged with the section.
fn strange_variable(names: impl IntoIterator<Item = String>, known: &[String]) -> Option<String> {
    names.into_iter().find(|name| {
        let section = name.split_once("__").map(|(section, _)| section.to_lowercase());
        section.is_some_and(|section| section != AGENT && !known.contains(&section))
    })
}

fn unknown(what: &str, known: &[String]) -> SettingsError {
    let text = format!("{what}; known are {}", known.join(", "));
    SettingsError(Box::new(figment::Error::from(text)))
}

/// The settings of a service: the shared ones, and its own from the section `[service]`.
///
/// `defaults` is the service's embedded `config.default.toml`, `file` what the operator wrote.
///
/// # Errors
/// If a value is missing, unknown or of the wrong type; the error names the key and where it was set.
pub fn load<S: DeserializeOwned>(defaults: &str, file: Option<&Path>) -> Result<(Common, S), SettingsError> {
    let whole: Whole<S> = figment(defaults, file)?
        .extract()
        .map_err(|error| SettingsError(Box::new(error)))?;
    Ok((whole.common, whole.service))
}

/// The merged settings as TOML, with the database's address left out.
///
/// # Errors
/// If a source cannot be read.
pub(crate) fn dump(defaults: &str, file: Option<&Path>) -> Result<String, SettingsError> {
    let mut values: figment::value::Dict = figment(defaults, file)?
        .extract()
        .map_err(|error| SettingsError(Box::new(error)))?;
    if let Some(database) = values.get_mut("database") {
        *database = figment::value::Value::from(figment::util::map!["url".to_owned() => "(not shown)".to_owned()]);
    }
    Ok(toml::to_string_pretty(&values).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Own {
        width: u32,
    }

    #[test]
    fn a_file_changes_the_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        std::fs::write(&file, "[nats]\nurl = \"nats://bus:4222\"\n[service]\nwidth = 4\n").unwrap();
        let (common, own): (Common, Own) = load("[service]\nwidth = 3\n", Some(&file)).unwrap();
        assert_eq!((common.nats.url.as_str(), own.width), ("nats://bus:4222", 4));
        assert_eq!(common.grace_seconds, 10);
    }

    #[test]
    fn an_account_that_makes_no_arn_is_refused() {
        let with = |account: &str| load::<Own>(&format!("[service]\nwidth = 3\n[account]\n{account}\n"), None);
        let (common, _) = with("id = \"123456789012\"").unwrap();
        assert_eq!(
            (common.account.id(), common.account.region()),
            ("123456789012", "us-east-1")
        );
        let error = with("id = \"12345\"").unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("12 digits"), "{cause}");
    }

    #[test]
    fn an_unknown_key_of_the_service_is_named() {
        let error = load::<Own>("[service]\nwidth = 3\nheight = 4\n", None).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("height"), "{cause}");
    }

    #[test]
    fn what_is_in_no_section_that_there_is_is_named_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.toml");
        for (text, named) in [
            ("[services]\nwidth = 4\n", "`services`"),
            ("width = 4\n[service]\n", "`width`"),
            ("[Service]\nwidth = 4\n", "`Service`"),
            ("[node-quota]\nmessage_burst = 1\n", "`node-quota`"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = load::<Own>("[service]\nwidth = 3\n", Some(&file)).unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(named) && cause.contains("settings.toml"), "{cause}");
            assert!(
                cause.contains("known are ") && cause.contains("service, telemetry"),
                "{cause}"
            );
            assert!(dump("[service]\nwidth = 3\n", Some(&file)).is_err());
        }
        std::fs::write(&file, "drain_seconds = 3\n[node_quota]\nmessage_burst = 7\n").unwrap();
        let (common, _) = load::<Own>("[service]\nwidth = 3\n", Some(&file)).unwrap();
        assert_eq!((common.drain_seconds, common.node_quota.message_burst), (3, 7));
    }

    #[test]
    fn variables_are_settings_by_their_form() {
        let known = ["nats", "node_quota", "service"].map(str::to_owned);
        let strange = |names: &[&str]| strange_variable(names.iter().map(|name| (*name).to_owned()), &known);
        let good = [
            "NATS__URL",
            "node_quota__message_burst",
            "SERVICE__OBJECTS__URL",
            "AGENT__LIMITS__PROCESSES",
            // None of these has the form of one.
            "SERVER",
            "NATS_SERVER",
            "TEST_AWS",
        ];
        assert_eq!(strange(&good), None);
        for bad in ["SERVICES__AUTHENTICATION", "AUTHENTICATION__X", "__X", "NATS_URL__X"] {
            assert_eq!(strange(&[good[0], bad]).as_deref(), Some(bad));
        }
    }

    #[test]
    fn a_database_address_is_never_printed() {
        let settings = DatabaseSettings {
            url: "postgres://user:secret@host/db".to_owned(),
        };
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
