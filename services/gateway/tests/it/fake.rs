//! A service in the place of run-command.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use muster_proto::runcommand::v1::run_command_server::RunCommand;
use muster_proto::runcommand::v1::{
    CancelCommandRequest, CancelCommandResult, Command, GetCommandInvocationRequest, GetCommandInvocationResult,
    ListCommandsRequest, ListCommandsResult, SendCommandRequest, SendCommandResult,
};
use muster_wire::{Caller, Failure, Reason, Refusal};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

/// Does what the comment of a command says.
#[derive(Debug)]
pub(crate) struct Fake {
    /// Commands that were run.
    pub(crate) ran: AtomicUsize,
    /// Commands with the comment `wait` take a permit before they answer.
    pub(crate) gate: Semaphore,
    /// Who listed or sent a command, in this order.
    pub(crate) callers: Mutex<Vec<Caller>>,
    /// By which names for requests commands were sent.
    pub(crate) tokens: Mutex<Vec<String>>,
}

impl Fake {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            ran: AtomicUsize::new(0),
            gate: Semaphore::new(0),
            callers: Mutex::default(),
            tokens: Mutex::default(),
        })
    }

    /// Who called last.
    pub(crate) fn last_caller(&self) -> Caller {
        let callers = self.callers.lock().expect("no panic");
        callers.last().expect("a call").clone()
    }

    fn note<T>(&self, request: &Request<T>) -> Result<(), Status> {
        let caller = Caller::of(request)?.clone();
        self.callers.lock().expect("no panic").push(caller);
        Ok(())
    }

    pub(crate) fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

#[tonic::async_trait]
impl RunCommand for Fake {
    async fn send_command(&self, request: Request<SendCommandRequest>) -> Result<Response<SendCommandResult>, Status> {
        self.note(&request)?;
        if let Some(token) = request.metadata().get("muster-client-token") {
            let token = token.to_str().expect("a text").to_owned();
            self.tokens.lock().expect("no panic").push(token);
        }
        let request = request.into_inner();
        let number = self.ran.fetch_add(1, Ordering::SeqCst) + 1;
        match request.comment.as_deref() {
            Some("wait") => self.gate.acquire().await.expect("an open gate").forget(),
            Some("break") => return Err(Failure::internal("password=hunter2").into()),
            Some("refuse") => return Err(Refusal::new(Reason::InvalidDocument, "no such document").into()),
            Some("away") => {
                let what = "the database".to_owned();
                return Err(Failure::Unavailable { what }.into());
            }
            _ => {}
        }
        let command = Command {
            command_id: Some(format!("{number:0>36}")),
            document_name: request.document_name,
            parameters: request.parameters,
            ..Command::default()
        };
        Ok(Response::new(SendCommandResult { command: Some(command) }))
    }

    async fn list_commands(
        &self,
        request: Request<ListCommandsRequest>,
    ) -> Result<Response<ListCommandsResult>, Status> {
        self.note(&request)?;
        let request = request.into_inner();
        let token = request.next_token.unwrap_or_default();
        if token == "wait" {
            self.gate.acquire().await.expect("an open gate").forget();
        }
        if token == "huge" {
            let command = Command {
                comment: Some("x".repeat(muster_credential::MAX_PAYLOAD)),
                ..Command::default()
            };
            return Ok(Response::new(ListCommandsResult {
                commands: vec![command],
                next_token: None,
            }));
        }
        // A list of as many commands as were run; the token is the number of those that were given.
        let given: usize = token.parse().unwrap_or_default();
        let most = usize::try_from(request.max_results.unwrap_or(50)).unwrap_or(50);
        let page: Vec<_> = (given..self.ran()).take(most).collect();
        let next = given + page.len();
        let commands = page.iter().map(|number| Command {
            command_id: Some(format!("{number:0>36}")),
            ..Command::default()
        });
        Ok(Response::new(ListCommandsResult {
            commands: commands.collect(),
            next_token: (next < self.ran()).then(|| next.to_string()),
        }))
    }

    async fn get_command_invocation(
        &self,
        _: Request<GetCommandInvocationRequest>,
    ) -> Result<Response<GetCommandInvocationResult>, Status> {
        Err(Refusal::new(Reason::InvocationDoesNotExist, "no such invocation").into())
    }

    async fn cancel_command(&self, _: Request<CancelCommandRequest>) -> Result<Response<CancelCommandResult>, Status> {
        Ok(Response::new(CancelCommandResult::default()))
    }
}
