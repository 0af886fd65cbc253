//! `SendCommand` (run-command 2): checks in the spec's order, then one durable write.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use muster_boot::Rights;
use muster_document::{Document, Format, Platform, check_parameters, check_size, execution_seconds, hash};
use muster_model::{CommandId, MaxConcurrency, MaxErrors, SignedDuration};
use muster_proto::Word;
use muster_proto::agent::v1::{ObjectStore, Values, WorkItem};
use muster_proto::aws::v1::{DocumentHashType, ParameterValueList, Reason};
use muster_proto::documents::v1::documents_client::DocumentsClient;
use muster_proto::documents::v1::{DocumentStatus, DocumentType, GetDocumentRequest, GetDocumentResult};
use muster_proto::fanout::v1::{RolloutTarget, StartRolloutRequest, TagSelector, TargetState};
use muster_proto::fleet::v1::nodes_client::NodesClient;
use muster_proto::fleet::v1::{ResolveTargetsRequest, ResolveTargetsResult, ResolvedNode, TargetExpression};
use muster_proto::runcommand::v1::{Command, CommandStatus, SendCommandRequest, SendCommandResult};
use muster_wire::{Failure, NatsChannel, Principal, Refusal, trace};

use crate::api::reach::denied;
use crate::api::{Api, view};
use crate::domain::alarm::Watched;
use crate::domain::command::Progress;
use crate::domain::invocation::micros;
use crate::domain::log_stream;
use crate::domain::notification;
use crate::domain::plain_text;
use crate::domain::targets::Audience;
use crate::error::from_store;
use crate::store::accept::{NewCommand, NewInvocation};
use crate::store::{self, CommandRow};

/// The name under which the coordinator knows this service.
const OWNER: &str = "RunCommand";
/// Delivery timeout when the caller does not say, in seconds.
const DEFAULT_TIMEOUT: i32 = 3_600;

impl Api {
    /// Sends a command. With an id that its caller's token stands for it is sent at most once, however often it is asked for.
    pub(super) async fn send(
        &self,
        request: SendCommandRequest,
        once: Option<CommandId>,
        sender: &Principal,
        rights: &Rights,
    ) -> Result<SendCommandResult, Failure> {
        if let Some(id) = once
            && let Some(row) = store::read::command(&self.db, id).await.map_err(from_store)?
        {
            return self.same_as_before(&request, &row);
        }
        plain_text::check(&request)?;
        let audience = Audience::of(&request)?;
        let max_concurrency = rate(request.max_concurrency.as_deref(), MaxConcurrency::DEFAULT)?;
        let max_errors = rate(request.max_errors.as_deref(), MaxErrors::DEFAULT)?;

        // Asked at once, because each is a journey over the bus; judged in the order of the specification.
        let (stored, resolved) = futures::join!(self.document(&request), self.resolve(&audience, rights));
        let denied = match &resolved {
            // Too many are refused without a decision on each, which would be as many records.
            Ok(resolved) if resolved.nodes.len() <= self.max_targets as usize => {
                denied(rights, &audience, resolved).await?
            }
            _ => HashSet::new(),
        };
        let stored = stored?;
        let content = stored.content.clone().unwrap_or_default();
        check_hash(&request, &content)?;
        audience.refuse_duplicates()?;
        let document = self.parse(&stored, &content)?;
        let given = given(&request);
        let name = request.document_name.clone().unwrap_or_default();
        let parameters = check_parameters(&document, &given).map_err(|error| {
            Refusal::new(
                Reason::InvalidParameters,
                format!("document {name} does not support parameters: {error}"),
            )
        })?;
        check_size(&content, &given)
            .map_err(|error| Refusal::new(Reason::MaxDocumentSizeExceeded, error.to_string()))?;
        let nodes = self.addressed(&audience, &document, resolved?, &denied)?;
        check_output(&request)?;
        self.check_log(&request)?;
        notification::check(&request, |arn| self.sinks.iter().any(|sink| sink == arn))?;

        let now = self.now();
        let delivery = i64::from(request.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT));
        let execution = i64::try_from(execution_seconds(&document, &parameters)).unwrap_or(i64::MAX);
        let total = SignedDuration::from_secs(delivery.saturating_add(execution));
        let expires = now
            .checked_add(total)
            .map_err(|_| Refusal::validation("TimeoutSeconds lies beyond the end of time"))?;

