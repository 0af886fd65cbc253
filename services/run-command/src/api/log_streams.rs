//! `ListLogStreams` and `ReadLogStream`: what log streams hold (run-command 8.4).

use muster_model::CommandId;
use muster_proto::aws::v1::Reason;
use muster_proto::runcommand::v1::{
    ListLogStreamsRequest, ListLogStreamsResult, ReadLogStreamRequest, ReadLogStreamResult,
};
use muster_store::Pager;
use muster_wire::{Failure, Principal, Refusal};

use crate::api::output::Output;
use crate::domain::log_stream;
use crate::domain::sight::Sight;
use crate::error::from_store;
use crate::store;
use crate::work::LogStreams;

/// Streams of one page.
const PAGE: usize = 500;

/// What is needed to read log streams.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) streams: LogStreams,
    pub(crate) pager: Pager,
}

impl Output {
    pub(super) async fn list_streams(
        &self,
        request: ListLogStreamsRequest,
        asker: &Principal,
        sight: &Sight,
    ) -> Result<ListLogStreamsResult, Failure> {
        let (id, group) = self.logged(request.command_id(), sight).await?;
        self.refuse_strangers(id, &request.instance_ids).await?;
        let question = format!("{asker} ListLogStreams {id} {:?}", request.instance_ids);
        let now = self.followers.clock.now();
        let after = match request.next_token() {
            "" => String::new(),
            token => self.reading.pager.position(&question, token, now).map_err(|_| {
                let message = "the token is not one of this list: repeat the call without NextToken";
                Refusal::new(Reason::InvalidNextToken, message)
            })?,
        };
        let streams = self.reading.streams.clone();
        let command = id.to_string();
        let listed = tokio::task::spawn_blocking(move || {
            streams.list(&group, &command, &request.instance_ids, &after, PAGE + 1)
        });
        let mut streams = listed.await.map_err(Failure::internal)?.map_err(Failure::internal)?;
        let log_streams = streams.as_mut().ok_or_else(elsewhere)?;
        let has_more = log_streams.len() > PAGE;
        log_streams.truncate(PAGE);
        let last = log_streams.last().filter(|_| has_more);
        let next_token = last.map(|last| self.reading.pager.token(&question, &last.log_stream, now));
        Ok(ListLogStreamsResult {
            log_streams: std::mem::take(log_streams),
            next_token,
        })
    }

    pub(super) async fn read_stream(
        &self,
        request: ReadLogStreamRequest,
        sight: &Sight,
    ) -> Result<ReadLogStreamResult, Failure> {
        let (id, group) = self.logged(request.command_id(), sight).await?;
        let name = request.log_stream().to_owned();
        let parts: Vec<_> = name.split('/').collect();
        let is_plain = |part: &&str| !part.is_empty() && part.chars().any(|c| c != '.') && !part.contains('\0');
        if parts.len() != 4 || parts[0] != id.to_string() || !parts.iter().all(is_plain) {
            let message = format!("{name} is no log stream of command {id}: ListLogStreams names them");
            return Err(Refusal::validation(message).into());
        }
        let (streams, offset) = (self.reading.streams.clone(), request.offset);
        let read = tokio::task::spawn_blocking(move || streams.read(&group, &name, offset));
        let data = read.await.map_err(Failure::internal)?.map_err(Failure::internal)?;
        Ok(ReadLogStreamResult {
            data: data.ok_or_else(elsewhere)?,
        })
    }

    /// A command that has log streams, and their group.
    async fn logged(&self, text: &str, sight: &Sight) -> Result<(CommandId, String), Failure> {
        let unknown = || Refusal::new(Reason::InvalidCommandId, format!("there is no command {text}"));
        let id: CommandId = text.parse().map_err(|_| unknown())?;
        let row = store::read::seen(&self.followers.db, id, sight)
            .await
            .map_err(from_store)?;
        let facts = row.ok_or_else(unknown)?.facts().map_err(from_store)?;
        if !log_stream::is_wanted(&facts) {
            let message = format!("command {id} has no log streams: it was sent without CloudWatchOutputEnabled");
            return Err(Refusal::validation(message).into());
        }
        Ok((id, log_stream::group(&facts)))
    }
}

fn elsewhere() -> Refusal {
    Refusal::validation("log streams are kept by the collector only: run-command has no log_streams.folder")
}
