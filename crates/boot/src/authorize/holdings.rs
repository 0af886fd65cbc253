//! What principals have: asked of `access`, read once, believed for five seconds.

use std::sync::Arc;
use std::time::Instant;

use muster_model::Timestamp;
use muster_policy::{Policy, PolicySet, Principal, builtin};
use muster_proto::access::v1::{GetPrincipalRequest, GetPrincipalResult, PrincipalPolicy};
use muster_wire::{Caller, CallerKind, Failure, SessionBounds};

use super::authority::Authority;
use super::fresh::Fresh;

/// The role in which a node acts that has none. `access` is not asked about it.
pub(super) const NO_ROLE: &str = "node-core";
/// What every node may do whose role has no policies: report about itself, and read documents.
const NODE_CORE: &str = "node-core";

/// What a principal has, read.
#[derive(Debug)]
pub(super) struct Holdings {
    pub(super) who: Principal,
    pub(super) policies: PolicySet,
}

/// Asks for what is not known.
#[derive(Debug)]
pub(super) struct HoldingsCache {
    authority: Arc<dyn Authority>,
    known: Fresh<(CallerKind, String), Arc<Holdings>>,
}

impl HoldingsCache {
    pub(super) fn new(authority: Arc<dyn Authority>) -> Self {
        Self {
            authority,
            known: Fresh::new(),
        }
    }

    pub(super) fn forget_all(&self) {
        self.known.forget_all();
    }

    /// What a caller has now, which is nothing if the access key that it came with has been switched off, or, if that is a
    /// temporary one, has ended or the one behind it was switched off.
    ///
    /// # Errors
    /// As [`HoldingsCache::of`].
    pub(super) async fn now(&self, caller: &Caller, now: Timestamp) -> Result<Arc<Holdings>, Failure> {
        let answer = match (&caller.session, &caller.access_key) {
            (Some(bounds), _) if !self.lasts(bounds, now).await? => GetPrincipalResult::default(),
            (Some(_), _) => self.authority.principal(question_about(caller, None)).await?,
            (None, Some(key)) => {
                self.authority
                    .principal(question_about(caller, Some(key.clone())))
                    .await?
            }
            (None, None) => return self.of(caller).await,
        };
        Ok(Arc::new(read(caller, answer)?))
    }

    /// Whether a temporary access key has not ended with what it does not outlive.
    async fn lasts(&self, bounds: &SessionBounds, now: Timestamp) -> Result<bool, Failure> {
        if bounds.until <= now.as_second() {
            return Ok(false);
        }
        let owner = GetPrincipalRequest {
            arn: Some(bounds.owner.as_str().to_owned()),
            access_key_id: bounds.access_key.clone(),
        };
        Ok(self.authority.principal(owner).await?.known())
    }

    /// What a caller has. Who is not known has nothing.
    ///
    /// # Errors
    /// If it cannot be found out, or what it has cannot be read: nothing is decided then.
    pub(super) async fn of(&self, caller: &Caller) -> Result<Arc<Holdings>, Failure> {
        let key = (caller.kind, caller.principal.as_str().to_owned());
        let question = match self.known.get(&key, Instant::now()) {
            Ok(holdings) => return Ok(holdings),
            Err(question) => question,
        };
        let answer = match is_node_without_role(caller) {
            true => GetPrincipalResult::default(),
            false => self.authority.principal(question_about(caller, None)).await?,
        };
        let holdings = Arc::new(read(caller, answer)?);
        self.known.keep(question, key, Arc::clone(&holdings));
        Ok(holdings)
    }
}

fn question_about(caller: &Caller, access_key_id: Option<String>) -> GetPrincipalRequest {
    GetPrincipalRequest {
        arn: Some(caller.principal.as_str().to_owned()),
        access_key_id,
    }
}

fn read(caller: &Caller, answer: GetPrincipalResult) -> Result<Holdings, Failure> {
    let who = Principal::new(caller.principal.as_str().parse().map_err(Failure::internal)?);
    let tags = answer.tags.iter().map(|tag| (tag.key(), tag.value()));
    let who = who.with_tags(tags);
    let who = match caller.kind {
        // A node acts in the session of its role that is called after it.
        CallerKind::Node => {
            let id = who.name().to_owned();
            who.with_node(id)
        }
        _ => who,
    };
    let mut policies: Vec<_> = match answer.known() {
        true => answer.policies.into_iter().map(policy).collect::<Result<_, _>>()?,
        false => Vec::new(),
    };
    if caller.kind == CallerKind::Node && policies.is_empty() {
        let core = PrincipalPolicy {
            policy_name: Some(NODE_CORE.to_owned()),
            policy_document: None,
        };
        policies.push(policy(core)?);
    }
    Ok(Holdings {
        who,
        policies: PolicySet::new(policies).map_err(Failure::internal)?,
    })
}

