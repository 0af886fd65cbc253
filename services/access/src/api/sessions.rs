//! Temporary access keys: of the same user, in a role, or for who comes with a token of an identity provider.

use muster_policy::{Action, Arn, Context, Decision, PolicySet, Principal};
use muster_proto::Word as _;
use muster_proto::access::v1::{AssumeRoleRequest, IssueSessionRequest, IssueSessionResult, KeyState};
use muster_proto::aws::v1::Reason;
use muster_wire::{Failure, Refusal};

use super::decisions::{Bounds, DecisionsApi, Found, cut, state};
use super::test_policy::{compiled, word};
use crate::domain::audit::Entry;
use crate::domain::identity::{Kind, Tags, Who};
use crate::domain::session::{self, MadeWith};
use crate::error::{AccessError, from_store};
use crate::store::{identity, principal};
use crate::work::WebIdentityError;

/// What making a session is in the audit log.
const SESSION: &str = "sts:GetSessionToken";
/// What acting in a role is, in policies and in the audit log.
const ASSUME: &str = "sts:AssumeRole";
/// What coming with a token is in the audit log.
const WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";

/// Who wants a session, and with what.
struct Asker {
    /// ARN of a user, or of a session of a role.
    principal: String,
    made_with: MadeWith,
    /// The session may not be longer; in seconds since 1970.
    until: i64,
    access_key: Option<String>,
    action: &'static str,
}

impl DecisionsApi {
    /// A temporary access key, and its state. It ends with its time, and with what it was made with.
    pub(super) async fn session(&self, id: &str, token: &str) -> Result<(KeyState, Option<Found>), Failure> {
        let Some(holder) = session::open(&self.keys, id, token) else {
            return Ok((KeyState::Unknown, None));
        };
        if holder.until <= self.clock.now().as_second() {
            return Ok((KeyState::Expired, None));
        }
        let state = self.still_there(&holder.made_with).await?;
        if state == KeyState::Active {
            // Nobody but who was given it has the token: whoever comes with it uses the key that it was made with.
            self.note_use(&holder.made_with);
        }
        let found = Found {
            principal: holder.principal,
            is_active: true,
            secret: holder.secret,
            bounds: Some(Bounds {
                until: holder.until,
                made_with: holder.made_with,
            }),
        };
        Ok((state, Some(found)))
    }

    /// What is done with a session is done with the access key behind it.
    fn note_use(&self, made_with: &MadeWith) {
        if let MadeWith::Key { id, .. } = made_with {
            self.last_used.note(id.clone(), self.clock.now().as_microsecond());
        }
    }

    async fn still_there(&self, made_with: &MadeWith) -> Result<KeyState, Failure> {
        Ok(match made_with {
            MadeWith::Key { id, owner } => {
                let key = self.access_key(id).await?.filter(|found| found.principal == *owner);
                state(key.as_ref())
            }
            MadeWith::Token { owner } => match self.is_user(owner).await? {
                true => KeyState::Active,
                false => KeyState::Unknown,
            },
        })
    }

    /// Whether there is a user of this ARN.
    async fn is_user(&self, arn: &str) -> Result<bool, Failure> {
        let Some(who) = self.account.principal(arn).filter(|who| who.kind == Kind::User) else {
            return Ok(false);
        };
        let row = identity::find(&self.db, &who).await.map_err(from_store)?;
        Ok(row.is_ok())
    }

    /// A temporary access key of the same user.
    pub(super) async fn issue(&self, request: IssueSessionRequest) -> Result<IssueSessionResult, Failure> {
        let id = request.access_key_id();
        let found = self.access_key(id).await?.filter(|found| found.is_active);
        let found = found.ok_or_else(|| {
            AccessError::Invalid(
                "a session is made with an access key that is active, and is no temporary one".to_owned(),
            )
        })?;
        let asker = Asker {
            made_with: MadeWith::Key {
                id: id.to_owned(),
                owner: found.principal.clone(),
            },
            principal: found.principal.clone(),
            until: i64::MAX,
            access_key: Some(id.to_owned()),
            action: SESSION,
        };
        let seconds = request.duration_seconds.unwrap_or(session::DURATION);
        let template = self.template(&asker, request.source_ip(), request.request_id());
        self.make(&asker, &found.principal, seconds, template, Vec::new()).await
    }

