//! Which policies users, groups and roles have.

use muster_policy::{MAX_POLICIES, builtin};
use muster_store::{Db, StoreError, read, transact};

use super::identity::place;
use super::{Outcome, count, find, take_turn, tell};
use crate::domain::identity::{Kind, Who};
use crate::error::AccessError;

/// Policies that an identity would have with one more, those of its groups included.
const POLICIES_WITH: &str = "
    select count(*) from (
        select policy_name from attachment where identity_id = $1
        union select a.policy_name from attachment as a join membership as m on m.group_id = a.identity_id
            where m.user_id = $1
        union select cast($2 as text)) as p";
/// The member of a group that would have most with one more for the group.
const FULLEST_MEMBER: &str = "
    select i.name, count(*) as policies from (
        select m.user_id, a.policy_name from membership as m join attachment as a on a.identity_id = m.group_id
        union select m.user_id, a.policy_name from membership as m join attachment as a on a.identity_id = m.user_id
        union select m.user_id, cast($2 as text) from membership as m where m.group_id = $1) as p
    join identity as i on i.id = p.user_id
    where p.user_id in (select user_id from membership where group_id = $1)
    group by i.name order by count(*) desc limit 1";
const INSERT: &str = "
    insert into attachment (identity_id, policy_name) values ($1, $2)
    on conflict (identity_id, policy_name) do nothing";

/// Whom a change of an identity's policies concerns: a group's members are not named.
fn concerned(who: &Who) -> Option<String> {
    (who.kind != Kind::Group).then(|| place(who))
}

/// Gives a policy to an identity; nothing changes if it has it.
pub(crate) async fn attach(db: &Db, who: &Who, policy: &str) -> Outcome<()> {
    if let Err(refused) = who.refuse_root() {
        return Ok(Err(refused));
    }
    transact!(db, tx => {
        take_turn!(tx);
        let row = find!(tx, who);
        let is_there = builtin::policy(policy).is_some()
            || count!(tx, "select count(*) from policy where name = $1", policy) > 0;
        if !is_there {
            return Ok(Err(AccessError::MissingPolicy { name: policy.to_owned() }));
        }
        let most = MAX_POLICIES as i64;
        let count = count!(tx, POLICIES_WITH, &row.id, policy);
        if count > most {
            return Ok(Err(AccessError::TooManyAttached { kind: who.kind, name: row.name, count }));
        }
        let fullest: Option<(String, i64)> = sqlx::query_as(FULLEST_MEMBER)
            .bind(&row.id)
            .bind(policy)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some((name, count)) = fullest.filter(|(_, count)| *count > most) {
            return Ok(Err(AccessError::TooManyAttached { kind: Kind::User, name, count }));
        }
        sqlx::query(INSERT).bind(&row.id).bind(policy).execute(&mut *tx).await?;
        tell!(tx, concerned(who), None);
        Ok(Ok(()))
    })
}

/// Takes a policy from an identity.
pub(crate) async fn detach(db: &Db, who: &Who, policy: &str) -> Outcome<()> {
    if let Err(refused) = who.refuse_root() {
        return Ok(Err(refused));
    }
    transact!(db, tx => {
        take_turn!(tx);
        let row = find!(tx, who);
        let sql = "delete from attachment where identity_id = $1 and policy_name = $2";
        let removed = sqlx::query(sql).bind(&row.id).bind(policy).execute(&mut *tx).await?;
        if removed.rows_affected() == 0 {
            return Ok(Err(AccessError::NotAttached {
                policy: policy.to_owned(),
                kind: who.kind,
                name: row.name,
            }));
        }
        tell!(tx, concerned(who), None);
        Ok(Ok(()))
    })
}

/// The policies of an identity itself, by name.
pub(crate) async fn of(db: &Db, identity: &str) -> Result<Vec<String>, StoreError> {
    let sql = "select policy_name from attachment where identity_id = $1 order by policy_name";
    Ok(read!(db, pool => sqlx::query_scalar(sql).bind(identity).fetch_all(pool).await)?)
}
