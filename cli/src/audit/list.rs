//! `muster audit list`.

use muster_model::Timestamp;
use muster_proto::Word as _;
use muster_proto::access::v1::{AuditRecord, Decision, ListAuditRecordsRequest, ListAuditRecordsResult};

use crate::access::answer;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::Server;
use crate::table::Table;
use crate::{print, shape};

/// Records of one page.
const PAGE: usize = 1000;

/// What was asked about parameters.
#[derive(Debug, clap::Args)]
pub(super) struct ParameterArguments {
    /// The parameter: its name or its ARN; a version or a label behind it is not looked at.
    #[arg(long)]
    name: String,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl From<ParameterArguments> for Arguments {
    fn from(wanted: ParameterArguments) -> Self {
        Self {
            resource: Some(resource(&wanted.name)),
            limit: wanted.limit,
            json: wanted.json,
            ..Self::default()
        }
    }
}

/// How the log writes a parameter, as far as its name or its ARN says: without a slash in front, and without what follows
/// a colon, which no name has.
fn resource(name: &str) -> String {
    let name = name.trim();
    let parts: Vec<&str> = name.splitn(6, ':').collect();
    let (scope, own) = match parts.as_slice() {
        ["arn", .., own] if parts.len() == 6 => (&name[..name.len() - own.len()], *own),
        _ => ("", name),
    };
    let own = own.split(':').next().unwrap_or_default();
    let own = match scope.is_empty() {
        true => own,
        false => own.strip_prefix("parameter/").unwrap_or(own),
    };
    format!("{scope}parameter/{}", own.trim_matches('/'))
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct Arguments {
    /// Only what this principal did: an ARN.
    #[arg(long, value_name = "ARN")]
    principal: Option<String>,
    /// Only this action: ssm:SendCommand.
    #[arg(long)]
    action: Option<String>,
    /// Only about this resource: an ARN, or what is behind the account in one, parameter/app/host.
    #[arg(long)]
    resource: Option<String>,
    /// Only decisions of this kind: Allow, ExplicitDeny, ImplicitDeny.
    #[arg(long, value_parser = decision)]
    decision: Option<Decision>,
    /// Only from this time on: 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn decision(text: &str) -> Result<Decision, String> {
    Decision::from_word(text).ok_or_else(|| format!("expected one of {}", Decision::WORDS.join(", ")))
}

fn time(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_second(),
        nanos: time.subsec_nanosecond(),
    }
}

pub(super) async fn run(wanted: Arguments, server: &Server) -> Result<Exit, Complaint> {
    let mut request = ListAuditRecordsRequest {
        principal: wanted.principal,
        action: wanted.action,
        resource: wanted.resource,
        decision: wanted.decision.map(Into::into),
        since: wanted.since.map(time),
        until: wanted.until.map(time),
        ..ListAuditRecordsRequest::default()
    };
    let mut records: Vec<AuditRecord> = Vec::new();
    while records.len() < wanted.limit {
        let size = (wanted.limit - records.len()).min(PAGE);
        request.max_results = i32::try_from(size).ok();
        let page = server.audit().list_audit_records(request.clone()).await;
        let page = answer("Audit.ListAuditRecords", page)?;
        records.extend(page.records);
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    if wanted.json {
        let result = ListAuditRecordsResult {
            records,
            ..ListAuditRecordsResult::default()
        };
        let name = "muster.access.v1.ListAuditRecordsResult";
        print::data(&shape::pretty(&shape::json(name, &result)))?;
    } else if records.is_empty() {
        print::say("no records");
    } else {
        print::data(&table(&records))?;
    }
    Ok(Exit::Success)
}

fn table(records: &[AuditRecord]) -> String {
    let mut table = Table::new(&[
        "NO",
        "TIME",
        "PRINCIPAL",
        "ACTION",
        "RESOURCE",
        "DECISION",
        "BY",
        "DETAILS",
    ]);
    for record in records {
        table.row([
            record.sequence().to_string(),
            shape::time(record.time.as_ref()),
            record.principal().to_owned(),
            record.action().to_owned(),
            record.resource().to_owned(),
            record.decision().word().to_owned(),
            record.statements.join(","),
            record.details.join(" "),
        ]);
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_by_its_name_or_its_arn_with_a_selector_or_without() {
        for name in ["/app/host", "/app/host:3", "/app/host:live", " /app/host ", "app/host"] {
            assert_eq!(resource(name), "parameter/app/host", "{name:?}");
        }
        assert_eq!(resource("host:3"), "parameter/host");
        let arn = "arn:aws:ssm:us-east-1:000000000000:parameter/app/host";
        for selector in ["", ":3", ":live"] {
            assert_eq!(resource(&format!("{arn}{selector}")), arn, "{selector}");
        }
    }
}
