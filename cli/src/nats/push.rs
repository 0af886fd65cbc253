//! Giving the server accounts.

use async_nats::Client;
use muster_credential::layout::{self, ACCOUNTS, Account};
use muster_credential::{AccountClaims, Claims, ClaimsError};
use serde::Deserialize;

use super::Ground;
use crate::complaint::Complaint;
use crate::exit::Exit;
use crate::print;
use crate::trust::Keys;

/// Why the server does not have an account as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("the server does not answer a question about account {account}")]
    Unanswered {
        account: &'static str,
        #[source]
        source: async_nats::client::RequestError,
    },
    #[error("the server did not take account {account}: {said}")]
    Refused { account: &'static str, said: String },
    #[error("account {account} cannot be signed")]
    Claims {
        account: &'static str,
        #[source]
        source: ClaimsError,
    },
}

#[derive(Deserialize, Default)]
struct Answer {
    #[serde(default)]
    data: Said,
    #[serde(default)]
    error: Said,
}

#[derive(Deserialize, Default)]
struct Said {
    #[serde(default)]
    code: u32,
    #[serde(default, alias = "message")]
    description: String,
}

/// `muster nats push`.
pub(super) async fn run(ground: &Ground) -> Result<Exit, Complaint> {
    let changed = bring_up_to_date(&ground.system, &ground.keys)
        .await
        .map_err(|error| Complaint::Broken(error.into()))?;
    match changed.is_empty() {
        true => print::say("the server has all accounts as they should be"),
        false => print::say(&format!("the server has taken {}", changed.join(", "))),
    }
    Ok(Exit::Success)
}

/// Gives the server the accounts that it has otherwise than they should be, with the revocations it knows; gives
/// their names.
pub(crate) async fn bring_up_to_date(system: &Client, keys: &Keys) -> Result<Vec<&'static str>, PushError> {
    let mut changed = Vec::new();
    for account in ACCOUNTS {
        let known = held(system, keys, account).await?;
        // All of them: which belong to nodes, whose claims end by themselves, is known to the registrar only.
        let wanted = layout::carried_over(keys.claims(account), &known, i64::MAX);
        if wanted.body != known {
            push(system, keys, account, wanted).await?;
            changed.push(account.name());
        }
    }
    Ok(changed)
}

/// Whether the server has an account as it should be.
pub(super) async fn is_up_to_date(system: &Client, keys: &Keys, account: Account) -> Result<bool, PushError> {
    let known = held(system, keys, account).await?;
    let wanted = layout::carried_over(keys.claims(account), &known, i64::MAX);
    Ok(wanted.body == known)
}

/// What the server has of an account.
async fn held(system: &Client, keys: &Keys, account: Account) -> Result<AccountClaims, PushError> {
    let known = known(system, keys, account).await?;
    Ok(known.map(|claims| claims.body).unwrap_or_default())
}

/// The account as the server has it; one that somebody else has signed counts as nothing.
pub(super) async fn known(
    system: &Client,
    keys: &Keys,
    account: Account,
) -> Result<Option<Claims<AccountClaims>>, PushError> {
    let subject = format!("$SYS.REQ.ACCOUNT.{}.CLAIMS.LOOKUP", keys.account(account).public());
    let answer = system
        .request(subject, Vec::new().into())
        .await
        .map_err(|source| PushError::Unanswered {
            account: account.name(),
            source,
        })?;
    let text = String::from_utf8_lossy(&answer.payload);
    let read = Claims::<AccountClaims>::verify(&text).and_then(|read| read.issued_by(&[keys.operator.public()]));
    Ok(read.ok())
}

/// Gives the server an account.
pub(super) async fn push(
    system: &Client,
    keys: &Keys,
    account: Account,
    claims: Claims<AccountClaims>,
) -> Result<(), PushError> {
    let name = account.name();
    let text = claims
        .sign(&keys.operator)
        .map_err(|source| PushError::Claims { account: name, source })?;
    let answer = system
        .request("$SYS.REQ.CLAIMS.UPDATE", text.into())
        .await
        .map_err(|source| PushError::Unanswered { account: name, source })?;
    let answer: Answer = serde_json::from_slice(&answer.payload).unwrap_or_default();
    match answer.data.code {
        200 => Ok(()),
        _ => Err(PushError::Refused {
            account: name,
            said: format!("{} {}", answer.error.code, answer.error.description),
        }),
    }
}
