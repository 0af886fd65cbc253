//! A world holds what it promises.

use std::time::Duration;

use muster_agent_sim::{Outcome, Script};
use muster_harness::{Service, World, until};
use muster_proto::aws::v1::{ParameterValueList, Target};
use muster_proto::runcommand::v1::run_command_client::RunCommandClient;
use muster_proto::runcommand::v1::{Command, CommandStatus, ListCommandsRequest, SendCommandRequest};
use muster_wire::NatsChannel;

type Client = RunCommandClient<NatsChannel>;

async fn send(client: &mut Client, role: &str) -> String {
    let request = SendCommandRequest {
        document_name: Some("AWS-RunShellScript".to_owned()),
        targets: vec![Target {
            key: Some("tag:Role".to_owned()),
            values: vec![role.to_owned()],
        }],
        parameters: [(
            "commands".to_owned(),
            ParameterValueList {
                items: vec!["true".to_owned()],
            },
        )]
        .into(),
        ..SendCommandRequest::default()
    };
    let sent = client
        .send_command(request)
        .await
        .expect("the command is accepted")
        .into_inner();
    sent.command
        .and_then(|command| command.command_id)
        .expect("a command has an id")
}

async fn ended(client: &mut Client, id: &str) -> Command {
    until("the command has ended", async || {
        let request = ListCommandsRequest {
            command_id: Some(id.to_owned()),
            ..ListCommandsRequest::default()
        };
        let listed = client
            .list_commands(request)
            .await
            .map_err(|status| status.to_string())?;
        let command = listed
            .into_inner()
            .commands
            .into_iter()
            .next()
            .ok_or("it is not listed")?;
        match command.status() {
            CommandStatus::Pending | CommandStatus::InProgress => Err(format!("{command:?}")),
            _ => Ok(command),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_reaches_the_agents_of_a_world() {
    let world = World::new().agents(50).tagged("Role", "web").start().await;
    let mut client = RunCommandClient::new(world.channel().await);
    let id = send(&mut client, "web").await;
    let command = ended(&mut client, &id).await;
    assert_eq!(command.status(), CommandStatus::Success);
    assert_eq!((command.target_count, command.completed_count), (Some(50), Some(50)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_of_a_world_can_be_killed_and_started_again() {
    let slow = Script::always(Outcome::success_after(Duration::from_millis(20)));
    let mut world = World::new().agents(20).tagged("Role", "web").script(slow).start().await;
    let mut client = RunCommandClient::new(world.channel().await);
    let id = send(&mut client, "web").await;
    for service in [
        Service::FanOut,
        Service::RunCommand,
        Service::Documents,
        Service::Fleet,
        Service::Gateway,
    ] {
        let address = world.address(service);
        world.kill(service);
        world.restart(service).await;
        assert_eq!(world.address(service), address);
    }
    world.nats.kill();
    world.nats.restart().await;
    let command = ended(&mut client, &id).await;
    assert_eq!(command.completed_count, Some(20));
    let executions = world.agents().executions();
    assert_eq!(executions.len(), 20);
    assert!(
        executions.iter().all(|execution| execution.times == 1),
        "{executions:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_a_world_stops_when_told() {
    let mut world = World::new().start().await;
    world.stop(Service::Documents).await;
    world.restart(Service::Documents).await;
}
