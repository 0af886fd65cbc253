//! `muster parameters watch`: a line for each change, until somebody stops it.

use futures::StreamExt as _;
use muster_wire::subject;
use serde_json::Value;

use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::server::Server;

/// A path as the command line has it.
pub(super) fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("a path begins with a slash: /app".to_owned()),
    }
}

pub(super) async fn run(path: &str, json: bool, server: &Server) -> Result<Exit, Complaint> {
    let path = path.trim_end_matches('/');
    let all = subject::event("parameter-store", "parameter", "*");
    let events = server.nats.subscribe(all).await;
    let events = events.map_err(|error| Complaint::Broken(error.into()))?;
    // What happens from now on is heard.
    server
        .nats
        .flush()
        .await
        .map_err(|error| Complaint::Broken(error.into()))?;
    print::say(&format!("watching {}/ (Ctrl-C ends it)", path));
    let mut events = std::pin::pin!(events);
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Success),
            event = events.next() => match event {
                None => return Err(Complaint::Broken("it was closed".into())),
                Some(event) => {
                    if let Some(line) = line(&event.payload, path, json) {
                        print::data(&line)?;
                    }
                }
            }
        }
    }
}

/// What is printed of an event, if it is about something below the path.
fn line(payload: &[u8], path: &str, json: bool) -> Option<String> {
    let event: Value = serde_json::from_slice(payload).ok()?;
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = text("/subject");
    // A root parameter may be written without its slash.
    let full = format!("/{}", name.trim_start_matches('/'));
    full.strip_prefix(path)?.strip_prefix('/')?;
    if json {
        return Some(format!("{event}\n"));
    }
    let what = text("/type").rsplit('.').next().unwrap_or_default();
    let detail = match text("/data/detail/policy-type") {
        "" => text("/data/detail/type"),
        policy => policy,
    };
    Some(format!("{}  {what:<13}  {name}  {detail}\n", text("/time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_the_path_is_printed() {
        let event = |name: &str| {
            let text = serde_json::json!({"subject": name, "time": "2026-11-26T12:00:00Z",
                "type": "parameter-store.parameter.updated", "data": {"detail": {"type": "String"}}});
            text.to_string()
        };
        let printed = |name: &str, path: &str| line(event(name).as_bytes(), path, false);
        let expected = "2026-11-26T12:00:00Z  updated        /app/db/host  String\n";
        assert_eq!(printed("/app/db/host", "/app").as_deref(), Some(expected));
        assert!(printed("/app/db/host", "").is_some() && printed("root", "").is_some());
        assert!(printed("/application/x", "/app").is_none() && printed("/app", "/app").is_none());
        assert!(line(b"no json", "", false).is_none());
    }
}