        let id = once.unwrap_or_else(CommandId::random);
        let targets = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        let facts = facts(&request, id, now.as_microsecond(), expires.as_microsecond());
        let triggered_alarm = match Watched::of(&facts) {
            Some(watched) => self.alarms.look(&watched).await.and_then(|alarm| watched.stops(&alarm)),
            None => None,
        };
        let rollout = (!nodes.is_empty()).then(|| StartRolloutRequest {
            rollout_id: id.to_string(),
            owner: OWNER.to_owned(),
            targets: nodes
                .iter()
                .map(|node| RolloutTarget {
                    node_id: node.id.clone(),
                    refused: node.refused.into(),
                })
                .collect(),
            max_concurrency: max_concurrency.to_string(),
            max_errors: max_errors.to_string(),
            deadline: facts.expires_after,
            work: Some(work_item(&request, &facts, &stored, content, &document)),
            tags: doorbells(&request),
        });
        let command = NewCommand {
            id,
            requested_at: now.as_microsecond(),
            expires_at: expires.as_microsecond(),
            document_name: name,
            facts: facts.clone(),
            progress: Progress::new(targets, max_errors.resolve(targets)),
            nodes: nodes
                .into_iter()
                .map(|node| NewInvocation {
                    node_id: node.id,
                    instance_name: node.name,
                })
                .collect(),
            sender: sender.to_string(),
            steps: steps(&document),
            triggered_alarm,
            rollout,
            traceparent: trace::current().unwrap_or_default(),
        };
        self.acceptor.accept(command).await?;
        if once.is_some() {
            // Two with the same token may have come at the same time: what is stored is what counts.
            let row = store::read::command(&self.db, id).await.map_err(from_store)?;
            let row = row.ok_or_else(|| Failure::internal("an accepted command is not there"))?;
            return self.same_as_before(&request, &row);
        }
        let count = i32::try_from(targets).unwrap_or(i32::MAX);
        Ok(SendCommandResult {
            command: Some(Command {
                status: Some(CommandStatus::Pending.into()),
                status_details: Some("Pending".to_owned()),
                target_count: Some(count),
                completed_count: Some(0),
                error_count: Some(0),
                delivery_timed_out_count: Some(0),
                ..facts
            }),
        })
    }

    /// The command that a client token stands for already, if the request is the same.
    fn same_as_before(&self, request: &SendCommandRequest, row: &CommandRow) -> Result<SendCommandResult, Failure> {
        let stored = row.facts().map_err(from_store)?;
        let id: CommandId = row.command_id.parse().map_err(Failure::internal)?;
        let expires = stored.expires_after.as_ref().map_or(0, micros);
        let again = facts(request, id, row.requested_at, expires);
        if again != stored {
            let message = "the client token was used for another request before";
            return Err(Refusal::validation(message).into());
        }
        let command = view::command(row).map_err(from_store)?;
        Ok(SendCommandResult { command: Some(command) })
    }

    /// Check 2: the document exists, is active and is of a kind that commands can run.
    async fn document(&self, request: &SendCommandRequest) -> Result<GetDocumentResult, Failure> {
        let name = request.document_name.clone().unwrap_or_default();
        let asked = GetDocumentRequest {
            name: Some(name.clone()),
            document_version: request.document_version.clone(),
            ..GetDocumentRequest::default()
        };
        let stored = DocumentsClient::new(NatsChannel::new(self.nats.clone()))
            .get_document(asked)
            .await
            .map_err(Failure::from)?
            .into_inner();
        let refuse = |what: String| Failure::from(Refusal::new(Reason::InvalidDocument, what));
        if stored.status() != DocumentStatus::Active {
            return Err(refuse(format!(
                "document {name} is not active but {}",
                stored.status().word()
            )));
        }
        match stored.document_type() {
            DocumentType::Command | DocumentType::Policy => Ok(stored),
            other => Err(refuse(format!(
                "document {name} has the type {}; a command runs documents of the types Command and Policy",
                other.word()
            ))),
        }
    }

    fn parse(&self, stored: &GetDocumentResult, content: &str) -> Result<Arc<Document>, Failure> {
        let format = stored.document_format().word();
        let kind = stored.document_type().word();
        let key = format!("{kind} {format} {}", hash(content));
        if let Some(known) = self.known.get(&key) {
            return Ok(known);
        }
        let name = stored.name.as_deref().unwrap_or_default();
        let unreadable = |what: String| Refusal::new(Reason::InvalidDocument, format!("document {name}: {what}"));
        let format: Format = format
            .parse()
            .map_err(|_| unreadable(format!("unknown format {format}")))?;
        let kind = kind.parse().map_err(|_| unreadable(format!("unknown type {kind}")))?;
        let document = Document::parse(content, format, kind).map_err(|findings| unreadable(findings.to_string()))?;
        let document = Arc::new(document);
        self.known.put(key, Arc::clone(&document));
        Ok(document)
    }

    async fn resolve(&self, audience: &Audience, rights: &Rights) -> Result<ResolveTargetsResult, Failure> {
        let with_tags = rights.ask_for_tags();
        let request = match audience {
            Audience::Nodes(nodes) => ResolveTargetsRequest {
                instance_ids: nodes.iter().map(ToString::to_string).collect(),
                targets: Vec::new(),
                with_tags,
            },
            Audience::Targets(targets) => ResolveTargetsRequest {
                instance_ids: Vec::new(),
                targets: targets
                    .iter()
                    .map(|target| TargetExpression {
                        key: target.key.clone().unwrap_or_default(),
                        values: target.values.clone(),
                    })
                    .collect(),
                with_tags,
            },
        };
        let resolved = NodesClient::new(NatsChannel::new(self.nats.clone()))
            .resolve_targets(request)
            .await
            .map_err(Failure::from)?;
        Ok(resolved.into_inner())
    }

    /// Checks 7 and 8: explicit ids must all be good; nodes found by targets get an invocation that says why not.
    fn addressed(
        &self,
        audience: &Audience,
        document: &Document,
        resolved: ResolveTargetsResult,
        denied: &HashSet<String>,
    ) -> Result<Vec<Addressed>, Refusal> {
        let explicit = matches!(audience, Audience::Nodes(_));
        if explicit && !resolved.unresolved.is_empty() {
            let bad: Vec<_> = resolved
                .unresolved
                .iter()
                .map(|node| format!("{} ({})", node.node_id, node.reason))
                .collect();
            let message = format!("Instances [[{}]] not in a valid state for the account", bad.join(", "));
            return Err(Refusal::new(Reason::InvalidInstanceId, message));
        }
        let supported = |node: &ResolvedNode| {
            let platform = node.platform_type.parse::<Platform>();
            // A node that has not said what it is gets the benefit of the doubt; its agent decides.
            platform.map_or(node.platform_type.is_empty(), |platform| document.supports(platform))
        };
        if explicit && let Some(node) = resolved.nodes.iter().find(|node| !supported(node)) {
            let message = format!(
                "{} runs {}, which the document does not support",
                node.node_id, node.platform_type
            );
            return Err(Refusal::new(Reason::UnsupportedPlatformType, message));
        }
        let mut nodes: Vec<_> = resolved
            .nodes
            .iter()
            .map(|node| match denied.contains(&node.node_id) {
                // Who may not reach a node does not learn what it is, nor what it is called.
                true => Addressed {
                    id: node.node_id.clone(),
                    name: String::new(),
                    refused: TargetState::AccessDenied,
                },
                false => Addressed {
                    id: node.node_id.clone(),
                    name: node.computer_name.clone(),
                    refused: match supported(node) {
                        true => TargetState::Unset,
                        false => TargetState::InvalidPlatform,
                    },
                },
            })
            .collect();
        nodes.extend(resolved.unresolved.into_iter().map(|node| Addressed {
            id: node.node_id,
            name: String::new(),
            refused: TargetState::Undeliverable,
        }));
        if !explicit {
            // The order of dispatch (schedules-and-rate-control 7.2).
            nodes.sort_by(|one, other| one.id.cmp(&other.id));
        }
        if nodes.len() > self.max_targets as usize {
            let message = format!(
                "the targets match {} nodes; at most {} are allowed",
                nodes.len(),
                self.max_targets
            );
            return Err(Refusal::validation(message));
        }
        Ok(nodes)
    }
}

