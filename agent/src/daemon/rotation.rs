//! Takes another key when the service wants it (fleet 9, agent.md D18): makes one, offers it signed by both, connects
//! with what it gets, and says so once it was answered. The former key is good until then, on both sides.

use std::io;
use std::time::Instant;

use async_nats::HeaderMap;
use muster_credential::{Creds, Proof, Purpose};
use muster_proto::agent::v1::{HelloResult, RenewRequest, RenewResult, RotateRequest, RotateResult};
use muster_wire::subject;

use super::agent::{Agent, Event};
use super::backoff::CONNECTION;
use super::bus::{self, CallError};
use super::errand::Errand;
use super::reconnect::REFUSED;
use crate::keys::Keys;
use crate::machine;
use crate::trial::Trial;

/// When to offer a key, and when to confirm one.
pub(crate) struct Rotation {
    offer: Errand,
    confirm: Errand,
    /// New credentials were written, and the connection is still that of the former ones.
    is_written: bool,
}

impl Rotation {
    pub(crate) fn new() -> Self {
        Self {
            offer: Errand::new(CONNECTION),
            confirm: Errand::new(CONNECTION),
            is_written: false,
        }
    }

    /// When there will be something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        [self.offer.due(), self.confirm.due()].into_iter().flatten().min()
    }

    /// The connection has ended: the next one is made with what is written.
    pub(crate) fn disconnected(&mut self) {
        self.is_written = false;
    }
}

impl Agent {
    /// A hello was answered: looks whether another key is wanted, and whether the one on trial has shown what it must.
    pub(super) fn look_at_key(&mut self, answer: &HelloResult) {
        if self.rotation.is_written {
            return;
        }
        let now = Instant::now();
        match self.state.trial() {
            Ok(Some(Trial::New)) => return self.rotation.confirm.wish(now),
            Ok(None) => {
                if let Err(error) = self.state.forget_former() {
                    tracing::warn!(%error, "the former key cannot be removed yet");
                }
            }
            Ok(Some(Trial::Former)) => {}
            Err(error) => return tracing::error!(%error, "the node's credentials cannot be read"),
        }
        // Whoever has given us credentials from elsewhere looks after them.
        if answer.rotate_key && matches!(self.state.credentials(), Ok(Some(_))) {
            tracing::info!("the service wants this node to have another key");
            self.rotation.offer.wish(now);
        }
    }

