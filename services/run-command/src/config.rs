//! The section `[service]` of the settings.

use http::Uri;
use serde::Deserialize;

/// Settings of run-command; `config.default.toml` explains each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Commands are deleted this many days after they were accepted.
    pub retention_days: u32,
    /// Whether users see only commands that they have sent.
    pub own_commands_only: bool,
    /// Most invocations that one command may have.
    pub max_targets: u32,
    /// Most invocations of all commands together that may be neither running nor ended.
    pub max_pending_invocations: u64,
    /// What the URLs of complete outputs begin with; empty: they are not shown.
    pub objects_url: String,
    /// Where notifications may go.
    pub notification_sinks: Vec<SinkSettings>,
    /// Where log streams are kept.
    pub log_streams: LogStreamSettings,
    /// Where alarms are looked up.
    pub alarms: AlarmSettings,
}

/// Where alarms are looked up that commands name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlarmSettings {
    /// Address of a Prometheus server; empty: alarms stop nothing.
    pub prometheus: String,
    /// Seconds between two looks at the alarms of commands that go on; at least 1.
    pub poll_seconds: u32,
}

/// The place where alarms are looked up cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("alarms.prometheus must be the address of a Prometheus server, as http://127.0.0.1:9090")]
pub(crate) struct AlarmSettingsError;

impl AlarmSettings {
    /// The address, checked.
    pub(crate) fn prometheus(&self) -> Result<Option<Uri>, AlarmSettingsError> {
        if self.prometheus.is_empty() {
            return Ok(None);
        }
        let address: Uri = self.prometheus.parse().map_err(|_| AlarmSettingsError)?;
        match (address.scheme_str(), address.host(), address.query()) {
            (Some("http" | "https"), Some(_), None) => Ok(Some(address)),
            _ => Err(AlarmSettingsError),
        }
    }
}

/// Where log streams are kept: in a folder, at a collector, or both.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogStreamSettings {
    /// A folder that all replicas share; empty: none.
    pub folder: String,
    /// Most bytes that are taken from one node for one command.
    pub max_bytes: u64,
    /// Address of an OTLP collector (gRPC) for logs; empty: none.
    pub otlp: String,
}

impl LogStreamSettings {
    /// Whether there is a place at all.
    pub(crate) fn is_configured(&self) -> bool {
        !(self.folder.is_empty() && self.otlp.is_empty())
    }
}

/// Where notifications for an ARN go: to a NATS subject or to a webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSettings {
    /// What callers write as `NotificationArn`; any text.
    pub arn: String,
    /// A subject outside of `muster.`.
    #[serde(default)]
    pub nats: Option<String>,
    /// `http://…` or `https://…`.
    #[serde(default)]
    pub webhook: Option<String>,
}

/// A sink that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) arn: String,
    pub(crate) place: Place,
}

/// Where a sink is.
#[derive(Clone)]
pub(crate) enum Place {
    Nats(String),
    Webhook(Uri),
}

impl std::fmt::Debug for Place {
    /// An address may hold a token.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nats(_) => "Nats(…)",
            Self::Webhook(_) => "Webhook(…)",
        })
    }
}

/// A sink that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the notification sink {arn:?} {what}")]
pub(crate) struct SinkError {
    arn: String,
    what: &'static str,
}

impl Settings {
    /// The sinks, checked.
    pub(crate) fn sinks(&self) -> Result<Vec<Sink>, SinkError> {
        let mut sinks: Vec<Sink> = Vec::with_capacity(self.notification_sinks.len());
        for settings in &self.notification_sinks {
            let error = |what| SinkError {
                arn: settings.arn.clone(),
                what,
            };
            if settings.arn.is_empty() {
                return Err(error("has no name"));
            }
            if sinks.iter().any(|sink| sink.arn == settings.arn) {
                return Err(error("is configured twice"));
            }
            let place = settings.place().map_err(error)?;
            sinks.push(Sink {
                arn: settings.arn.clone(),
                place,
            });
        }
        Ok(sinks)
    }
}

impl SinkSettings {
    fn place(&self) -> Result<Place, &'static str> {
        match (&self.nats, &self.webhook) {
            (Some(subject), None) => {
                let is_plain = subject.split('.').all(|token| !token.is_empty())
                    && !subject.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*' || c == '>');
                match is_plain && !subject.starts_with("muster.") && !subject.starts_with('$') {
                    true => Ok(Place::Nats(subject.clone())),
                    false => Err("names no subject of its own: no wildcards, not below muster. or $"),
                }
            }
            (None, Some(address)) => {
                let address: Uri = address.parse().map_err(|_| "has a webhook that is no address")?;
                match (address.scheme_str(), address.host()) {
                    (Some("http" | "https"), Some(_)) => Ok(Place::Webhook(address)),
                    _ => Err("has a webhook that begins with neither http:// nor https://"),
                }
            }
            _ => Err("needs one of nats and webhook"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sinks(toml: &str) -> Result<Vec<Sink>, String> {
        let text = format!("{}\n{toml}", crate::DEFAULTS.replace("notification_sinks = []", ""));
        let (_, settings): (_, Settings) = muster_boot::load(&text, None).unwrap();
        settings.sinks().map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_have_no_sink() {
        let (_, settings): (_, Settings) = muster_boot::load(crate::DEFAULTS, None).unwrap();
        assert!(settings.sinks().unwrap().is_empty());
    }

    #[test]
    fn a_sink_is_a_subject_or_a_webhook() {
        let one = |rest: &str| sinks(&format!("[[service.notification_sinks]]\narn = \"ops\"\n{rest}\n"));
        assert!(matches!(
            one("nats = \"ops.commands\"").unwrap()[0].place,
            Place::Nats(_)
        ));
        assert!(matches!(
            one("webhook = \"https://hooks.example/x\"").unwrap()[0].place,
            Place::Webhook(_)
        ));
        for (bad, why) in [
            ("", "needs one of"),
            ("nats = \"a\"\nwebhook = \"http://b\"", "needs one of"),
            ("nats = \"muster.v1.dn.x.work\"", "no subject of its own"),
            ("nats = \"ops.*\"", "no subject of its own"),
            ("webhook = \"ftp://b\"", "neither http"),
        ] {
            let error = one(bad).unwrap_err();
            assert!(error.contains(why), "{bad}: {error}");
        }
        let twice = "[[service.notification_sinks]]\narn = \"a\"\nnats = \"x\"\n".repeat(2);
        assert!(sinks(&twice).unwrap_err().contains("twice"));
    }
}