/// A node that gets an invocation.
struct Addressed {
    id: String,
    name: String,
    /// Unset, or how its invocation ends at once.
    refused: TargetState,
}

fn rate<R: std::str::FromStr>(text: Option<&str>, default: R) -> Result<R, Refusal>
where
    R::Err: std::fmt::Display,
{
    match text {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|error: R::Err| Refusal::validation(error.to_string())),
    }
}

fn check_hash(request: &SendCommandRequest, content: &str) -> Result<(), Refusal> {
    let Some(expected) = request.document_hash.as_deref().filter(|hash| !hash.is_empty()) else {
        return Ok(());
    };
    if request.document_hash_type() == DocumentHashType::Sha1 {
        let message = "DocumentHashType Sha1 is no longer supported: give the Sha256 hash";
        return Err(Refusal::new(Reason::InvalidDocument, message));
    }
    let actual = hash(content);
    if actual.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let message = format!("the document's Sha256 hash is {actual}, not the DocumentHash that was given");
    Err(Refusal::new(Reason::InvalidDocument, message))
}

fn given(request: &SendCommandRequest) -> BTreeMap<String, Vec<String>> {
    let values = |list: &ParameterValueList| list.items.clone();
    request
        .parameters
        .iter()
        .map(|(name, list)| (name.clone(), values(list)))
        .collect()
}

