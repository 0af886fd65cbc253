//! `muster audit export` and `truncate`: a part of the log in a file that can be checked by itself.
//!
//! JSON lines: what was before the first record, the records as the contract shows them, and the last one's number and
//! hash. A file without its last line is not whole.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use muster_access::{Entry, Hash, Link, Record, Verifier};
use muster_proto::Word as _;
use muster_proto::access::v1::{AuditRecord, ListAuditRecordsRequest, TruncateAuditRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::answer;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::server::{Server, ServerArguments};
use crate::{print, shape};

const PAGE: i32 = 1000;
const FORM: u32 = 1;

#[derive(Debug, clap::Args)]
pub(super) struct ExportArguments {
    /// The file; one that is there stays.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Only up to this record.
    #[arg(long, value_name = "NUMBER")]
    until: Option<i64>,
}

#[derive(Debug, clap::Args)]
pub(super) struct TruncateArguments {
    /// A file that `muster audit export` wrote; it is checked before anything is removed.
    file: PathBuf,
}

/// The members of a line that is a record; all are hashed.
const MEMBERS: [&str; 13] = [
    "Sequence",
    "TimeMicros",
    "Principal",
    "AccessKeyId",
    "Surface",
    "SourceIp",
    "Action",
    "Resource",
    "Decision",
    "Statements",
    "RequestId",
    "Hash",
    "Details",
];

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    muster_audit: u32,
    anchor_sequence: i64,
    anchor_hash: String,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Foot {
    last_sequence: i64,
    last_hash: String,
}

/// What a checked file holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exported {
    pub(super) records: i64,
    pub(super) anchor: Link,
    pub(super) last: Link,
}

/// A record of the contract, as it is hashed; `None` if something is not there.
fn record(shown: &AuditRecord) -> Option<Record> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Some(Record {
        sequence: shown.sequence?,
        hash: Hash::parse(shown.hash.as_deref()?)?,
        entry: Entry {
            time: shown.time_micros?,
            principal: text(&shown.principal),
            access_key_id: text(&shown.access_key_id),
            surface: text(&shown.surface),
            source_ip: text(&shown.source_ip),
            action: text(&shown.action),
            resource: text(&shown.resource),
            decision: shown.decision().word().to_owned(),
            statements: shown.statements.clone(),
            request_id: text(&shown.request_id),
            details: shown.details.clone(),
        },
    })
}

/// The same from a line of a file.
fn record_of_line(line: &Value) -> Option<Record> {
    // What is not hashed must not stand there: a reader would believe it.
    if line.as_object()?.keys().any(|name| !MEMBERS.contains(&name.as_str())) {
        return None;
    }
    let text = |name: &str| {
        line.get(name)
            .map_or(Some(String::new()), |value| value.as_str().map(str::to_owned))
    };
    let list = |value: &Value| -> Option<Vec<String>> {
        let texts = value.as_array()?.iter();
        texts.map(|each| each.as_str().map(str::to_owned)).collect()
    };
    Some(Record {
        sequence: line.get("Sequence")?.as_i64()?,
        hash: Hash::parse(line.get("Hash")?.as_str()?)?,
        entry: Entry {
            time: line.get("TimeMicros")?.as_i64()?,
            principal: text("Principal")?,
            access_key_id: text("AccessKeyId")?,
            surface: text("Surface")?,
            source_ip: text("SourceIp")?,
            action: text("Action")?,
            resource: text("Resource")?,
            decision: text("Decision")?,
            statements: list(line.get("Statements")?)?,
            request_id: text("RequestId")?,
            // Most records have none, and those of older files neither.
            details: line.get("Details").map_or(Some(Vec::new()), list)?,
        },
    })
}

/// A record as a line of a file: the time stands there as it is hashed only.
fn line(shown: &AuditRecord) -> Value {
    let shown = AuditRecord {
        time: None,
        ..shown.clone()
    };
    shape::json("muster.access.v1.AuditRecord", &shown)
}

fn broken(what: String) -> Complaint {
    Complaint::Fault { what }
}

