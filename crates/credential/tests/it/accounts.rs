//! Operator, accounts, scoped keys, revocations, life: what a server makes of each.

use std::time::Duration;

use async_nats::HeaderMap;
use futures::StreamExt as _;
use muster_credential::claims::{Claims, Permission, SigningKey, UserClaims};
use muster_credential::layout::{self, Account, NodeClaims, SigningKeys};
use muster_credential::{AccountClaims, Creds, Key, KeyKind};
use muster_harness::{NatsServer, Trust, until};
use serde_json::Value;

use crate::probe::{Probe, next};

const NODE: &str = "mi-0123456789abcdef0";

fn now() -> i64 {
    Trust::now()
}

/// Pushes claims of an account, and gives the server's answer.
async fn push(server: &NatsServer, trust: &Trust, claims: Claims<AccountClaims>) -> Value {
    let system = server.client_as(&trust.system()).await.unwrap();
    let text = claims.sign(trust.operator_key()).unwrap();
    let answer = system.request("$SYS.REQ.CLAIMS.UPDATE", text.into()).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// What whoever asks says of itself.
fn forged() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Request-Info", r#"{"acc":"MUSTER","user":"admin"}"#);
    headers
}

fn muster(trust: &Trust, nodes: &[&Key]) -> Claims<AccountClaims> {
    let signers = SigningKeys {
        services: trust.services_key().public().clone(),
        nodes: nodes.iter().map(|key| key.public().clone()).collect(),
    };
    trust.accounts().claims(Account::Muster, &signers, now())
}

#[tokio::test]
async fn what_the_server_holds_is_what_was_signed() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let system = server.client_as(&trust.system()).await.unwrap();
    for account in layout::ACCOUNTS {
        let key = trust.accounts().key(account);
        let subject = format!("$SYS.REQ.ACCOUNT.{key}.CLAIMS.LOOKUP");
        let answer = system.request(subject, "".into()).await.unwrap();
        let text = std::str::from_utf8(&answer.payload).unwrap();
        let read = Claims::<AccountClaims>::verify(text).unwrap();
        let claims = read.issued_by(&[trust.operator_key().public()]).unwrap();
        let expected = Claims::<AccountClaims>::verify(&trust.account(account)).unwrap().claims;
        assert_eq!(claims.body, expected.body, "{account:?}");
    }
}

#[tokio::test]
async fn nobody_gets_in_without_credentials_or_with_another_s_seed() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    assert!(async_nats::connect(server.url()).await.is_err());
    let (creds, other) = (trust.node(NODE, &[]), Key::generate(KeyKind::User));
    let stolen = creds
        .to_text()
        .replace(creds.key().seed().expose(), other.seed().expose());
    let options = async_nats::ConnectOptions::with_credentials(&stolen).unwrap();
    assert!(options.connect(server.url()).await.is_err());
    // A user that a stranger has signed.
    let stranger = Key::generate(KeyKind::Account);
    let claims = NodeClaims {
        node: NODE,
        tags: Vec::new(),
        now: now(),
        life: 60,
    };
    let forged = claims
        .creds(Key::generate(KeyKind::User), &trust.accounts().muster, &stranger)
        .unwrap();
    assert!(server.client_as(&forged).await.is_err());
}

#[tokio::test]
async fn a_scoped_key_cannot_give_more_than_its_template() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let key = Key::generate(KeyKind::User);
    let claims = Claims {
        name: NODE.to_owned(),
        subject: key.public().clone(),
        issued_at: now(),
        expires_at: None,
        body: UserClaims::with_permissions(
            trust.accounts().muster.clone(),
            Permission::only([">"]),
            Permission::only([">"]),
        ),
    };
    let creds = Creds::new(claims.sign(trust.nodes_key()).unwrap(), key).unwrap();
    // The server does not even let it in.
    assert!(server.client_as(&creds).await.is_err());
}

