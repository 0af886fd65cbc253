//! Users, groups and roles.

use muster_proto::access::v1::{
    AddUserToGroupRequest, CreateGroupRequest, CreateRoleRequest, DeleteGroupRequest, DeleteRoleRequest,
    DeleteUserRequest, GetGroupRequest, ListGroupsRequest, ListRolesRequest, ListUsersRequest,
    RemoveUserFromGroupRequest,
};
use muster_proto::aws::v1::{Reason, Tag};

use crate::service::{Service, attach, on_each_surface, reason, refusal, user};

fn delete(name: &str) -> DeleteUserRequest {
    DeleteUserRequest {
        user_name: Some(name.to_owned()),
    }
}

fn member(group: &str, user: &str) -> AddUserToGroupRequest {
    AddUserToGroupRequest {
        group_name: Some(group.to_owned()),
        user_name: Some(user.to_owned()),
    }
}

#[tokio::test]
async fn users_are_made_listed_in_pages_and_deleted() {
    on_each_surface!(service, access => {
        for name in ["carol", "Alice", "bob"] {
            let made = access.create_user(user(name)).await.unwrap().into_inner().user.unwrap();
            assert_eq!(made.arn(), format!("arn:aws:iam::000000000000:user/{name}"));
        }
        let list = |token| ListUsersRequest { max_results: Some(2), next_token: token };
        let first = access.list_users(list(None)).await.unwrap().into_inner();
        let names: Vec<_> = first.users.iter().map(|user| user.user_name()).collect();
        assert_eq!(names, ["Alice", "bob"]);
        let second = access.list_users(list(first.next_token.clone())).await.unwrap().into_inner();
        assert_eq!((second.users[0].user_name(), second.users.len(), second.next_token), ("carol", 1, None));
        let roles = ListRolesRequest { max_results: Some(2), next_token: first.next_token };
        assert_eq!(reason(access.list_roles(roles).await), Reason::InvalidNextToken);
        access.delete_user(delete("bob")).await.unwrap();
        assert_eq!(reason(access.delete_user(delete("bob")).await), Reason::NoSuchEntity);
        assert_eq!(access.list_users(list(None)).await.unwrap().into_inner().users.len(), 2);
    });
}

#[tokio::test]
async fn a_user_that_cannot_be_is_refused_with_iam_s_word() {
    let service = Service::with(|settings| settings.max_users = 2).await;
    let mut access = service.access();
    service.make_user("Alice").await;
    let (word, text) = refusal(access.create_user(user("alice")).await);
    assert_eq!(word, Reason::EntityAlreadyExists);
    assert_eq!(text, "the user with name Alice already exists");
    for root in ["root", "ROOT"] {
        assert_eq!(
            reason(access.create_user(user(root)).await),
            Reason::ValidationException
        );
    }
    for bad in ["", "a b", "a/b", "a:b", &"a".repeat(65)] {
        assert_eq!(
            reason(access.create_user(user(bad)).await),
            Reason::ValidationException,
            "{bad}"
        );
    }
    let mut tagged = user("bob");
    let tag = |key: &str| Tag {
        key: Some(key.to_owned()),
        value: Some("x".to_owned()),
    };
    tagged.tags = vec![tag("Team"), tag("team")];
    assert_eq!(
        reason(access.create_user(tagged.clone()).await),
        Reason::ValidationException
    );
    tagged.tags.pop();
    let made = access.create_user(tagged).await.unwrap().into_inner().user.unwrap();
    assert_eq!(made.tags, [tag("Team")]);
    let (word, text) = refusal(access.create_user(user("carol")).await);
    assert_eq!(
        (word, text.as_str()),
        (Reason::LimitExceeded, "there are 2 users already, which is the limit")
    );
    service.stop().await;
}