/// Writes the log into a file, checking it on the way.
pub(super) async fn export(wanted: ExportArguments, server: &Server) -> Result<Exit, Complaint> {
    let mut request = ListAuditRecordsRequest {
        from_sequence: Some(1),
        max_results: Some(PAGE),
        ..ListAuditRecordsRequest::default()
    };
    let until = wanted.until.unwrap_or(i64::MAX);
    let mut writing: Option<(BufWriter<File>, Verifier)> = None;
    'pages: loop {
        let page = server.audit().list_audit_records(request.clone()).await;
        let page = answer("Audit.ListAuditRecords", page)?;
        for shown in &page.records {
            if shown.sequence() > until {
                break 'pages;
            }
            let number = shown.sequence();
            let found = record(shown).ok_or_else(|| broken(format!("record {number} is not whole")))?;
            let (file, verifier) = match &mut writing {
                Some(writing) => writing,
                None => {
                    let anchor = page.anchor_hash.as_deref().and_then(Hash::parse).unwrap_or(Hash::NONE);
                    writing.insert(begin(&wanted.to, number - 1, anchor)?)
                }
            };
            verifier.take(&found).map_err(|fault| broken(fault.to_string()))?;
            writeln!(file, "{}", line(shown)).map_err(|source| unwritten(&wanted.to, source))?;
        }
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    let Some((file, verifier)) = writing else {
        print::say("no records");
        return Ok(Exit::Success);
    };
    finish(file, &verifier.at()).map_err(|source| unwritten(&wanted.to, source))?;
    let (records, last) = (verifier.records(), verifier.at());
    let path = wanted.to.display();
    let noun = if records == 1 { "record" } else { "records" };
    print::say(&format!(
        "{records} {noun}, to number {}; `muster audit truncate {path}` removes them from the log",
        last.sequence
    ));
    Ok(Exit::Success)
}

fn begin(path: &Path, sequence: i64, hash: Hash) -> Result<(BufWriter<File>, Verifier), Complaint> {
    let opened = File::options().create_new(true).write(true).mode(0o600).open(path);
    let mut file = BufWriter::new(opened.map_err(|source| unwritten(path, source))?);
    let head = Head {
        muster_audit: FORM,
        anchor_sequence: sequence,
        anchor_hash: hash.to_string(),
    };
    let line = serde_json::to_string(&head).expect("plain values have a JSON form");
    writeln!(file, "{line}").map_err(|source| unwritten(path, source))?;
    Ok((file, Verifier::new(Link { sequence, hash }, None)))
}

