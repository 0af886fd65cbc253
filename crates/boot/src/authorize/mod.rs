//! Who may do what here: the one layer in front of everything that a service mounts (aws-json-gateway 7).
//!
//! - `arn`: from what a request names to ARNs. Pure.
//! - `holdings`: what principals have, as the service `access` says it, believed for five seconds.
//! - `ledger`: decisions on their way into the audit log.
//! - `lasting`: streams that end with the rights of whoever reads them.
//! - `story`: what is known of a call until it is over, for the audit log. Pure.
//! - `rights`: what a caller may do, for services that alone know what a request is about.
//! - `bearers`: access keys of callers by gRPC, believed for five seconds.
//! - `node`: what nodes may do on their own subjects.
//! - `authority`: the service `access`, over the bus.
//!
//! Services are trusted by the bus, and development asks nobody; users, roles and nodes are decided.

mod arn;
mod authority;
mod bearers;
mod fresh;
mod holdings;
mod lasting;
mod ledger;
mod node;
mod rights;
mod story;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use muster_model::{Account, Clock};
use muster_policy::{Action, Arn, Context, Decision};
use muster_proto::facts;
use muster_wire::{About, Admitted, Asked, Authorizer, CallerKind, Failure, Reason, Refusal, subject};

use crate::{BoxError, Tasks};

pub use authority::{AccessOverBus, Authority};
pub use lasting::{rights_lost, while_allowed};
pub use node::NodeGate;
pub use rights::{Leave, Rights};
pub use story::Touched;

use arn::arn;
pub(crate) use bearers::BearerCache;
use holdings::HoldingsCache;
pub(crate) use ledger::Ledger;
use rights::Asking;
use story::StoryOf;

/// Tags by key.
pub type TagMap = BTreeMap<String, String>;

/// Knows the tags of resources, for conditions that ask for them. A service has one for the resources that it decides on.
pub trait ResourceTags: fmt::Debug + Send + Sync + 'static {
    /// The tags of a resource by its ARN's kind and name: empty for what is not there or has none, `None` for kinds whose
    /// tags nobody here knows. Conditions on tags hold for those only where they deny.
    ///
    /// # Errors
    /// If they cannot be found out now: nothing is decided without them.
    fn tags<'a>(&'a self, kind: &'a str, name: &'a str) -> BoxFuture<'a, Result<Option<TagMap>, Failure>>;
}

/// Decides on calls from what `access` knows of their callers.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    account: Account,
    clock: Arc<dyn Clock>,
    holdings: HoldingsCache,
    ledger: Ledger,
    tags: Option<Arc<dyn ResourceTags>>,
}

impl Gate {
    /// A gate before the services of one process.
    pub(crate) fn new(
        account: Account,
        clock: Arc<dyn Clock>,
        authority: Arc<dyn Authority>,
        ledger: Ledger,
        tags: Option<Arc<dyn ResourceTags>>,
    ) -> Self {
        Self(Arc::new(Inner {
            account,
            clock,
            holdings: HoldingsCache::new(authority),
            ledger,
            tags,
        }))
    }

