//! What a principal has, in one answer.

use muster_policy::builtin;
use muster_store::{Db, StoreError, read};

use super::{change, identity};
use crate::domain::identity::{Tags, Who};

const POLICIES: &str = "
    select p.policy_name, q.document from (
        select policy_name from attachment where identity_id = $1
        union select a.policy_name from attachment as a join membership as m on m.group_id = a.identity_id
            where m.user_id = $1) as p
    left join policy as q on q.name = p.policy_name
    order by p.policy_name";

/// What a principal has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Names, and texts of those that are not built in.
    pub(crate) policies: Vec<(String, Option<String>)>,
    pub(crate) tags: Tags,
}

/// What a user or a role has, and the epoch before it was read: what changed meanwhile has a later one.
pub(crate) async fn holdings(db: &Db, who: &Who) -> Result<(i64, Option<Holdings>), StoreError> {
    let epoch = change::epoch(db).await?;
    let Ok(row) = identity::find(db, who).await? else {
        return Ok((epoch, None));
    };
    let policies: Vec<(String, Option<String>)> =
        read!(db, pool => sqlx::query_as(POLICIES).bind(&row.id).fetch_all(pool).await)?;
    // A policy without a text may have been one that denies: nothing is decided without it.
    let unknown = |(name, text): &&(String, Option<String>)| text.is_none() && builtin::policy(name).is_none();
    if let Some((name, _)) = policies.iter().find(unknown) {
        return Err(StoreError::corrupt(format!(
            "{} has the policy {name}, which is not there",
            identity::place(who)
        )));
    }
    let tags = identity::tags(db, std::slice::from_ref(&row)).await?.remove(&row.id);
    let tags = tags.unwrap_or_default();
    Ok((epoch, Some(Holdings { policies, tags })))
}
