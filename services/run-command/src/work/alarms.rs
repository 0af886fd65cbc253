//! Alarms that commands name: how they stand is asked of Prometheus, and a command whose alarm rings sends nothing more
//! (docs/operate/alarms.md).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt;
use http::Uri;
use muster_boot::Parts;
use muster_model::{Clock, CommandId};
use muster_proto::aws::v1::ExternalAlarmState;
use muster_store::{Db, StoreError};

use crate::config::{AlarmSettings, AlarmSettingsError};
use crate::domain::alarm::{Alarm, Watched, in_rules};
use crate::store::alarm::watched;
use crate::store::cancel::{Scope, cancel};
use crate::store::decode;
use crate::work::web::{self, WebError};
use crate::work::{Dispatcher, News};

/// How long Prometheus may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is asked before nobody knows.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_millis(500);
/// Longest answer that is read, in bytes: old versions list all of their rules.
const MOST: usize = 16 * 1024 * 1024;
/// Alarms that are asked for at once.
const AT_ONCE: usize = 8;

/// Where alarms are looked up.
#[derive(Debug, Clone)]
pub(crate) struct Alarms {
    prometheus: Option<Uri>,
    every: Duration,
}

impl Alarms {
    /// As the settings say.
    pub(crate) fn of(settings: &AlarmSettings) -> Result<Self, AlarmSettingsError> {
        Ok(Self {
            prometheus: settings.prometheus()?,
            every: Duration::from_secs(u64::from(settings.poll_seconds.max(1))),
        })
    }

    /// How the alarm stands that a command names, if it names one and there is a place to look it up.
    pub(crate) async fn look(&self, watched: &Watched) -> Option<Alarm> {
        let prometheus = self.prometheus.as_ref()?;
        // Somebody waits for the answer to a call.
        let looked = tokio::time::timeout(PATIENCE, stands(prometheus, &watched.name)).await;
        Some(looked.unwrap_or_else(|_| Alarm::Unknown(WebError::Slow.to_string())))
    }

    /// Starts the task that keeps an eye on the alarms of commands that go on.
    pub(crate) fn watch(self, parts: &Parts, db: Db, dispatcher: Dispatcher, news: News) {
        let Some(prometheus) = self.prometheus else { return };
        let stopping = parts.tasks.stopping();
        let clock = parts.clock.clone();
        parts.tasks.spawn("alarms", async move {
            loop {
                let look = async {
                    tokio::time::sleep(self.every).await;
                    stop_sending(&db, &prometheus, &dispatcher, &news, &*clock).await
                };
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    looked = look => if let Err(error) = looked {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "commands whose alarm may ring were not stopped yet"
                        );
                    },
                }
            }
        });
    }
}

/// Stops the commands whose alarms say so.
async fn stop_sending(
    db: &Db,
    prometheus: &Uri,
    dispatcher: &Dispatcher,
    news: &News,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    for (id, state) in ringing(db, prometheus).await? {
        let now = clock.now().as_microsecond();
        match cancel(db, id, Scope::Unsent(state), "", now).await {
            Ok(Some((entry, told))) => {
                dispatcher.tell(vec![entry]);
                news.tell(told.news);
            }
            // It has ended meanwhile, and may be forgotten.
            Ok(None) | Err(StoreError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The commands that must stop, and how their alarms are shown.
async fn ringing(db: &Db, prometheus: &Uri) -> Result<Vec<(CommandId, ExternalAlarmState)>, StoreError> {
    let mut commands = Vec::new();
    for (id, facts) in watched(db).await? {
        let id: CommandId = id.parse().map_err(StoreError::corrupt)?;
        if let Some(alarm) = Watched::of(&decode(&facts)?) {
            commands.push((id, alarm));
        }
    }
    let names: BTreeSet<String> = commands.iter().map(|(_, watched)| watched.name.clone()).collect();
    let alarms: BTreeMap<String, Alarm> = futures::stream::iter(names)
        .map(|name| async move {
            let alarm = stands(prometheus, &name).await;
            (name, alarm)
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let stops = |(id, watched): (CommandId, Watched)| {
        let state = watched.stops(alarms.get(&watched.name)?)?;
        Some((id, state))
    };
    Ok(commands.into_iter().filter_map(stops).collect())
}

async fn stands(prometheus: &Uri, name: &str) -> Alarm {
    let mut failure = String::new();
    for again in 0..TRIES {
        if again > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let asked = tokio::time::timeout(PATIENCE, ask(prometheus, name)).await;
        match asked.unwrap_or(Err(WebError::Slow)) {
            Ok(alarm) => {
                if let Alarm::Unknown(why) = &alarm {
                    tracing::warn!(alarm = name, why, "nobody knows how an alarm stands");
                }
                return alarm;
            }
            Err(error) => failure = error.to_string(),
        }
    }
    tracing::warn!(alarm = name, failure, "nobody knows how an alarm stands");
    Alarm::Unknown(failure)
}

async fn ask(prometheus: &Uri, name: &str) -> Result<Alarm, WebError> {
    let name_in_query = percent_encoded(name);
    let base = prometheus.path().trim_end_matches('/');
    let mut parts = prometheus.clone().into_parts();
    let path = format!("{base}/api/v1/rules?type=alert&rule_name[]={name_in_query}");
    parts.path_and_query = Some(path.parse().map_err(http::Error::from)?);
    let address = Uri::from_parts(parts).map_err(http::Error::from)?;
    let answer = web::ask(&address, http::Request::builder(), String::new(), MOST).await?;
    Ok(in_rules(&answer, name))
}

/// The text as it may stand in a query.
fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        })
        .collect()
}
