//! Machines become nodes and are put out again.

use muster_proto::fleet::v1::{
    DeregisterManagedInstanceRequest, DescribeInstanceInformationRequest, RegisterNodeRequest, ResolveTargetsRequest,
};
use muster_wire::Reason;

use crate::world::{refusal, registration};

by_both_surfaces!(a_machine_that_registers_again_is_the_same_node, |world, clients| {
    let first = clients
        .nodes
        .register_node(registration("a", &[]))
        .await
        .unwrap()
        .into_inner();
    assert!(first.node_id.starts_with("mi-") && !first.existing);
    let again = clients
        .nodes
        .register_node(registration("a", &[]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((again.node_id, again.existing), (first.node_id.clone(), true));
    let new = RegisterNodeRequest {
        as_new: true,
        ..registration("a", &[])
    };
    let new = clients.nodes.register_node(new).await.unwrap().into_inner();
    assert!(new.node_id != first.node_id && !new.existing);
    world.restart_fleet().await;
    let mut clients = world.by_nats();
    let again = clients
        .nodes
        .register_node(registration("a", &[]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((again.node_id, again.existing), (new.node_id, true));
});

by_both_surfaces!(
    a_machine_without_identity_or_with_bad_tags_is_refused,
    |world, clients| {
        for bad in [
            registration("", &[]),
            registration("a\0b", &[]),
            registration("a", &[("aws:x", "y")]),
            registration("a", &[("x*", "y")]),
            registration("a", &[("", "y")]),
        ] {
            let status = clients.nodes.register_node(bad.clone()).await.unwrap_err();
            assert_eq!(refusal(status).0, Reason::ValidationException, "{bad:?}");
        }
        let many: Vec<_> = (0..51).map(|number| (format!("k{number}"), String::new())).collect();
        let many = RegisterNodeRequest {
            tags: many.into_iter().collect(),
            ..registration("a", &[])
        };
        let status = clients.nodes.register_node(many).await.unwrap_err();
        assert_eq!(refusal(status).0, Reason::TooManyTagsError);
    }
);

by_both_surfaces!(a_node_that_is_put_out_is_gone_at_once, |world, clients| {
    let id = world.register("a", &[("Role", "web")]).await;
    let out = DeregisterManagedInstanceRequest {
        instance_id: Some(id.clone()),
    };
    clients.fleet.deregister_managed_instance(out.clone()).await.unwrap();
    let all = DescribeInstanceInformationRequest::default();
    let list = clients
        .fleet
        .describe_instance_information(all)
        .await
        .unwrap()
        .into_inner();
    assert!(list.instance_information_list.is_empty());
    let ask = ResolveTargetsRequest {
        instance_ids: vec![id.clone()],
        targets: Vec::new(),
        ..ResolveTargetsRequest::default()
    };
    let resolved = clients.nodes.resolve_targets(ask).await.unwrap().into_inner();
    assert_eq!(resolved.unresolved[0].reason, "deregistered");

    let status = clients.fleet.deregister_managed_instance(out).await.unwrap_err();
    assert_eq!(refusal(status).0, Reason::InvalidInstanceId);
    let malformed = DeregisterManagedInstanceRequest {
        instance_id: Some("mi-NOT-HEXADECIMAL-AT".to_owned()),
    };
    let status = clients.fleet.deregister_managed_instance(malformed).await.unwrap_err();
    assert_eq!(refusal(status).0, Reason::ValidationException);
    // The machine may come back, as another node.
    assert_ne!(world.register("a", &[]).await, id);
});
