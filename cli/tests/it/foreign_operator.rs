//! Muster on NATS servers of an operator who was there before.

use std::fs;

use muster_credential::claims::{AccountClaims, Claims};
use muster_credential::layout::Accounts;
use muster_credential::{Key, KeyKind, ServerConf};
use muster_model::{Clock as _, SystemClock};

use crate::server::Server;

#[tokio::test]
async fn another_operator_signs_the_accounts_and_everybody_gets_in() {
    let mut server = Server::start(&[]).await;
    let trust = server.folder.join("trust");
    let said = server.nats(&["accounts"]);
    assert_eq!(said.code, 0, "{}", said.stderr);

    let (operator, system) = (Key::generate(KeyKind::Operator), Key::generate(KeyKind::Account));
    let mut preload = Vec::new();
    for name in ["MUSTER", "BOOT", "OPS"] {
        let text = fs::read_to_string(trust.join(format!("accounts/{name}.jwt"))).unwrap();
        // Nobody takes it for signed, and the operator sees whose it is.
        assert!(Claims::<AccountClaims>::verify(&text).is_err());
        let claims = Claims::<AccountClaims>::verify_own(&text).unwrap();
        assert_eq!(&claims.subject, server.key(name).public());
        preload.push((claims.subject.clone(), claims.sign(&operator).unwrap()));
    }
    let accounts = Accounts {
        system: system.public().clone(),
        muster: server.key("MUSTER").public().clone(),
        boot: server.key("BOOT").public().clone(),
        ops: server.key("OPS").public().clone(),
    };
    let now = SystemClock.now().as_second();
    let own = Claims {
        name: "SYS".to_owned(),
        subject: system.public().clone(),
        issued_at: now,
        expires_at: None,
        body: AccountClaims::default(),
    };
    preload.push((system.public().clone(), own.sign(&operator).unwrap()));
    let (host, port) = server.address.split_once(':').unwrap();
    let conf = ServerConf {
        host: host.to_owned(),
        port: Some(port.parse().unwrap()),
        ports: None,
        operator: accounts.operator(&operator, now).sign(&operator).unwrap(),
        system: system.public().clone(),
        preload,
        resolver: trust.join("nats/resolver"),
        jetstream: trust.join("nats/jetstream"),
        max_connections: 100,
        tls: None,
        websocket: None,
    };
    fs::write(trust.join("nats.conf"), conf.text()).unwrap();
    server.restart(true).await;

    for user in ["muster-fleet", "muster-gateway", "operator"] {
        server.connect(&server.creds(user)).await.unwrap();
    }
    server.connect(&server.node("mi-0123456789abcdef0")).await.unwrap();
    // Muster's own account of servers means nothing there: what needs it says so.
    assert!(server.connect(&server.creds("system")).await.is_err());
    let said = server.nats(&["push"]);
    assert!(
        said.code != 0 && said.stderr.contains("refuses the credentials"),
        "{}",
        said.stderr
    );
}