    /// A temporary access key that acts in a role, or, for who comes with a token and wants none, as its user.
    pub(super) async fn assume(&self, request: AssumeRoleRequest) -> Result<IssueSessionResult, Failure> {
        let asker = self.asker(&request).await?;
        let template = self.template(&asker, request.source_ip(), request.request_id());
        let seconds = request.duration_seconds.unwrap_or(session::ROLE_DURATION);
        let Some(role_arn) = &request.role_arn else {
            return match &asker.made_with {
                MadeWith::Token { owner } => self.make(&asker, owner, seconds, template, Vec::new()).await,
                MadeWith::Key { .. } => Err(AccessError::Invalid("RoleArn is missing".to_owned()).into()),
            };
        };
        let name = request.role_session_name.as_deref().unwrap_or_default();
        if name.is_empty() || session::is_node_name(name) {
            let text = "RoleSessionName is missing, or begins as names of nodes do: mi- and i- are theirs";
            return Err(AccessError::Invalid(text.to_owned()).into());
        }
        let role = self.account.principal(role_arn).filter(|who| who.kind == Kind::Role);
        let role = role.filter(|_| role_arn.contains(":role/")).ok_or_else(|| {
            let own = self.account.arn(Kind::Role, "<name>");
            AccessError::Invalid(format!("{role_arn:?} is no role of this account: {own} is"))
        })?;
        let (_, found) = principal::holdings(&self.db, &role).await.map_err(from_store)?;
        let tags = found.as_ref().map(|found| found.tags.clone());
        let decided = self.decide(&asker, &role, tags, &request, template.clone()).await?;
        if found.is_none() {
            self.recorder.write(vec![decided]).await?;
            return Err(role.missing().into());
        }
        let (partition, id) = (&self.account.partition, &self.account.id);
        let session = format!("arn:{partition}:sts::{id}:assumed-role/{}/{name}", role.name);
        self.make(&asker, &session, seconds, template, vec![decided]).await
    }

    /// Whether the caller may assume a role; what is written down of it if it may.
    async fn decide(
        &self,
        asker: &Asker,
        role: &Who,
        tags: Option<Tags>,
        request: &AssumeRoleRequest,
        template: Entry,
    ) -> Result<Entry, Failure> {
        let action: Action = ASSUME.parse().map_err(Failure::internal)?;
        let on: Arn = self
            .account
            .arn(Kind::Role, &role.name)
            .parse()
            .map_err(Failure::internal)?;
        let who = self.account.principal(&asker.principal);
        let who = who.ok_or_else(|| Failure::internal("an access key is nobody's"))?;
        let (_, held) = principal::holdings(&self.db, &who).await.map_err(from_store)?;
        let held = held.unwrap_or_default();
        let policies = PolicySet::new(compiled(&who, &held)?).map_err(Failure::internal)?;
        let acting = Principal::new(asker.principal.parse().map_err(Failure::internal)?).with_tags(held.tags);
        let context = Context {
            current_time: Some(self.clock.now()),
            secure_transport: Some(request.secure_transport()),
            source_ip: request.source_ip().parse().ok(),
            resource_tags: tags.unwrap_or_default(),
            ..Context::default()
        };
        let decision = policies.decide(&acting, &action, &on, &context);
        let entry = Entry {
            action: ASSUME.to_owned(),
            resource: on.to_string(),
            decision: word(&decision).word().to_owned(),
            statements: decision.statements().iter().map(ToString::to_string).map(cut).collect(),
            ..template
        };
        match decision {
            Decision::Allow(_) => Ok(entry),
            _ => {
                self.recorder.write(vec![entry]).await?;
                let text = decision.refusal(&acting, &action, &on).unwrap_or_default();
                Err(Refusal::new(Reason::AccessDeniedException, text).into())
            }
        }
    }

