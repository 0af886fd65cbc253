//! Clients repeat what they got no answer to; a command must not run twice for that.

use jiff::SignedDuration;
use muster_harness::until;

use crate::client::Call;
use crate::world::World;

fn send(comment: &str, invocation: &str) -> Call {
    let body = format!(r#"{{"DocumentName":"AWS-RunShellScript","Comment":"{comment}"}}"#);
    Call::of("SendCommand", body).with("amz-sdk-invocation-id", invocation)
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer() {
    let world = World::start().await;
    let first = world.send(&send("", "a")).await;
    let repeat = world.send(&send("", "a")).await;
    assert_eq!((repeat.status, &repeat.text), (200, &first.text));
    assert_ne!(repeat.header("x-amzn-requestid"), first.header("x-amzn-requestid"));
    assert_eq!(world.fake.ran(), 1);

    assert_ne!(world.send(&send("", "b")).await.text, first.text);
    assert_eq!(world.fake.ran(), 2);
}

#[tokio::test]
async fn after_ten_minutes_it_is_a_new_request() {
    let world = World::start().await;
    world.send(&send("", "a")).await;
    world.clock.advance(SignedDuration::from_secs(599));
    world.send(&send("", "a")).await;
    assert_eq!(world.fake.ran(), 1);
    world.clock.advance(SignedDuration::from_secs(1));
    world.send(&send("", "a")).await;
    assert_eq!(world.fake.ran(), 2);
}

#[tokio::test]
async fn a_service_knows_a_repeat_that_a_gateway_has_forgotten_or_never_heard_of() {
    let world = World::start().await;
    world.send(&send("", "a")).await;
    world.clock.advance(SignedDuration::from_secs(600));
    for call in [send("", "a"), send("", "b"), send("other", "a")] {
        world.send(&call).await;
    }
    let tokens = world.fake.tokens.lock().unwrap().clone();
    assert_eq!(tokens[0], tokens[1]);
    assert!(tokens[2] != tokens[0] && tokens[3] != tokens[0] && tokens[2] != tokens[3]);
    assert!(tokens.iter().all(|token| token.len() == 64));
}

#[tokio::test]
async fn without_an_invocation_id_nothing_is_a_repeat() {
    let world = World::start().await;
    let call = send("", "a").without("amz-sdk-invocation-id");
    world.send(&call).await;
    world.send(&call).await;
    assert_eq!(world.fake.ran(), 2);
}

#[tokio::test]
async fn repeats_that_come_early_wait_for_the_first() {
    let world = World::start().await;
    let address = world.address();
    let calls: Vec<_> = (0..5)
        .map(|_| tokio::spawn(async move { send("wait", "a").send(address).await }))
        .collect();
    until("the command runs", async || {
        if world.fake.ran() > 0 { Ok(()) } else { Err("not yet") }
    })
    .await;
    world.fake.gate.add_permits(1);
    let mut texts = Vec::new();
    for call in calls {
        texts.push(call.await.expect("an answer").text);
    }
    assert!(
        texts.iter().all(|text| *text == texts[0] && text.contains("CommandId")),
        "{texts:?}"
    );
    assert_eq!(world.fake.ran(), 1);
}

#[tokio::test]
async fn a_failure_of_ours_does_not_run_the_command_again() {
    let world = World::start().await;
    assert_eq!(world.send(&send("break", "a")).await.status, 500);
    assert_eq!(world.send(&send("break", "a")).await.status, 500);
    assert_eq!(world.fake.ran(), 1);
}

#[tokio::test]
async fn a_caller_who_gave_up_finds_the_answer_when_it_comes_again() {
    let world = World::with_timeout(1).await;
    assert_eq!(world.send(&send("wait", "a")).await.status, 503);
    world.fake.gate.add_permits(1);
    let repeat = world.send(&send("wait", "a")).await;
    assert_eq!(repeat.status, 200, "{}", repeat.text);
    assert_eq!(world.fake.ran(), 1);
}

#[tokio::test]
async fn what_did_nothing_is_tried_again() {
    let mut world = World::start().await;
    world.unmount().await;
    assert_eq!(world.send(&send("", "a")).await.status, 503);
    world.mount().await;
    assert_eq!(world.send(&send("", "a")).await.status, 200);
    assert_eq!(world.send(&send("away", "b")).await.status, 503);
    assert_eq!(world.send(&send("away", "b")).await.status, 503);
    assert_eq!(world.send(&send("refuse", "c")).await.status, 400);
    assert_eq!(world.send(&send("refuse", "c")).await.status, 400);
    assert_eq!(world.fake.ran(), 5);
}

#[tokio::test]
async fn while_the_bus_is_away_nothing_is_kept_for_later() {
    let mut world = World::with_timeout(2).await;
    world.nats.kill();
    // The bus may look alive for a moment; its end is noticed by then.
    until("the gateway notices", async || {
        let ready = world.send(&Call::bare("GET", "/readyz")).await;
        if ready.status == 503 { Ok(()) } else { Err(ready.status) }
    })
    .await;
    let call = send("", "a").without("amz-sdk-invocation-id");
    assert_eq!(world.send(&call).await.status, 503);
    world.nats.restart().await;
    until("the service is found again", async || {
        let reply = world.call("ListCommands", "{}").await;
        if reply.status == 200 { Ok(()) } else { Err(reply.status) }
    })
    .await;
    assert_eq!(world.fake.ran(), 0);
}