#[tokio::test]
async fn what_something_hangs_on_is_not_deleted() {
    let service = Service::start().await;
    let mut access = service.access();
    service.make_user("alice").await;
    service.make_group("people").await;
    service.make_role("web").await;
    access.add_user_to_group(member("people", "alice")).await.unwrap();
    access.attach_policy(attach("read-only", "role/web")).await.unwrap();
    let key = service.make_key("alice").await;

    let (word, text) = refusal(access.delete_user(delete("alice")).await);
    assert_eq!(word, Reason::DeleteConflict);
    assert_eq!(text, "cannot delete the user alice: delete its access keys first");
    let request = muster_proto::access::v1::DeleteAccessKeyRequest {
        access_key_id: key.access_key_id,
    };
    access.delete_access_key(request).await.unwrap();
    let (_, text) = refusal(access.delete_user(delete("alice")).await);
    assert_eq!(text, "cannot delete the user alice: take it out of its groups first");
    let group = DeleteGroupRequest {
        group_name: Some("people".to_owned()),
    };
    assert_eq!(reason(access.delete_group(group.clone()).await), Reason::DeleteConflict);
    let role = DeleteRoleRequest {
        role_name: Some("web".to_owned()),
    };
    assert_eq!(reason(access.delete_role(role).await), Reason::DeleteConflict);

    let out = RemoveUserFromGroupRequest {
        group_name: Some("people".to_owned()),
        user_name: Some("alice".to_owned()),
    };
    access.remove_user_from_group(out.clone()).await.unwrap();
    assert_eq!(reason(access.remove_user_from_group(out).await), Reason::NoSuchEntity);
    access.delete_user(delete("alice")).await.unwrap();
    access.delete_group(group).await.unwrap();
    service.stop().await;
}

#[tokio::test]
async fn groups_show_their_users_and_users_their_groups() {
    on_each_surface!(service, access => {
        for name in ["alice", "bob", "carol"] {
            access.create_user(user(name)).await.unwrap();
        }
        for name in ["ops", "people"] {
            access.create_group(CreateGroupRequest { group_name: Some(name.to_owned()) }).await.unwrap();
        }
        for (group, name) in [("people", "carol"), ("people", "alice"), ("people", "alice"), ("ops", "alice")] {
            access.add_user_to_group(member(group, name)).await.unwrap();
        }
        let get = |token| GetGroupRequest { group_name: Some("people".to_owned()), max_results: Some(1), next_token: token };
        let first = access.get_group(get(None)).await.unwrap().into_inner();
        assert_eq!((first.users[0].user_name(), first.users.len()), ("alice", 1));
        let second = access.get_group(get(first.next_token)).await.unwrap().into_inner();
        assert_eq!((second.users[0].user_name(), second.next_token), ("carol", None));
        let of = |name: &str| ListGroupsRequest { user_name: Some(name.to_owned()), ..ListGroupsRequest::default() };
        let groups = access.list_groups(of("alice")).await.unwrap().into_inner().groups;
        assert_eq!(groups.iter().map(|group| group.group_name()).collect::<Vec<_>>(), ["ops", "people"]);
        assert_eq!(access.list_groups(of("bob")).await.unwrap().into_inner().groups.len(), 0);
        assert_eq!(reason(access.list_groups(of("nobody")).await), Reason::NoSuchEntity);
        assert_eq!(access.list_groups(ListGroupsRequest::default()).await.unwrap().into_inner().groups.len(), 2);
        assert_eq!(reason(access.add_user_to_group(member("people", "nobody")).await), Reason::NoSuchEntity);
        assert_eq!(reason(access.add_user_to_group(member("none", "alice")).await), Reason::NoSuchEntity);
        let core = CreateRoleRequest { role_name: Some("Node-Core".to_owned()), ..CreateRoleRequest::default() };
        assert_eq!(reason(access.create_role(core).await), Reason::ValidationException, "nodes without a role act as it");
        let role = CreateRoleRequest { role_name: Some("alice".to_owned()), ..CreateRoleRequest::default() };
        let role = access.create_role(role).await.unwrap().into_inner().role.unwrap();
        assert_eq!(role.arn(), "arn:aws:iam::000000000000:role/alice", "a role may have a user's name");
    });
}
