//! Who is in which group.

use muster_policy::MAX_POLICIES;
use muster_store::{Db, StoreError, read, transact};

use super::identity::{IdentityRow, place};
use super::{Outcome, count, find, take_turn, tell};
use crate::domain::identity::{Kind, Who};
use crate::error::AccessError;

/// Policies that a user would have in one more group.
const POLICIES_WITH_GROUP: &str = "
    select count(*) from (
        select policy_name from attachment where identity_id = $1
        union select a.policy_name from attachment as a join membership as m on m.group_id = a.identity_id
            where m.user_id = $1
        union select policy_name from attachment where identity_id = $2) as p";
const MEMBERS: &str = "
    select i.id, i.name, i.created_at from membership as m join identity as i on i.id = m.user_id
    where m.group_id = $1 and i.folded > $2 order by i.folded limit $3";
const GROUPS: &str = "
    select i.id, i.name, i.created_at from membership as m join identity as i on i.id = m.group_id
    where m.user_id = $1 and i.folded > $2 order by i.folded limit $3";

/// Puts a user into a group; nothing changes if it is in it.
pub(crate) async fn add(db: &Db, group: &Who, user: &Who) -> Outcome<()> {
    if let Err(refused) = user.refuse_root() {
        return Ok(Err(refused));
    }
    transact!(db, tx => {
        take_turn!(tx);
        let in_group = find!(tx, group);
        let member = find!(tx, user);
        let count = count!(tx, POLICIES_WITH_GROUP, &member.id, &in_group.id);
        if count > MAX_POLICIES as i64 {
            return Ok(Err(AccessError::TooManyAttached {
                kind: Kind::User,
                name: member.name,
                count,
            }));
        }
        let sql = "insert into membership (group_id, user_id) values ($1, $2) on conflict (group_id, user_id) do nothing";
        sqlx::query(sql).bind(&in_group.id).bind(&member.id).execute(&mut *tx).await?;
        tell!(tx, Some(place(user)), None);
        Ok(Ok(()))
    })
}

/// Takes a user out of a group.
pub(crate) async fn remove(db: &Db, group: &Who, user: &Who) -> Outcome<()> {
    transact!(db, tx => {
        take_turn!(tx);
        let in_group = find!(tx, group);
        let member = find!(tx, user);
        let sql = "delete from membership where group_id = $1 and user_id = $2";
        let removed = sqlx::query(sql).bind(&in_group.id).bind(&member.id).execute(&mut *tx).await?;
        if removed.rows_affected() == 0 {
            return Ok(Err(AccessError::NotMember {
                user: member.name,
                group: in_group.name,
            }));
        }
        tell!(tx, Some(place(user)), None);
        Ok(Ok(()))
    })
}

/// The users of a group behind this name, by name.
pub(crate) async fn members(db: &Db, group: &str, after: &str, limit: i64) -> Result<Vec<IdentityRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(MEMBERS).bind(group).bind(after).bind(limit).fetch_all(pool).await)?)
}

/// The groups of a user behind this name, by name.
pub(crate) async fn of_user(db: &Db, user: &str, after: &str, limit: i64) -> Result<Vec<IdentityRow>, StoreError> {
    Ok(read!(db, pool => sqlx::query_as(GROUPS).bind(user).bind(after).bind(limit).fetch_all(pool).await)?)
}