#[tokio::test]
async fn a_revoked_node_is_cut_off_and_stays_out_until_it_has_newer_claims() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let (creds, other) = (trust.node(NODE, &[]), trust.node("mi-0123456789abcdef1", &[]));
    let (victim, bystander) = (Probe::of(&server, &creds).await, Probe::of(&server, &other).await);
    let mut claims = muster(trust, &[trust.nodes_key()]);
    claims
        .body
        .revocations
        .insert(creds.key().public().to_string(), creds.claims().issued_at);
    let answer = push(&server, trust, claims).await;
    assert_eq!(answer["data"]["code"], 200, "{answer}");
    victim.hears("disconnected").await;
    assert!(server.client_as(&creds).await.is_err());
    assert!(bystander.may_publish("muster.v1.up.mi-0123456789abcdef1.hb").await);
    // Claims that were made later for the same key are good.
    let later = NodeClaims {
        node: NODE,
        tags: Vec::new(),
        now: creds.claims().issued_at + 1,
        life: 60,
    };
    let later = later
        .creds(creds.key().clone(), &trust.accounts().muster, trust.nodes_key())
        .unwrap();
    server.client_as(&later).await.unwrap();
}

#[tokio::test]
async fn without_a_push_the_claims_end_by_themselves() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let claims = NodeClaims {
        node: NODE,
        tags: Vec::new(),
        now: now(),
        life: 2,
    };
    let creds = claims
        .creds(
            Key::generate(KeyKind::User),
            &trust.accounts().muster,
            trust.nodes_key(),
        )
        .unwrap();
    let probe = Probe::of(&server, &creds).await;
    probe.hears("disconnected").await;
    until("the second is over and they are refused", async || {
        match server.client_as(&creds).await {
            Ok(_) => Err("they are still taken"),
            Err(_) => Ok(()),
        }
    })
    .await;
}

#[tokio::test]
async fn two_scoped_keys_sign_side_by_side_and_removing_one_throws_its_nodes_out() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let second = Key::generate(KeyKind::Account);
    let answer = push(&server, trust, muster(trust, &[trust.nodes_key(), &second])).await;
    assert_eq!(answer["data"]["code"], 200, "{answer}");
    let old = Probe::of(&server, &trust.node(NODE, &[])).await;
    let claims = NodeClaims {
        node: "mi-0123456789abcdef1",
        tags: Vec::new(),
        now: now(),
        life: 60,
    };
    let creds = claims
        .creds(Key::generate(KeyKind::User), &trust.accounts().muster, &second)
        .unwrap();
    let new = Probe::of(&server, &creds).await;
    let answer = push(&server, trust, muster(trust, &[&second])).await;
    assert_eq!(answer["data"]["code"], 200, "{answer}");
    old.hears("disconnected").await;
    assert!(new.may_publish("muster.v1.up.mi-0123456789abcdef1.hb").await);
    assert!(server.client_as(&trust.node(NODE, &[])).await.is_err());
}

#[tokio::test]
async fn accounts_that_somebody_else_signed_are_not_believed() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let (stranger, rogue) = (Key::generate(KeyKind::Operator), Key::generate(KeyKind::Account));
    let system = server.client_as(&trust.system()).await.unwrap();
    let mut claims = muster(trust, &[]);
    claims.body.signing_keys.push(SigningKey::Plain(rogue.public().clone()));
    let text = claims.sign(&stranger).unwrap();
    // The server stores what a user of its own account brings, whoever signed it; it does not act on it.
    system.request("$SYS.REQ.CLAIMS.UPDATE", text.into()).await.unwrap();
    let key = Key::generate(KeyKind::User);
    let service = layout::SERVICES[0].claims(key.public().clone(), trust.accounts().muster.clone(), now());
    let creds = Creds::new(service.sign(&rogue).unwrap(), key).unwrap();
    assert!(server.client_as(&creds).await.is_err());
}

