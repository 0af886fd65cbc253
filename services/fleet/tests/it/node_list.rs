//! `ListNodes` and `ListNodesSummary`.

use muster_proto::fleet::v1::{
    ListNodesRequest, ListNodesSummaryRequest, ManagedStatus, NodeAggregator, NodeAggregatorType,
    NodeAttributeName as Attribute, NodeFilter, NodeFilterKey as Key, NodeFilterOperatorType as Operator, NodeTypeName,
};
use muster_wire::Reason;
use serde_json::json;

use crate::world::{START, facts, refusal};

fn filter(key: Key, operator: Operator, values: &[&str]) -> NodeFilter {
    NodeFilter {
        key: Some(key.into()),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        r#type: Some(operator.into()),
    }
}

fn by(attribute: Attribute, within: Vec<NodeAggregator>) -> NodeAggregator {
    NodeAggregator {
        aggregator_type: Some(NodeAggregatorType::Count.into()),
        type_name: Some(NodeTypeName::Instance.into()),
        attribute_name: Some(attribute.into()),
        aggregators: within,
    }
}

by_both_surfaces!(nodes_are_listed_as_of_one_account_and_one_region, |world, clients| {
    let web = world.register("web", &[]).await;
    let db = world.register("db", &[]).await;
    world.hello(&web, facts("web")).await.unwrap();
    let mut both = vec![web.clone(), db.clone()];
    both.sort_unstable();
    let online = || filter(Key::InstanceStatus, Operator::Equal, &["Online"]);
    for (filters, expected) in [
        (vec![], both.clone()),
        (vec![online()], vec![web.clone()]),
        (
            vec![filter(Key::InstanceStatus, Operator::NotEqual, &["Online"])],
            vec![db.clone()],
        ),
        (
            vec![filter(Key::ComputerName, Operator::BeginWith, &["host-d"])],
            vec![db.clone()],
        ),
        (
            vec![filter(Key::ManagedStatus, Operator::Equal, &["All"]), online()],
            vec![web.clone()],
        ),
        (
            vec![filter(Key::ManagedStatus, Operator::Equal, &["Unmanaged"])],
            vec![],
        ),
        (vec![filter(Key::Region, Operator::Equal, &["us-east-1"])], both.clone()),
        (vec![filter(Key::Region, Operator::BeginWith, &["eu-"])], vec![]),
        (
            vec![filter(Key::AccountId, Operator::NotEqual, &["000000000000"])],
            vec![],
        ),
        (vec![filter(Key::InstanceId, Operator::Equal, &[&db])], vec![db.clone()]),
    ] {
        let request = ListNodesRequest {
            filters: filters.clone(),
            ..ListNodesRequest::default()
        };
        let list = clients.fleet.list_nodes(request).await.unwrap().into_inner().nodes;
        let ids: Vec<_> = list.iter().map(|node| node.id().to_owned()).collect();
        assert_eq!(ids, expected, "{filters:?}");
    }
    let one = ListNodesRequest {
        filters: vec![online()],
        ..ListNodesRequest::default()
    };
    let node = clients
        .fleet
        .list_nodes(one)
        .await
        .unwrap()
        .into_inner()
        .nodes
        .remove(0);
    assert_eq!(node.capture_time.unwrap().seconds, START.as_second());
    assert_eq!(
        (node.region(), node.owner.as_ref().unwrap().account_id()),
        ("us-east-1", "000000000000")
    );
    let machine = node.node_type.unwrap().instance.unwrap();
    assert_eq!(
        (machine.computer_name(), machine.instance_status()),
        ("host-web", "Online")
    );
    assert_eq!(machine.managed_status(), ManagedStatus::Managed);

    let paged = |token| ListNodesRequest {
        max_results: Some(1),
        next_token: token,
        ..ListNodesRequest::default()
    };
    let first = clients.fleet.list_nodes(paged(None)).await.unwrap().into_inner();
    let second = clients
        .fleet
        .list_nodes(paged(first.next_token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (first.nodes[0].id(), second.nodes[0].id()),
        (both[0].as_str(), both[1].as_str())
    );
    assert_eq!(second.next_token, None);
});

by_both_surfaces!(nodes_are_counted_by_attributes, |world, clients| {
    for (machine, version) in [("a", "12"), ("b", "13"), ("c", "13")] {
        let node = world.register(machine, &[]).await;
        let mut facts = facts(machine);
        facts.platform_version = version.to_owned();
        world.hello(&node, facts).await.unwrap();
    }
    let mut request = ListNodesSummaryRequest {
        aggregators: vec![
            by(Attribute::PlatformName, vec![by(Attribute::PlatformVersion, vec![])]),
            by(Attribute::Region, vec![]),
        ],
        max_results: Some(2),
        ..ListNodesSummaryRequest::default()
    };
    let mut groups = Vec::new();
    loop {
        let page = clients
            .fleet
            .list_nodes_summary(request.clone())
            .await
            .unwrap()
            .into_inner();
        groups.extend(page.summary.into_iter().map(|group| json!(group.items)));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    let name = "Debian GNU/Linux";
    assert_eq!(
        groups,
        [
            json!({"PlatformName": name, "PlatformVersion": "12", "Count": "1"}),
            json!({"PlatformName": name, "PlatformVersion": "13", "Count": "2"}),
            json!({"Region": "us-east-1", "Count": "3"}),
        ]
    );
    request.filters = vec![filter(Key::PlatformVersion, Operator::Equal, &["12"])];
    request.aggregators = vec![by(Attribute::PlatformType, vec![])];
    let page = clients.fleet.list_nodes_summary(request).await.unwrap().into_inner();
    assert_eq!(
        json!(page.summary[0].items),
        json!({"PlatformType": "Linux", "Count": "1"})
    );
});

by_both_surfaces!(bad_questions_about_nodes_have_the_words_of_the_api, |world, clients| {
    let sync = ListNodesRequest {
        sync_name: Some("all".to_owned()),
        ..ListNodesRequest::default()
    };
    let toaster = ListNodesRequest {
        filters: vec![filter(Key::PlatformType, Operator::Equal, &["Toaster"])],
        ..ListNodesRequest::default()
    };
    let many = ListNodesRequest {
        max_results: Some(51),
        ..ListNodesRequest::default()
    };
    let forged = ListNodesRequest {
        next_token: Some("made up".to_owned()),
        ..ListNodesRequest::default()
    };
    for (request, reason) in [
        (sync, Reason::ResourceDataSyncNotFoundException),
        (toaster, Reason::InvalidFilter),
        (many, Reason::ValidationException),
        (forged, Reason::InvalidNextToken),
    ] {
        let status = clients.fleet.list_nodes(request).await.unwrap_err();
        assert_eq!(refusal(status).0, reason);
    }
    let summary = |aggregators: Vec<NodeAggregator>, token: &str| ListNodesSummaryRequest {
        aggregators,
        next_token: Some(token.to_owned()),
        ..ListNodesSummaryRequest::default()
    };
    let twice = by(Attribute::Region, vec![by(Attribute::Region, vec![])]);
    for (request, reason) in [
        (summary(vec![], ""), Reason::ValidationException),
        (summary(vec![twice], ""), Reason::InvalidAggregatorException),
        (
            summary(vec![by(Attribute::Region, vec![])], "made up"),
            Reason::InvalidNextToken,
        ),
    ] {
        let status = clients.fleet.list_nodes_summary(request).await.unwrap_err();
        assert_eq!(refusal(status).0, reason);
    }
});