/// Check 9: whether it could be a bucket's name; whether it can be written to is seen later.
fn check_output(request: &SendCommandRequest) -> Result<(), Refusal> {
    let bucket = request.output_s3_bucket_name.as_deref().unwrap_or_default();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    if bucket.chars().all(plain) {
        return Ok(());
    }
    let message = "OutputS3BucketName may hold only lower-case letters, digits, dots, hyphens and underscores";
    Err(Refusal::new(Reason::InvalidOutputFolder, message))
}

impl Api {
    /// Whether the log group has a name that it may have, and whether anybody keeps its streams.
    fn check_log(&self, request: &SendCommandRequest) -> Result<(), Refusal> {
        let Some(config) = &request.cloud_watch_output_config else {
            return Ok(());
        };
        let name = config.cloud_watch_log_group_name();
        if !name.is_empty() && !log_stream::is_group(name) {
            return Err(Refusal::validation(
                "CloudWatchLogGroupName may hold only letters, digits and . - _ / #",
            ));
        }
        if config.cloud_watch_output_enabled() && !self.has_log_streams {
            return Err(Refusal::validation(
                "CloudWatchOutputEnabled needs a place for log streams, and none is configured: \
                 set log_streams.folder or log_streams.otlp of run-command",
            ));
        }
        Ok(())
    }
}

/// The command as the caller gave it.
fn facts(request: &SendCommandRequest, id: CommandId, requested_at: i64, expires_at: i64) -> Command {
    let text = |value: &Option<String>| Some(value.clone().unwrap_or_default());
    Command {
        command_id: Some(id.to_string()),
        document_name: request.document_name.clone(),
        document_version: text(&request.document_version),
        comment: text(&request.comment),
        expires_after: Some(view::time(expires_at)),
        parameters: request.parameters.clone(),
        instance_ids: request.instance_ids.clone(),
        targets: request.targets.clone(),
        requested_date_time: Some(view::time(requested_at)),
        output_s3_region: text(&request.output_s3_region),
        output_s3_bucket_name: text(&request.output_s3_bucket_name),
        output_s3_key_prefix: text(&request.output_s3_key_prefix),
        max_concurrency: Some(given_or(&request.max_concurrency, &MaxConcurrency::DEFAULT)),
        max_errors: Some(given_or(&request.max_errors, &MaxErrors::DEFAULT)),
        service_role: text(&request.service_role_arn),
        notification_config: Some(view::notifications(request.notification_config.as_ref())),
        cloud_watch_output_config: Some(view::log(request.cloud_watch_output_config.as_ref())),
        timeout_seconds: Some(request.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT)),
        alarm_configuration: Some(view::alarms(request.alarm_configuration.as_ref())),
        ..Command::default()
    }
}

/// Name and action of each step.
fn steps(document: &Document) -> Vec<(String, String)> {
    let steps = document.steps().iter();
    steps
        .map(|step| (step.name().to_owned(), step.action().name().to_owned()))
        .collect()
}

fn given_or(given: &Option<String>, default: &impl std::fmt::Display) -> String {
    given.clone().unwrap_or_else(|| default.to_string())
}

fn work_item(
    request: &SendCommandRequest,
    facts: &Command,
    stored: &GetDocumentResult,
    content: String,
    document: &Document,
) -> WorkItem {
    let output_store = request
        .output_s3_bucket_name
        .as_ref()
        .filter(|bucket| !bucket.is_empty())
        .map(|bucket| ObjectStore {
            bucket: bucket.clone(),
            key_prefix: request.output_s3_key_prefix.clone().unwrap_or_default(),
            region: request.output_s3_region.clone().unwrap_or_default(),
        });
    WorkItem {
        run_id: facts.command_id().to_owned(),
        command_id: facts.command_id().to_owned(),
        document_name: stored.name.clone().unwrap_or_default(),
        document_version: stored.document_version.clone().unwrap_or_default(),
        document_content: content,
        document_format: stored.document_format().word().to_owned(),
        parameters: request
            .parameters
            .iter()
            .map(|(name, list)| {
                (
                    name.clone(),
                    Values {
                        items: list.items.clone(),
                    },
                )
            })
            .collect(),
        required_capabilities: document
            .required_capabilities()
            .into_iter()
            .map(str::to_owned)
            .collect(),
        output_store,
        has_log_streams: log_stream::is_wanted(facts),
        ..WorkItem::default()
    }
}

/// The tags by which nodes were chosen.
fn doorbells(request: &SendCommandRequest) -> Vec<TagSelector> {
    let mut tags = Vec::new();
    for target in &request.targets {
        if let Some(key) = target.key.as_deref().and_then(|key| key.strip_prefix("tag:")) {
            tags.extend(target.values.iter().map(|value| TagSelector {
                key: key.to_owned(),
                value: value.clone(),
            }));
        }
    }
    tags
}
