//! The parameter store, as far as runs ask it.

use async_nats::Message;
use muster_credential::sealed;
use muster_proto::agent::v1::{ParametersRequest, ParametersResult, StoredParameter, StoredParameters};
use muster_wire::subject;
use prost::Message as _;

use super::{Coordinator, Desk};

impl Coordinator {
    /// Has a parameter for runs that ask: name with its selector, type, value.
    pub(crate) fn store(&self, name: &str, kind: &str, value: &str) {
        self.seen.lock().unwrap().parameters.push(StoredParameter {
            name: name.to_owned(),
            r#type: kind.to_owned(),
            value: value.to_owned(),
        });
    }

    pub(crate) fn forget_parameters(&self) {
        self.seen.lock().unwrap().parameters.clear();
    }

    pub(crate) fn asked_for_parameters(&self) -> Vec<ParametersRequest> {
        self.look(|seen| seen.asked_for_parameters.clone())
    }
}

impl Desk {
    /// As the service does it: sealed for whoever asked; secrets only in clear if that was asked for.
    pub(super) async fn lend_parameters(&self, request: ParametersRequest, message: &Message) {
        let known = {
            let mut seen = self.seen.lock().unwrap();
            seen.asked_for_parameters.push(request.clone());
            if seen.is_deaf {
                return;
            }
            seen.parameters.clone()
        };
        let mut values = StoredParameters::default();
        for name in request.names {
            match known.iter().find(|parameter| parameter.name == name).cloned() {
                None => values.invalid_names.push(name),
                Some(mut parameter) => {
                    if parameter.r#type == "SecureString" && !request.with_decryption {
                        parameter.value = String::new();
                    }
                    values.parameters.push(parameter);
                }
            }
        }
        let node = self.node.as_str().as_bytes();
        let sealed = sealed::seal(&request.sealing_key, &values.encode_to_vec(), node).unwrap();
        let answer = ParametersResult { sealed }.encode_to_vec();
        let headers = self.vouch(subject::RPC_PARAMETERS, message, &answer);
        let inbox = message.reply.clone().unwrap();
        let sent = self.client.publish_with_headers(inbox, headers, answer.into());
        sent.await.unwrap();
    }
}
