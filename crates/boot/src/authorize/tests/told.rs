//! What became of calls, as the audit log has it.

use super::*;

fn shown(name: &str, is_secret: bool) -> Touched {
    Touched {
        resource: format!("arn:aws:ssm:us-east-1:000000000000:parameter{name}"),
        details: vec!["version=3".to_owned()],
        is_secret,
    }
}

/// Reads all parameters by their path.
async fn reader() -> (World, Rights) {
    let world = World::new(&[r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "All", "Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": "*"}
    ]}"#]);
    let alice = Caller {
        user_agent: Some("judge/1".to_owned()),
        ..user(ALICE)
    };
    let rights = world.ask_as(&alice, "GetParametersByPath", r#"{"Path": "/app"}"#).await;
    (world, rights.unwrap())
}

#[tokio::test]
async fn what_became_of_a_read_is_written_with_its_decision() {
    let (world, rights) = reader().await;
    assert!(world.log().await.is_empty(), "it is not over");
    let secret = shown("/app/password", true);
    rights.note(secret.clone());
    rights.conclude(Ok(())).await.unwrap();
    // Nobody waits for the log here: a secret is in it when this returns.
    let log = world.access.log.lock().unwrap().clone();
    assert_eq!(log.len(), 2, "the decision on the path, and the secret");
    assert_eq!(log[0].details, ["outcome=OK", "user-agent=judge/1"]);
    assert_eq!(
        (log[1].action(), log[1].resource()),
        ("ssm:GetParametersByPath", secret.resource.as_str())
    );
    assert_eq!((log[1].decision(), log[1].principal()), (Word::Allow, ALICE));
    assert_eq!(log[1].statements, ["own0/All"]);
    assert_eq!(log[1].details, ["version=3", "outcome=OK", "user-agent=judge/1"]);
    assert_eq!(log[1].request_id, log[0].request_id);
    drop(rights);
    assert_eq!(world.log().await.len(), 2, "it is told once");
}

#[tokio::test]
async fn a_secret_that_cannot_be_written_down_is_not_shown() {
    for is_secret in [true, false] {
        let (world, rights) = reader().await;
        rights.note(shown("/app/password", is_secret));
        world.access.is_away.store(true, Ordering::SeqCst);
        let outcome = rights.conclude(Ok(())).await;
        match is_secret {
            true => assert!(matches!(outcome, Err(Failure::Unavailable { .. }))),
            false => assert!(outcome.is_ok()),
        }
    }
}

#[tokio::test]
async fn who_goes_away_before_the_answer_has_asked_all_the_same() {
    let (world, rights) = reader().await;
    rights.note(shown("/app/name", false));
    drop(rights);
    let log = world.log().await;
    assert_eq!(log.len(), 2);
    assert_eq!(
        log[1].details,
        ["version=3", "outcome=Unanswered", "user-agent=judge/1"]
    );
}

#[tokio::test]
async fn a_change_is_written_down_before_it_is_done_and_what_became_of_it_behind_that() {
    let world = World::new(&["admin"]);
    let body = r#"{"Name": "/app/name", "Value": "x", "Type": "String", "Tags": [{"Key": "a", "Value": "b"}]}"#;
    let rights = world.ask("PutParameter", body).await.unwrap();
    let actions = |log: &[DecisionRecord]| log.iter().map(|each| each.action().to_owned()).collect::<Vec<_>>();
    let before = world.access.log.lock().unwrap().clone();
    assert_eq!(actions(&before), ["ssm:PutParameter", "ssm:AddTagsToResource"]);
    let exists = Refusal::new(Reason::ParameterAlreadyExists, "");
    rights.conclude::<()>(Err(exists.into())).await.unwrap_err();
    let log = world.log().await;
    assert_eq!(actions(&log[2..]), ["ssm:PutParameter"]);
    assert_eq!(log[2].details, ["outcome=ParameterAlreadyExists"]);
}

#[tokio::test]
async fn who_is_refused_is_written_down_with_what_it_asked_by() {
    let world = World::new(&[]);
    let alice = Caller {
        user_agent: Some("judge/1".to_owned()),
        ..user(ALICE)
    };
    let outcome = world.ask_as(&alice, "GetParameter", r#"{"Name": "/app/name"}"#).await;
    assert!(outcome.is_err());
    let log = world.log().await;
    assert_eq!((log.len(), log[0].decision()), (1, Word::ImplicitDeny));
    assert_eq!(log[0].details, ["user-agent=judge/1"]);
}