fn finish(mut file: BufWriter<File>, last: &Link) -> io::Result<()> {
    let foot = Foot {
        last_sequence: last.sequence,
        last_hash: last.hash.to_string(),
    };
    let line = serde_json::to_string(&foot).expect("plain values have a JSON form");
    writeln!(file, "{line}")?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn unwritten(path: &Path, source: io::Error) -> Complaint {
    Complaint::Local {
        what: format!("{} cannot be written", path.display()),
        source: source.into(),
    }
}

/// Goes through a file.
pub(super) fn check(path: &Path, known: Option<Link>) -> Result<Exported, Complaint> {
    let unread = |source| Complaint::Read {
        path: path.display().to_string(),
        source,
    };
    let no_export = |line: usize| {
        broken(format!(
            "{}, line {line}, is nothing that `muster audit export` wrote",
            path.display()
        ))
    };
    let mut lines = BufReader::new(File::open(path).map_err(unread)?).lines().enumerate();
    let (_, first) = lines.next().ok_or_else(|| no_export(1))?;
    let head: Head = serde_json::from_str(&first.map_err(unread)?).map_err(|_| no_export(1))?;
    let hash = Hash::parse(&head.anchor_hash).filter(|_| head.muster_audit == FORM);
    let anchor = Link {
        sequence: head.anchor_sequence,
        hash: hash.ok_or_else(|| no_export(1))?,
    };
    let mut verifier = Verifier::new(anchor, known);
    let mut foot: Option<Foot> = None;
    for (number, line) in lines {
        let line: Value = serde_json::from_str(&line.map_err(unread)?).map_err(|_| no_export(number + 1))?;
        if foot.is_some() {
            return Err(no_export(number + 1));
        }
        match line.get("last_sequence") {
            Some(_) => foot = Some(serde_json::from_value(line).map_err(|_| no_export(number + 1))?),
            None => {
                let record = record_of_line(&line).ok_or_else(|| no_export(number + 1))?;
                verifier.take(&record).map_err(|fault| broken(fault.to_string()))?;
            }
        }
    }
    let whole = || broken(format!("{} is not whole: its last line is missing", path.display()));
    let foot = foot.ok_or_else(whole)?;
    let last = Link {
        sequence: foot.last_sequence,
        hash: Hash::parse(&foot.last_hash).ok_or_else(whole)?,
    };
    verifier.end(last).map_err(|fault| broken(fault.to_string()))?;
    Ok(Exported {
        records: verifier.records(),
        anchor,
        last,
    })
}

/// Removes from the log what a file holds.
pub(super) async fn truncate(wanted: TruncateArguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let exported = check(&wanted.file, None)?;
    let request = TruncateAuditRequest {
        sequence: Some(exported.last.sequence),
        hash: Some(exported.last.hash.to_string()),
    };
    let removed = server.connect().await?.audit().truncate_audit(request).await;
    let removed = answer("Audit.TruncateAudit", removed)?;
    let removed = removed.removed();
    let noun = if removed == 1 { "record was" } else { "records were" };
    print::say(&format!("{removed} {noun} removed; keep the file"));
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(count: i64) -> (tempfile::TempDir, PathBuf, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let (mut file, mut verifier) = begin(&path, 0, Hash::NONE).unwrap();
        for number in 0..count {
            let entry = Entry {
                time: 1_800_000_000_123_456 + number,
                principal: format!("user/{number}"),
                decision: "Allow".to_owned(),
                details: (0..number % 2).map(|_| "version=3".to_owned()).collect(),
                ..Entry::default()
            };
            let made = verifier.at().next(entry);
            verifier.take(&made).unwrap();
            let mut shown = AuditRecord {
                sequence: Some(made.sequence),
                principal: Some(made.entry.principal),
                hash: Some(made.hash.to_string()),
                time_micros: Some(made.entry.time),
                time: Some(prost_types::Timestamp::default()),
                details: made.entry.details,
                ..AuditRecord::default()
            };
            shown.set_decision(muster_proto::access::v1::Decision::Allow);
            assert!(record(&shown).is_some());
            writeln!(file, "{}", line(&shown)).unwrap();
        }
        finish(file, &verifier.at()).unwrap();
        let lines = std::fs::read_to_string(&path).unwrap();
        (folder, path, lines.lines().map(str::to_owned).collect())
    }

    #[test]
    fn a_file_is_checked_by_itself_and_every_change_shows() {
        let (_folder, path, lines) = written(5);
        let found = check(&path, None).unwrap();
        assert_eq!((found.records, found.anchor.sequence, found.last.sequence), (5, 0, 5));
        let alter = |change: &dyn Fn(&mut Vec<String>), expected: &str| {
            let mut lines = lines.clone();
            change(&mut lines);
            std::fs::write(&path, lines.join("\n")).unwrap();
            let line = check(&path, None).unwrap_err().line();
            assert!(line.contains(expected), "{line}");
        };
        alter(
            &|lines| lines[3] = lines[3].replace("user/2", "user/9"),
            "record 3 is not what was written",
        );
        alter(
            &|lines| lines[3] = lines[3].replacen('{', "{\"Time\":1,", 1),
            "line 4, is nothing",
        );
        alter(&|lines| drop(lines.remove(2)), "record 2 is missing");
        alter(&|lines| lines.swap(1, 2), "record 1 is missing: record 2 comes");
        alter(&|lines| drop(lines.pop()), "is not whole");
        alter(&|lines| drop(lines.remove(5)), "record 5 is missing");
        alter(&|lines| lines[2] = "{}".to_owned(), "line 3, is nothing");
        alter(&|lines| drop(lines.remove(0)), "line 1, is nothing");
    }
}