fn is_node_without_role(caller: &Caller) -> bool {
    let session = format!(":assumed-role/{NO_ROLE}/");
    caller.kind == CallerKind::Node && caller.principal.as_str().contains(&session)
}

fn policy(held: PrincipalPolicy) -> Result<(String, Arc<Policy>), Failure> {
    let name = held.policy_name.unwrap_or_default();
    let read = match held.policy_document {
        Some(text) => Policy::parse(&text).map(Arc::new).map_err(Failure::internal)?,
        // A policy that is not there may be one that denies: nothing is decided without it.
        None => builtin::policy(&name)
            .ok_or_else(|| Failure::internal(format!("there is no built-in policy {}", name.escape_debug())))?,
    };
    Ok((name, read))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;
    use muster_policy::Context;
    use muster_proto::access::v1::{CheckBearerRequest, CheckBearerResult, DecisionRecord};

    use super::*;

    const ANN: &str = "arn:aws:iam::000000000000:user/ann";
    const IN_ROLE: &str = "arn:aws:sts::000000000000:assumed-role/Ops/ann";

    /// Knows one user with one access key, and a role.
    #[derive(Debug, Default)]
    struct Access {
        is_off: Mutex<bool>,
    }

    impl Authority for Access {
        fn principal(&self, asked: GetPrincipalRequest) -> BoxFuture<'_, Result<GetPrincipalResult, Failure>> {
            let is_good = |key: &str| key == "MKIAANN" && !*self.is_off.lock().unwrap();
            let known = match asked.arn() {
                ANN => asked.access_key_id.as_deref().is_none_or(is_good),
                other => other == IN_ROLE && asked.access_key_id.is_none(),
            };
            Box::pin(async move { Ok(held(&[("read-only", None)], known)) })
        }

        fn bearer(&self, _: CheckBearerRequest) -> BoxFuture<'_, Result<CheckBearerResult, Failure>> {
            unreachable!("nobody comes")
        }

        fn record(&self, _: Vec<DecisionRecord>) -> BoxFuture<'_, Result<(), Failure>> {
            unreachable!("nothing is decided")
        }
    }

    async fn may_list(cache: &HoldingsCache, caller: &Caller, second: i64) -> bool {
        let now = Timestamp::from_second(second).unwrap();
        let holdings = cache.now(caller, now).await.unwrap();
        let (action, on) = ("ssm:ListCommands".parse().unwrap(), muster_policy::Arn::any());
        let decision = holdings
            .policies
            .decide(&holdings.who, &action, &on, &Context::default());
        decision.is_allowed()
    }

    #[tokio::test]
    async fn a_session_ends_with_its_time_and_with_the_key_behind_it() {
        let access = Arc::new(Access::default());
        let cache = HoldingsCache::new(Arc::clone(&access) as Arc<dyn Authority>);
        let session = |kind, arn: &str, made_with: Option<&str>| Caller {
            access_key: Some("MSIAANN".to_owned()),
            session: Some(SessionBounds {
                until: 1_000,
                owner: muster_wire::Principal::new(ANN).unwrap(),
                access_key: made_with.map(str::to_owned),
            }),
            ..caller(kind, arn)
        };
        let all = [
            session(CallerKind::User, ANN, Some("MKIAANN")),
            session(CallerKind::Role, IN_ROLE, Some("MKIAANN")),
        ];
        let by_token = session(CallerKind::Role, IN_ROLE, None);
        for caller in all.iter().chain([&by_token]) {
            assert!(may_list(&cache, caller, 999).await, "{caller:?}");
            assert!(!may_list(&cache, caller, 1_000).await, "{caller:?}");
        }
        *access.is_off.lock().unwrap() = true;
        for caller in &all {
            assert!(!may_list(&cache, caller, 999).await, "{caller:?}");
        }
        assert!(may_list(&cache, &by_token, 999).await, "no key is behind it");
    }

    #[tokio::test]
    async fn of_a_temporary_key_without_what_it_does_not_outlive_nothing_goes_on() {
        let cache = HoldingsCache::new(Arc::new(Access::default()));
        let with = |kind, arn: &str, key: &str| Caller {
            access_key: Some(key.to_owned()),
            ..caller(kind, arn)
        };
        assert!(may_list(&cache, &with(CallerKind::User, ANN, "MKIAANN"), 0).await);
        assert!(!may_list(&cache, &with(CallerKind::User, ANN, "MSIAANN"), 0).await);
        assert!(!may_list(&cache, &with(CallerKind::Role, IN_ROLE, "MSIAANN"), 0).await);
    }

    fn caller(kind: CallerKind, arn: &str) -> Caller {
        Caller {
            kind,
            principal: muster_wire::Principal::new(arn).unwrap(),
            ..Caller::development()
        }
    }

    fn held(policies: &[(&str, Option<&str>)], known: bool) -> GetPrincipalResult {
        let policies = policies.iter().map(|(name, text)| PrincipalPolicy {
            policy_name: Some((*name).to_owned()),
            policy_document: text.map(str::to_owned),
        });
        GetPrincipalResult {
            known: Some(known),
            policies: policies.collect(),
            ..GetPrincipalResult::default()
        }
    }

    #[test]
    fn what_cannot_be_read_decides_nothing() {
        let alice = caller(CallerKind::User, "arn:aws:iam::000000000000:user/alice");
        assert!(read(&alice, held(&[("admin", None)], true)).is_ok());
        assert!(read(&alice, held(&[("mine", None)], true)).is_err());
        assert!(read(&alice, held(&[("mine", Some("{}"))], true)).is_err());
    }

    #[test]
    fn who_is_not_known_has_nothing() {
        let alice = caller(CallerKind::User, "arn:aws:iam::000000000000:user/alice");
        let nothing = read(&alice, held(&[("admin", None)], false)).unwrap();
        let decision = nothing.policies.decide(
            &nothing.who,
            &"ssm:ListCommands".parse().unwrap(),
            &muster_policy::Arn::any(),
            &muster_policy::Context::default(),
        );
        assert!(!decision.is_allowed());
    }

    #[test]
    fn a_node_is_the_session_of_its_role() {
        let node = caller(
            CallerKind::Node,
            "arn:aws:sts::000000000000:assumed-role/Node/mi-0123456789abcdef0",
        );
        let who = read(&node, held(&[], true)).unwrap().who;
        let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*",
            "Resource": "arn:aws:ssm:*:*:managed-instance/${ssm:nodeId}"}}"#;
        let set = PolicySet::new([("own", Arc::new(Policy::parse(policy).unwrap()))]).unwrap();
        let may = |id: &str| {
            let arn = format!("arn:aws:ssm:us-east-1:000000000000:managed-instance/{id}");
            let (action, arn) = ("ssm:PutInventory".parse().unwrap(), arn.parse().unwrap());
            set.decide(&who, &action, &arn, &muster_policy::Context::default())
                .is_allowed()
        };
        assert!(may("mi-0123456789abcdef0") && !may("mi-0123456789abcdef1"));
    }

    #[test]
    fn a_node_has_what_its_role_has_and_otherwise_what_every_node_has() {
        let node = caller(
            CallerKind::Node,
            "arn:aws:sts::000000000000:assumed-role/Web/mi-0123456789abcdef0",
        );
        let read_only = read(&node, held(&[("read-only", None)], true)).unwrap();
        let allows = |holdings: &Holdings, action: &str| {
            let on = "arn:aws:ssm:us-east-1:000000000000:document/Mine".parse().unwrap();
            let decision = holdings
                .policies
                .decide(&holdings.who, &action.parse().unwrap(), &on, &Context::default());
            decision.is_allowed()
        };
        assert!(
            allows(&read_only, "ssm:ListCommands"),
            "the role's policies and no others"
        );
        for core in [held(&[], true), held(&[], false), held(&[("read-only", None)], false)] {
            let core = read(&node, core).unwrap();
            assert!(allows(&core, "ssm:GetDocument") && !allows(&core, "ssm:ListCommands"));
        }
        let user = caller(CallerKind::User, "arn:aws:iam::000000000000:user/alice");
        assert!(!allows(&read(&user, held(&[], true)).unwrap(), "ssm:GetDocument"));
    }
}