    /// Forgets what is known of principals, and of access keys where any are kept, as soon as `access` says that something
    /// changed.
    ///
    /// # Errors
    /// If the bus does not take the subscription.
    pub(crate) async fn listen(
        &self,
        bearers: Option<Arc<BearerCache>>,
        nats: &async_nats::Client,
        tasks: &Tasks,
    ) -> Result<(), BoxError> {
        let changed = subject::event("access", "principal", "changed");
        let mut news = nats.subscribe(changed).await?;
        let (gate, stopping) = (self.clone(), tasks.stopping());
        tasks.spawn("news of principals", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    changed = news.next() => match changed {
                        Some(_) => {
                            gate.0.holdings.forget_all();
                            if let Some(bearers) = &bearers {
                                bearers.forget_all();
                            }
                        }
                        // The connection is closed only when the service ends.
                        None => return Ok(()),
                    },
                }
            }
        });
        Ok(())
    }

    async fn decide(&self, asked: Asked<'_>) -> Result<Rights, Failure> {
        let inner = &self.0;
        if asked.caller.kind == CallerKind::Anonymous && !facts::operation(asked.method).unauthenticated {
            let message = "this needs credentials";
            return Err(Refusal::new(Reason::AccessDeniedException, message).into());
        }
        if !asked.caller.is_decided() {
            return Ok(Rights::everything());
        }
        let about = asked.request.map(|request| About::of(asked.method, request));
        let about = about.unwrap_or_default();
        let mut asking = Asking {
            gate: Arc::clone(inner),
            holdings: inner.holdings.of(asked.caller).await?,
            caller: asked.caller.clone(),
            surface: asked.surface,
            action: action(&facts::action(asked.method))?,
            context: inner.context(asked, &about),
            is_plain_read: facts::operation(asked.method).plain_read,
            is_told: facts::operation(asked.method).audit_outcome,
            allowed: Vec::new(),
            story: StoryOf::default(),
        };
        if !facts::is_for_people(asked.method) {
            let denied = (asking.action.clone(), Arn::any(), Decision::ImplicitDeny);
            asking.record(&[denied]).await?;
            return Err(services_only(&asking).into());
        }
        let questions = inner.questions(&asking, asked, &about).await?;
        let decide = |(action, on, context): &(Action, Arn, Context)| {
            let decision = asking.decide(action, on, context);
            (action.clone(), on.clone(), decision)
        };
        let decisions: Vec<_> = questions.iter().map(decide).collect();
        let refusal = |(action, on, decision): &(Action, Arn, Decision)| asking.refusal(action, on, decision);
        let refused = decisions.iter().find_map(refusal);
        asking.begin(&decisions, refused.is_none()).await?;
        if let Some(refused) = refused {
            return Err(refused.into());
        }
        asking.allowed = questions;
        Ok(Rights::decided(asking))
    }
}

impl Authorizer for Gate {
    fn account(&self) -> &Account {
        &self.0.account
    }

    fn authorize<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Admitted, Failure>> {
        Box::pin(async move {
            let rights = self.decide(asked).await?;
            let mut admitted = Admitted {
                extensions: http::Extensions::new(),
                conclude: rights.told(),
            };
            admitted.extensions.insert(rights);
            Ok(admitted)
        })
    }
}

/// What services ask each other is nobody else's, and there is no policy to look for that would allow it.
fn services_only(asking: &Asking) -> Refusal {
    let (who, action) = (&asking.caller.principal, &asking.action);
    let text = format!(
        "User: {who} is not authorized to perform: {action}: only services of Muster ask this, and no policy gives it to \
         anybody else"
    );
    Refusal::new(Reason::AccessDeniedException, text)
}

fn action(text: &str) -> Result<Action, Failure> {
    text.parse().map_err(Failure::internal)
}

impl Inner {
    /// What is known of a request beside the resource.
    fn context(&self, asked: Asked<'_>, about: &About) -> Context {
        Context {
            source_ip: asked.caller.source_ip,
            current_time: Some(self.clock.now()),
            secure_transport: Some(asked.caller.secure_transport),
            request_tags: about.tags.clone(),
            tag_keys: about.tag_keys.clone(),
            resource_tags: TagMap::new(),
            resource_tags_unknown: false,
            overwrite: about.overwrite,
            recursive: about.recursive,
            policies: about.policies.clone(),
            document_type: about.document_type.clone(),
        }
    }

    /// Everything that must be allowed: the operation on each resource that the request names, or on `*`.
    async fn questions(
        &self,
        asking: &Asking,
        asked: Asked<'_>,
        about: &About,
    ) -> Result<Vec<(Action, Arn, Context)>, Failure> {
        let mut questions = Vec::with_capacity(about.resources.len() + 1);
        let own = about.resources.iter().filter(|resource| resource.action.is_none());
        let is_about_nothing = own.count() == 0;
        if is_about_nothing {
            questions.push((asking.action.clone(), Arn::any(), asking.context.clone()));
        }
        let has_tags = asking.asks_for_tags();
        for resource in &about.resources {
            let (on, name) = arn(&self.account, resource);
            let mut context = asking.context.clone();
            if has_tags {
                let known = match &self.tags {
                    // What has a NUL in it is nothing that a database could look for.
                    Some(tags) if !name.contains('\0') => tags.tags(&resource.kind, &name).await?,
                    _ => None,
                };
                context.resource_tags_unknown = known.is_none();
                context.resource_tags = known.unwrap_or_default();
            }
            let act = match resource.action {
                Some(text) => action(text)?,
                None => asking.action.clone(),
            };
            questions.push((act, on, context));
        }
        tracing::trace!(method = asked.method.name(), questions = questions.len(), "deciding");
        Ok(questions)
    }
}

#[cfg(test)]
mod tests;
