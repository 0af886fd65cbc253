//! Real agents, real runners, real scripts, a real NATS server; only the services are played by the test.
//!
//! The names follow the acceptance list of the agent's specification (part D).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent_process;
mod boots_and_updates;
mod cancelling;
mod clocks;
mod configuration;
mod coordinator;
mod crashes;
mod disk;
mod documents;
mod downloads;
mod inspection;
mod inventory;
mod live;
mod log_streams;
mod nested;
mod network;
mod outputs;
mod package_documents;
mod packages;
mod policies;
mod powershell;
mod python;
mod reboots;
mod references;
mod refusals;
mod scripts;
mod signatures;
mod step_users;
mod tools;
mod updates;
mod users;
mod work;

use muster_harness::NatsServer;

use agent_process::AgentProcess;
use coordinator::Coordinator;

/// A server, a coordinator that confirms everything, and one agent that is at work.
struct Scene {
    // Dropped in this order: the agent first.
    agent: AgentProcess,
    coordinator: Coordinator,
    nats: NatsServer,
}

impl Scene {
    async fn start() -> Self {
        Self::with_settings("").await
    }

    async fn with_settings(settings: &str) -> Self {
        Self::with_environment(settings, &[]).await
    }

    async fn with_environment(settings: &str, environment: &[(&str, &str)]) -> Self {
        let nats = NatsServer::start().await;
        let coordinator = Coordinator::start(&nats).await;
        let agent = AgentProcess::start_in(&nats.url(), settings, environment);
        coordinator.pulled().await;
        Self {
            agent,
            coordinator,
            nats,
        }
    }

    /// Starts the agent again after it was killed or has ended, and waits until it is at work.
    async fn launch_again(&mut self) {
        self.coordinator.client.flush().await.unwrap();
        let before = self.coordinator.pulls();
        self.agent.launch();
        self.coordinator.pulled_times(before + 1).await;
    }
}