    /// Offers a key or confirms one, if it is time.
    pub(super) fn rotate_if_due(&mut self, now: Instant) {
        let Some(time) = self.renewal.service_time(now) else {
            return;
        };
        if self.rotation.offer.start(now) {
            match self.offer(time) {
                Ok(question) => {
                    let (client, subject) = (self.client.clone(), subject::rpc(&self.node, subject::RPC_AUTH_ROTATE));
                    self.tasks.push(Box::pin(async move {
                        Event::KeyOffered(bus::call(&client, subject, HeaderMap::new(), &question).await)
                    }));
                }
                Err(error) => {
                    tracing::error!(%error, "another key cannot be made");
                    self.rotation.offer.failed(now, rand::random());
                }
            }
        }
        if self.rotation.confirm.start(now) {
            match self.state.credentials() {
                Ok(Some(creds)) => {
                    let question = RenewRequest {
                        confirms_key: true,
                        ..self.renewal_question(&creds, time)
                    };
                    let (client, subject) = (self.client.clone(), subject::rpc(&self.node, subject::RPC_AUTH_RENEW));
                    self.tasks.push(Box::pin(async move {
                        Event::KeyConfirmed(bus::call(&client, subject, HeaderMap::new(), &question).await)
                    }));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "the node's credentials cannot be read");
                    self.rotation.confirm.failed(now, rand::random());
                }
            }
        }
    }

    fn offer(&self, time: i64) -> io::Result<RotateRequest> {
        let Some(creds) = self.state.credentials()? else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the node's credentials are gone",
            ));
        };
        // On the disk before it is told, so that a lost answer can be asked for again.
        let new = Keys::at(self.state.root()).next()?;
        let (old_key, new_key, text) = (
            creds.key().public().to_string(),
            new.public().to_string(),
            time.to_string(),
        );
        let parts = [self.node.as_str(), &old_key, &new_key, &text].map(str::as_bytes);
        let proof = |key| Proof::sign(key, Purpose::Rotation, &parts).as_bytes().to_vec();
        Ok(RotateRequest {
            proof_time: time,
            proof: proof(creds.key()),
            new_proof: proof(&new),
            attributes: machine::attributes(&self.settings.host_root).into_iter().collect(),
            public_key: old_key,
            new_key,
        })
    }

    /// The offer was answered, or was not.
    pub(super) fn key_offered(&mut self, answer: Result<RotateResult, CallError>) {
        let now = Instant::now();
        match answer {
            Ok(answer) => match self.try_key(answer.user_jwt) {
                Ok(()) => {
                    self.rotation.offer.answered(now, None);
                    self.rotation.is_written = true;
                    self.renewal.reconnect_soon(now);
                    tracing::info!("this node has another key on trial");
                }
                Err(error) => {
                    tracing::error!(%error, "credentials for another key cannot be used");
                    self.rotation.offer.failed(now, rand::random());
                }
            },
            Err(error) if error.is_final() => {
                tracing::error!(%error, "the service does not take another key of this node");
                let pause = REFUSED.mul_f64(0.9 + 0.2 * rand::random::<f64>());
                self.rotation.offer.refused(now, pause);
            }
            Err(error) => {
                tracing::warn!(%error, "nobody takes another key of this node yet");
                self.rotation.offer.failed(now, rand::random());
            }
        }
    }

    fn try_key(&self, token: String) -> io::Result<()> {
        let invalid = |error: muster_credential::CredsError| io::Error::new(io::ErrorKind::InvalidData, error);
        let Some(key) = Keys::at(self.state.root()).offered()? else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the key is gone"));
        };
        let creds = Creds::new(token, key).map_err(invalid)?;
        if creds.name() != self.node.as_str() {
            let message = "they are those of another node";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        self.state.try_credentials(&creds)
    }

    /// The key was confirmed, or was not.
    pub(super) fn key_confirmed(&mut self, answer: Result<RenewResult, CallError>) {
        let now = Instant::now();
        match answer {
            Ok(_) => match self.state.keep_credentials() {
                Ok(()) => {
                    self.rotation.confirm.answered(now, None);
                    tracing::info!("this node's key is another one now");
                }
                Err(error) => {
                    tracing::error!(%error, "the former key cannot be removed yet");
                    self.rotation.confirm.failed(now, rand::random());
                }
            },
            Err(error) if error.is_final() => {
                tracing::error!(%error, "the service does not know the key on trial: going back to the former one");
                self.rotation.confirm.answered(now, None);
                self.go_back();
            }
            Err(error) => {
                tracing::warn!(%error, "nobody confirms this node's key yet");
                self.rotation.confirm.failed(now, rand::random());
            }
        }
    }

    /// The server refuses us: if a key is on trial, the other one may be good.
    pub(super) fn try_other_key(&mut self) {
        match self.state.trial() {
            Ok(Some(Trial::New)) => {
                tracing::error!("the server refuses the key on trial: going back to the former one");
                self.go_back();
            }
            // The next attempt is made with the new one, after the pause that a refusal has.
            Ok(Some(Trial::Former)) => {
                if let Err(error) = self.state.exchange_credentials() {
                    tracing::error!(%error, "the other key cannot be tried");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "the node's credentials cannot be read"),
        }
    }

    fn go_back(&mut self) {
        match self.state.exchange_credentials() {
            // The client may wait for minutes before it tries again; a new process does not.
            Ok(()) => self.restart(),
            Err(error) => tracing::error!(%error, "the former key cannot be taken again"),
        }
    }
}
