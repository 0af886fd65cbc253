//! Registration as the gateway asks for it: it says from where machines ask.

use futures::future::join_all;
use muster_harness::until;
use muster_proto::fleet::v1::registrar_client::RegistrarClient;
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_wire::{Caller, Failure, NatsChannel, Reason, subject};
use prost::Message as _;

use crate::machine::{Machine, Ticket, wanted};
use crate::world::World;

/// Asks in the name of somebody at this address.
async fn ask(
    world: &World,
    from: &str,
    question: &RegisterManagedInstanceRequest,
) -> Result<RegisterManagedInstanceResult, Failure> {
    let caller = Caller {
        source_ip: from.parse().ok(),
        ..Caller::anonymous()
    };
    let mut headers = async_nats::HeaderMap::new();
    headers.insert(Caller::HEADER, caller.to_header());
    let subject = subject::api("Registrar", "RegisterManagedInstance");
    let channel = NatsChannel::new(world.nats.clone());
    let answer = channel
        .request(subject, headers, question.encode_to_vec().into())
        .await?;
    Ok(RegisterManagedInstanceResult::decode(answer).unwrap())
}

fn is_throttled(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(refusal) if refusal.reason == Reason::ThrottlingException)
}

#[tokio::test]
async fn the_answer_is_the_same_as_on_the_bus_and_says_where_the_bus_is() {
    let world = World::guarded().await;
    let ticket = Ticket::of(&world, wanted(2)).await;
    let empty = RegisterManagedInstanceRequest::default();
    let first = ask(&world, "192.0.2.7", &empty).await.unwrap();
    assert_eq!(
        (first.service_time.unwrap().seconds, first.servers),
        (world.second(), None)
    );
    let machine = Machine::new("a");
    let question = machine.question(&ticket, world.second());
    let answer = ask(&world, "192.0.2.7", &question).await.unwrap();
    assert_eq!(
        answer.servers.as_deref(),
        Some("tls://bus.example:4222,tls://other.example:4222")
    );
    assert!(answer.ca.unwrap().contains("BEGIN CERTIFICATE"));
    assert!(answer.user_jwt.is_some());
    let again = machine.register(&world, &ticket).await.unwrap();
    assert_eq!((again.instance_id, again.existing), (answer.instance_id, Some(true)));
    assert_eq!(again.servers, answer.servers);
    world.end().await;
}

#[tokio::test]
async fn an_address_that_tries_without_end_is_told_to_slow_down_and_others_are_not() {
    let world = World::guarded().await;
    let mut registrar = RegistrarClient::new(NatsChannel::new(world.nats.clone()));
    // Each time another activation, so that it is the address that counts.
    let tries = |from: &'static str, count: usize| {
        let world = &world;
        (0..count).map(move |number| async move {
            let ticket = Ticket {
                id: format!("{from} {number}"),
                code: "00000000000000000000".to_owned(),
            };
            let question = Machine::new(&ticket.id).question(&ticket, world.second());
            ask(world, from, &question).await.unwrap_err()
        })
    };
    let failures = join_all(tries("192.0.2.7", 210)).await;
    let throttled = failures.iter().filter(|failure| is_throttled(failure)).count();
    assert_eq!(throttled, 10, "a burst of 200 is let through");
    let others = join_all(tries("192.0.2.8", 1)).await;
    assert!(!is_throttled(&others[0]));
    world.advance(1);
    until("it may go on slowly", async || {
        let failures = join_all(tries("192.0.2.7", 1)).await;
        (!is_throttled(&failures[0])).then_some(()).ok_or("throttled")
    })
    .await;
    // Whoever gives no address, as services do, is not mistaken for one that tried too often.
    let empty = RegisterManagedInstanceRequest::default();
    registrar.register_managed_instance(empty).await.unwrap();
    world.end().await;
}