    /// Who asks: by the token of an identity provider, or by the access key that the request was signed with.
    async fn asker(&self, request: &AssumeRoleRequest) -> Result<Asker, Failure> {
        if let Some(token) = &request.web_identity_token {
            let named = self.providers.user(token, self.clock.now().as_second()).await;
            let name = named.map_err(|error| {
                let reason = match &error {
                    WebIdentityError::Token(_) => Reason::InvalidIdentityToken,
                    WebIdentityError::Away(_) => Reason::IdpCommunicationError,
                };
                Refusal::new(reason, error.to_string())
            })?;
            // Only the bootstrap command gives anybody the rights of root.
            let owner = self.account.arn(Kind::User, &name);
            if Who::user(name.as_str()).is_root() || !self.is_user(&owner).await? {
                let text = format!("the token of the identity provider names the user {name:?}, and there is none");
                return Err(Refusal::new(Reason::InvalidIdentityToken, text).into());
            }
            return Ok(Asker {
                principal: owner.clone(),
                made_with: MadeWith::Token { owner },
                until: i64::MAX,
                access_key: None,
                action: WEB_IDENTITY,
            });
        }
        let id = request.access_key_id();
        let nobody = || {
            let text = "the access key is not active any more, or has expired";
            Refusal::new(Reason::AccessDeniedException, text)
        };
        match &request.session_token {
            None => {
                let found = self.access_key(id).await?.filter(|found| found.is_active);
                let owner = found.ok_or_else(nobody)?.principal;
                Ok(Asker {
                    principal: owner.clone(),
                    made_with: MadeWith::Key {
                        id: id.to_owned(),
                        owner,
                    },
                    until: i64::MAX,
                    access_key: Some(id.to_owned()),
                    action: ASSUME,
                })
            }
            Some(token) => {
                let holder = session::open(&self.keys, id, token).ok_or_else(nobody)?;
                let (KeyState::Active, Some(_)) = self.session(id, token).await? else {
                    return Err(nobody().into());
                };
                Ok(Asker {
                    principal: holder.principal,
                    made_with: holder.made_with,
                    until: holder.until,
                    access_key: Some(id.to_owned()),
                    action: ASSUME,
                })
            }
        }
    }

    fn template(&self, asker: &Asker, source_ip: &str, request_id: &str) -> Entry {
        Entry {
            time: self.clock.now().as_microsecond(),
            principal: asker.principal.clone(),
            access_key_id: cut(asker.access_key.clone().unwrap_or_default()),
            surface: "aws-json".to_owned(),
            source_ip: cut(source_ip.to_owned()),
            request_id: cut(request_id.to_owned()),
            action: asker.action.to_owned(),
            ..Entry::default()
        }
    }

    /// Makes it, once it is written down that it is made.
    async fn make(
        &self,
        asker: &Asker,
        principal: &str,
        seconds: i64,
        template: Entry,
        mut entries: Vec<Entry>,
    ) -> Result<IssueSessionResult, Failure> {
        let until = self.clock.now().as_second().saturating_add(seconds).min(asker.until);
        let session = session::issue(&self.keys, principal, asker.made_with.clone(), until);
        entries.push(Entry {
            resource: session.access_key_id.clone(),
            decision: "Allow".to_owned(),
            ..template
        });
        self.recorder.write(entries).await?;
        self.note_use(&asker.made_with);
        Ok(IssueSessionResult {
            access_key_id: Some(session.access_key_id),
            secret_access_key: Some(session.secret.reveal().to_owned()),
            session_token: Some(session.token.reveal().to_owned()),
            until: Some(until),
            principal: Some(principal.to_owned()),
        })
    }
}
