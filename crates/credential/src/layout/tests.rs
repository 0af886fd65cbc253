use super::*;
use crate::claims::{Claims, UserClaims};
use crate::{Creds, Key, KeyKind};

fn signed(tags: &[&str], node: &str) -> Result<String, NodeError> {
    let key = |kind| Key::generate(kind);
    let claims = NodeClaims {
        node,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        now: 0,
        life: 60,
    };
    claims.sign(
        key(KeyKind::User).public(),
        key(KeyKind::Account).public(),
        &key(KeyKind::Account),
    )
}

const HASH: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn nothing_that_widens_a_subject_gets_into_a_node_s_claims() {
    for bad in [
        ">",
        "*",
        "",
        "a.b",
        "0123456789ABCDEF0123456789ABCDEF",
        &HASH[1..],
        "0123456789abcdef0123456789abcde*",
    ] {
        assert!(matches!(signed(&[HASH, bad], "mi-1"), Err(NodeError::Tag(tag)) if tag == bad));
    }
    for bad in ["", "*", ">", "mi-1.>", "mi 1", "MI-1", "mi_1"] {
        assert!(
            matches!(signed(&[HASH], bad), Err(NodeError::Id(id)) if id == bad),
            "{bad}"
        );
    }
    assert!(signed(&[HASH], "mi-0123456789abcdef0").is_ok());
}

#[test]
fn fifty_tags_fit_the_line_and_more_are_refused() {
    let text = signed(&[HASH; 50], "mi-0123456789abcdef0").unwrap();
    assert!(text.len() < 3_400, "{}", text.len());
    assert!(matches!(signed(&[HASH; 51], "mi-1"), Err(NodeError::TooManyTags(51))));
}

#[test]
fn names_of_people_cannot_mean_anything_in_a_subject() {
    for bad in ["", "a.b", "*", ">", "a b", "ä", &"x".repeat(65)] {
        assert!(check_name(bad).is_err(), "{bad}");
    }
    assert!(check_name("mia_2-b").is_ok());
}

#[test]
fn no_service_may_speak_as_a_node_or_as_an_operator() {
    for service in SERVICES {
        for subject in service.publish() {
            for foreign in [
                "muster.v1.up.",
                "muster.v1.rpc.",
                "muster.v1.ops.",
                "$SYS",
                "$JS",
                ">",
                "muster.>",
                "muster.v1.>",
                "*",
            ] {
                assert!(!subject.starts_with(foreign), "{} may publish {subject}", service.name);
            }
        }
    }
}

#[test]
fn a_service_answers_those_who_may_ask_it() {
    let into = |name| Service::named(name).unwrap().answers_into();
    assert_eq!(into("muster-gateway"), [""; 0], "nobody asks it");
    // Whoever decides on callers asks what they have.
    let deciders = SERVICES.iter().filter(|service| !service.answers.is_empty());
    let deciders = deciders.map(|service| format!("_INBOX.svc.{}.>", service.name));
    let gateway = std::iter::once("_INBOX.svc.muster-gateway.>".to_owned());
    let all: Vec<String> = gateway.chain(deciders).chain(["_R_.>".to_owned()]).collect();
    assert_eq!(into("muster-access"), all);
    assert_eq!(
        into("muster-documents"),
        [
            "_INBOX.node.*.>",
            "_INBOX.svc.muster-gateway.>",
            "_INBOX.svc.muster-fleet.>",
            "_INBOX.svc.muster-run-command.>",
            "_R_.>",
        ]
    );
    for service in SERVICES {
        let is_wide = |subject: &String| subject.starts_with("_INBOX.>") || subject.starts_with("_INBOX.*");
        assert!(!service.publish().iter().any(is_wide), "{}", service.name);
    }
}

#[test]
fn every_user_hears_below_the_inbox_that_its_credentials_name() {
    let account = Key::generate(KeyKind::Account);
    let inbox = |claims: Claims<UserClaims>, key: Key| Creds::new(claims.sign(&account).unwrap(), key).unwrap().inbox();
    let user = || Key::generate(KeyKind::User);
    let own = || account.public().clone();
    let key = user();
    assert_eq!(
        inbox(SERVICES[2].claims(key.public().clone(), own(), 0), key),
        "_INBOX.svc.muster-fleet"
    );
    let key = user();
    assert_eq!(
        inbox(
            operator("muster-fleet", key.public().clone(), own(), 0, None).unwrap(),
            key
        ),
        "_INBOX.ops.muster-fleet",
        "a person of the same name is another"
    );
    let key = user();
    assert_eq!(inbox(system_user(key.public().clone(), own(), 0), key), "_INBOX.sys");
    let key = user();
    assert_eq!(
        inbox(boot_ticket(key.public().clone(), own(), 0, None), key),
        "_INBOX.boot"
    );
    let claims = NodeClaims {
        node: "mi-1",
        tags: Vec::new(),
        now: 0,
        life: 60,
    };
    assert_eq!(
        claims.creds(user(), &own(), &account).unwrap().inbox(),
        "_INBOX.node.mi-1"
    );
}

#[test]
fn only_the_coordinator_sends_work() {
    let who: Vec<_> = SERVICES
        .iter()
        .filter(|service| service.publish().iter().any(|subject| subject == "muster.v1.dn.*.work"))
        .map(|service| service.name)
        .collect();
    assert_eq!(who, ["muster-fan-out"]);
}

#[test]
fn an_account_that_is_pushed_keeps_the_revocations_that_matter() {
    let (accounts, _) = Accounts::generate();
    let key = || Key::generate(KeyKind::Account).public().clone();
    let signers = SigningKeys {
        services: key(),
        nodes: vec![key()],
    };
    let mut known = accounts.claims(Account::Muster, &signers, 0).body;
    known.revocations = [("UOLD".to_owned(), 899), ("UNEW".to_owned(), 900)].into();
    let wanted = accounts.claims(Account::Muster, &signers, 1_000);
    let pushed = carried_over(wanted, &known, 100);
    assert_eq!(pushed.body.revocations, [("UNEW".to_owned(), 900)].into());
}

#[test]
fn the_ticket_needs_no_key() {
    let key = |kind| Key::generate(kind).public().clone();
    let account = Key::generate(KeyKind::Account);
    let ticket = boot_ticket(key(KeyKind::User), account.public().clone(), 0, None);
    let read = Claims::<UserClaims>::verify(&ticket.sign(&account).unwrap()).unwrap();
    assert!(read.claims.body.is_bearer);
    assert_eq!(read.claims.body.publish.allow, ["register"]);
}
