//! `muster audit verify`: by the server, on tables without a server, or in an exported file.

use std::path::PathBuf;

use muster_access::{Hash, Link, offline};
use muster_proto::access::v1::VerifyAuditRequest;

use super::export;
use crate::access::answer;
use crate::access::place::TablesArguments;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::server::ServerArguments;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a file and without tables the server goes through its log.
The last line that an earlier verification printed, kept elsewhere and given with --known, shows even a log that was \
replaced by an older copy of itself.")]
pub(super) struct Arguments {
    /// A file that `muster audit export` wrote.
    #[arg(value_name = "FILE", conflicts_with = "data_dir")]
    file: Option<PathBuf>,
    #[command(flatten)]
    tables: TablesArguments,
    /// A record whose hash is known: NUMBER:HASH.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = known)]
    known: Option<Link>,
}

fn known(text: &str) -> Result<Link, &'static str> {
    let (number, hash) = text.split_once(':').ok_or("expected NUMBER:HASH")?;
    Ok(Link {
        sequence: number.parse().map_err(|_| "expected NUMBER:HASH")?,
        hash: Hash::parse(hash).ok_or("a hash has 64 hexadecimal digits")?,
    })
}

/// What was found, wherever it was looked at.
struct Found {
    fault: Option<String>,
    records: i64,
    anchor: i64,
    last: (i64, String),
}

pub(super) async fn run(wanted: Arguments, server: &ServerArguments) -> Result<Exit, Complaint> {
    let found = match &wanted.file {
        Some(file) => {
            let exported = export::check(file, wanted.known)?;
            Found {
                fault: None,
                records: exported.records,
                anchor: exported.anchor.sequence,
                last: (exported.last.sequence, exported.last.hash.to_string()),
            }
        }
        None if wanted.tables.are_named() => on_tables(&wanted).await?,
        None => by_server(&wanted, server).await?,
    };
    if let Some(what) = found.fault {
        return Err(Complaint::Fault { what });
    }
    print::data(&told(&found))?;
    Ok(Exit::Success)
}

fn told(found: &Found) -> String {
    let (sequence, hash) = &found.last;
    match found.records {
        0 => format!("intact: no records behind number {}\n{sequence}:{hash}\n", found.anchor),
        1 => format!("intact: 1 record, number {sequence}\n{sequence}:{hash}\n"),
        records => format!(
            "intact: {records} records, {} to {sequence}\n{sequence}:{hash}\n",
            found.anchor + 1
        ),
    }
}

async fn on_tables(wanted: &Arguments) -> Result<Found, Complaint> {
    let tables = wanted.tables.find()?;
    let verdict = offline::verify(&tables.database_url, &tables.settings.key_file, wanted.known).await;
    let verdict = verdict.map_err(|source| Complaint::Local {
        what: "the log cannot be verified".to_owned(),
        source: source.into(),
    })?;
    Ok(Found {
        fault: verdict.fault.map(|fault| fault.to_string()),
        records: verdict.records,
        anchor: verdict.anchor.sequence,
        last: (verdict.last.sequence, verdict.last.hash.to_string()),
    })
}

async fn by_server(wanted: &Arguments, server: &ServerArguments) -> Result<Found, Complaint> {
    let request = VerifyAuditRequest {
        known_sequence: wanted.known.map(|known| known.sequence),
        known_hash: wanted.known.map(|known| known.hash.to_string()),
    };
    let verdict = server.connect().await?.audit().verify_audit(request).await;
    let verdict = answer("Audit.VerifyAudit", verdict)?;
    Ok(Found {
        records: verdict.records(),
        anchor: verdict.anchor_sequence(),
        last: (verdict.last_sequence(), verdict.last_hash().to_owned()),
        fault: (!verdict.intact()).then(|| verdict.fault().to_owned()),
    })
}
