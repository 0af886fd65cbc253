//! An owner of rollouts that writes down what it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_nats::Client;
use futures::StreamExt;
use muster_harness::until;
use muster_proto::fanout::v1::{RecordRequest, RecordResult, TargetState, Transition};
use prost::Message;
use tokio::sync::watch;

/// Answers `TestRollouts.Record`, unless it is told to be away.
pub(crate) struct Owner {
    told: Arc<Mutex<Vec<Transition>>>,
    present: watch::Sender<bool>,
}

impl Owner {
    pub(crate) async fn start(nats: &Client) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (present, is_present) = watch::channel(true);
        let mut calls = nats.subscribe("muster.v1.api.TestRollouts.Record").await.unwrap();
        nats.flush().await.unwrap();
        let (nats, book) = (nats.clone(), Arc::clone(&told));
        tokio::spawn(async move {
            while let Some(call) = calls.next().await {
                if !*is_present.borrow() {
                    continue;
                }
                let request = RecordRequest::decode(call.payload).unwrap();
                book.lock().unwrap().extend(request.transitions);
                let reply = call.reply.expect("a call has a reply subject");
                nats.publish(reply, RecordResult {}.encode_to_vec().into())
                    .await
                    .unwrap();
            }
        });
        Self { told, present }
    }

    /// From now on calls are answered, or not.
    pub(crate) fn set_present(&self, present: bool) {
        self.present.send_replace(present);
    }

    pub(crate) fn told(&self) -> Vec<Transition> {
        self.told.lock().unwrap().clone()
    }

    /// The states that were told of one node, in order, each once when repeated.
    pub(crate) fn states_of(&self, node: &str) -> Vec<TargetState> {
        let told = self.told();
        let states = told.iter().filter(|told| told.node_id == node).map(Transition::state);
        let mut states: Vec<_> = states.collect();
        states.dedup();
        states
    }

    /// How many nodes have which state last.
    pub(crate) fn tally(&self) -> HashMap<TargetState, usize> {
        let mut last = HashMap::new();
        for told in self.told() {
            last.insert(told.node_id.clone(), told.state());
        }
        let mut tally = HashMap::new();
        for state in last.into_values() {
            *tally.entry(state).or_default() += 1;
        }
        tally
    }

    /// Waits until so many nodes have these states.
    pub(crate) async fn until_tally(&self, expected: &[(TargetState, usize)]) {
        let expected: HashMap<_, _> = expected.iter().copied().collect();
        until("the owner was told everything", async || {
            let tally = self.tally();
            if tally == expected { Ok(()) } else { Err(tally) }
        })
        .await;
    }
}