#[tokio::test]
async fn a_machine_with_the_ticket_may_ask_to_be_registered_and_is_told_apart() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let fleet = Probe::of(&server, &trust.service("muster-fleet")).await;
    let mut asked = fleet.client.subscribe("muster.v1.register").await.unwrap();
    fleet.client.flush().await.unwrap();
    until("the server knows the subscription", async || {
        let ticket = Probe::of(&server, &trust.ticket()).await;
        let answer = async {
            let question = async_nats::client::Request::new()
                .payload("who am I".into())
                .headers(forged());
            ticket.client.send_request("register", question).await
        };
        let serve = async {
            let question = next(&mut asked).await;
            let headers = question.headers.unwrap();
            let said = headers.get("Nats-Request-Info").unwrap().as_str().to_owned();
            fleet
                .client
                .publish(question.reply.unwrap(), said.into())
                .await
                .unwrap();
        };
        let (answer, ()) = tokio::join!(answer, serve);
        let info: Value = serde_json::from_slice(&answer.map_err(|error| error.to_string())?.payload).unwrap();
        assert_eq!(info["acc"], trust.accounts().boot.as_str(), "{info}");
        Ok::<_, String>(())
    })
    .await;
}

#[tokio::test]
async fn more_than_two_hundred_machines_do_not_register_at_once() {
    let server = NatsServer::start_secured().await;
    let ticket = server.trust().ticket();
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(server.client_as(&ticket).await.unwrap());
    }
    assert!(server.client_as(&ticket).await.is_err());
    // Nodes do not feel it.
    server.client_as(&server.trust().node(NODE, &[])).await.unwrap();
}

#[tokio::test]
async fn a_person_asks_operations_and_the_service_is_told_who_it_is() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let service = Probe::of(&server, &trust.service("muster-fleet")).await;
    let mut asked = service.client.subscribe("muster.v1.ops.api.Fleet.*").await.unwrap();
    service.client.flush().await.unwrap();
    let mia = trust.person("mia");
    let person = Probe::of(&server, &mia).await;
    let serving = async {
        let question = next(&mut asked).await;
        assert_eq!(
            question.subject.as_str(),
            "muster.v1.ops.api.Fleet.DescribeInstanceInformation"
        );
        let info = question.headers.unwrap().get("Nats-Request-Info").unwrap().to_string();
        service
            .client
            .publish(question.reply.unwrap(), info.into())
            .await
            .unwrap();
    };
    let question = async_nats::client::Request::new().payload("q".into()).headers(forged());
    let asking = person
        .client
        .send_request("muster.v1.api.Fleet.DescribeInstanceInformation", question);
    let (answer, ()) = tokio::join!(asking, serving);
    let info: Value = serde_json::from_slice(&answer.unwrap().payload).unwrap();
    assert_eq!(info["acc"], trust.accounts().ops.as_str(), "{info}");
    assert_eq!(info["user"], mia.key().public().as_str(), "{info}");
    assert_eq!(info["name_tag"], "mia", "{info}");
}

#[tokio::test]
async fn people_hear_events_output_and_notifications() {
    let server = NatsServer::start_secured().await;
    let trust = server.trust();
    let person = Probe::of(&server, &trust.person("mia")).await;
    let service = Probe::of(&server, &trust.service("muster-run-command")).await;
    for subject in [
        "muster.v1.event.run-command.command.Success",
        "muster.v1.output.mia.mine",
        "notify.commands",
    ] {
        let mut heard = person.client.subscribe(subject).await.unwrap();
        let message = until("the message crosses the border", async || {
            service.client.publish(subject, "news".into()).await.unwrap();
            service.client.flush().await.unwrap();
            tokio::time::timeout(Duration::from_millis(200), heard.next())
                .await
                .map_err(|_| "nothing")
        })
        .await;
        assert_eq!(message.unwrap().payload, "news");
    }
}
