//! Credentials of nodes: signed at registration, renewed, refused.

use muster_credential::{Claims, Key, KeyKind, Proof, Purpose, UserClaims};
use muster_proto::agent::v1::{RenewRequest, RenewResult};
use muster_proto::aws::v1::{AddTagsToResourceRequest, ResourceTypeForTagging};
use muster_proto::fleet::v1::{DeregisterManagedInstanceRequest, RegisterManagedInstanceRequest};
use muster_wire::subject;
use prost::Message;

use crate::machine::{self, Machine, Ticket, attributes, wanted};
use crate::world::{Refused, START, World, tags};

async fn ask(world: &World, node: &str, question: RenewRequest) -> Result<RenewResult, Refused> {
    let subject = subject::rpc(&node.parse().unwrap(), subject::RPC_AUTH_RENEW);
    let answer = world
        .nats
        .request(subject, question.encode_to_vec().into())
        .await
        .unwrap();
    match answer.headers {
        None => Ok(RenewResult::decode(answer.payload).unwrap()),
        Some(headers) => Err(Refused::of(&headers)),
    }
}

fn question(node: &str, key: &Key, time: i64, parts: &str) -> RenewRequest {
    let (public, text) = (key.public().to_string(), time.to_string());
    let signed = [node.as_bytes(), public.as_bytes(), text.as_bytes()];
    RenewRequest {
        proof: Proof::sign(key, Purpose::Renewal, &signed).as_bytes().to_vec(),
        proof_time: time,
        attributes: attributes(parts),
        public_key: public,
        confirms_key: false,
    }
}

/// What credentials say, if the issuer of this world has signed them.
fn claims(world: &World, token: &str) -> Claims<UserClaims> {
    let verified = Claims::<UserClaims>::verify(token).unwrap();
    verified.issued_by(&[&world.issuer()]).unwrap()
}

#[tokio::test]
async fn a_node_gets_credentials_for_its_key_and_its_tags() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(1)).await;
    let machine = Machine::new("a");
    let answer = machine.register(&world, &ticket).await.unwrap();
    let node = answer.instance_id.unwrap();
    let first = claims(&world, &answer.user_jwt.unwrap());
    assert_eq!(
        (first.name.as_str(), &first.subject),
        (node.as_str(), machine.key.public())
    );
    let hash = |key: &str, value: &str| format!("t:{}", subject::tag_hash(key, value));
    assert_eq!(first.body.tags, [hash("Role", "web")]);
    let day = 24 * 60 * 60;
    assert_eq!(
        (first.issued_at, first.expires_at),
        (START.as_second(), Some(START.as_second() + day))
    );

    // Half a life later, with another tag, and after fleet was restarted.
    world.advance(day / 2);
    world.restart_fleet().await;
    let add = AddTagsToResourceRequest {
        resource_type: Some(ResourceTypeForTagging::ManagedInstance.into()),
        resource_id: Some(node.clone()),
        tags: tags(&[("Env", "prod")]),
    };
    world.by_nats().tags.add_tags_to_resource(add).await.unwrap();
    let time = ask(&world, &node, RenewRequest::default()).await.unwrap();
    assert!(time.user_jwt.is_empty());
    let now = time.service_time.unwrap().seconds;
    assert_eq!(now, START.as_second() + day / 2);
    let renewed = ask(&world, &node, question(&node, &machine.key, now, "a"))
        .await
        .unwrap();
    let renewed = claims(&world, &renewed.user_jwt);
    assert_eq!(renewed.body.tags, [hash("Env", "prod"), hash("Role", "web")]);
    assert_eq!(renewed.expires_at, Some(now + day));
    world.end().await;
}

#[tokio::test]
async fn nobody_else_gets_a_nodes_credentials() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(2)).await;
    let (machine, other) = (Machine::new("a"), Machine::new("b"));
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    let others = other.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    let now = world.second();
    // Another node's key, with another node's proof, at another time, from another machine.
    let refused = ask(&world, &node, question(&node, &other.key, now, "b"))
        .await
        .unwrap_err();
    assert_eq!(refused.word, "AccessDeniedException");
    let unknown = Key::generate(KeyKind::User);
    let refused = ask(&world, &node, question(&node, &unknown, now, "a"))
        .await
        .unwrap_err();
    assert_eq!(refused.word, "AccessDeniedException");
    for bad in [
        question(&others, &machine.key, now, "a"),
        question(&node, &machine.key, now - 301, "a"),
        RenewRequest {
            proof_time: now + 1,
            ..question(&node, &machine.key, now, "a")
        },
    ] {
        assert_eq!(ask(&world, &node, bad).await.unwrap_err().word, "ValidationException");
    }
    let moved = ask(&world, &node, question(&node, &machine.key, now, "elsewhere"))
        .await
        .unwrap_err();
    assert!(moved.text.contains("IdentityChanged"), "{}", moved.text);
    ask(&world, &node, question(&node, &machine.key, now, "a"))
        .await
        .unwrap();
    let out = DeregisterManagedInstanceRequest {
        instance_id: Some(node.clone()),
    };
    world.by_nats().fleet.deregister_managed_instance(out).await.unwrap();
    let refused = ask(&world, &node, question(&node, &machine.key, now, "a"))
        .await
        .unwrap_err();
    assert_eq!(refused.word, "InvalidInstanceId");
    world.end().await;
}

#[tokio::test]
async fn a_node_whose_credentials_have_ended_renews_them_with_its_key_where_machines_register() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(1)).await;
    let machine = Machine::new("a");
    let node = machine.register(&world, &ticket).await.unwrap().instance_id.unwrap();
    world.advance(7 * 24 * 60 * 60);
    let renewal = |node: &str, key: &Key, parts: &str| {
        let question = question(node, key, world.second(), parts);
        RegisterManagedInstanceRequest {
            instance_id: Some(node.to_owned()),
            public_key: Some(question.public_key),
            proof_time: Some(question.proof_time),
            proof: Some(question.proof),
            attributes: question.attributes,
            ..RegisterManagedInstanceRequest::default()
        }
    };
    let answer = machine::ask(&world, renewal(&node, &machine.key, "a")).await.unwrap();
    let claims = claims(&world, &answer.user_jwt.unwrap());
    assert_eq!(
        (claims.name.as_str(), claims.issued_at),
        (node.as_str(), world.second())
    );
    let moved = machine::ask(&world, renewal(&node, &machine.key, "b"))
        .await
        .unwrap_err();
    assert!(moved.text.contains("IdentityChanged"), "{}", moved.text);
    // A stranger learns nothing, not even whether there is such a node.
    let stranger = Key::generate(KeyKind::User);
    let refused = machine::ask(&world, renewal(&node, &stranger, "a")).await.unwrap_err();
    assert_eq!(refused.word, "InvalidActivation");
    for unknown in ["mi-0123456789abcdef0", "no id"] {
        let also = machine::ask(&world, renewal(unknown, &stranger, "a"))
            .await
            .unwrap_err();
        assert_eq!(also, refused, "{unknown}");
    }
    world.end().await;
}
