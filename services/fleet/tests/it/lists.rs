//! `DescribeInstanceInformation` and `DescribeInstanceProperties`: filters, pages, words of refusals.

use std::collections::BTreeSet;

use async_nats::HeaderMap;
use muster_proto::aws::v1::PlatformType;
use muster_proto::fleet::v1::{
    DescribeInstanceInformationRequest, DescribeInstancePropertiesRequest, InstanceInformation,
    InstanceInformationFilter, InstanceInformationFilterKey, InstanceInformationStringFilter,
    InstancePropertyFilterOperator, InstancePropertyStringFilter, PingStatus, ResourceType, SourceType,
};
use muster_wire::Reason;

use crate::world::{START, facts, refusal};

fn filter(key: &str, values: &[&str]) -> InstanceInformationStringFilter {
    InstanceInformationStringFilter {
        key: Some(key.to_owned()),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn filtered(filters: &[InstanceInformationStringFilter]) -> DescribeInstanceInformationRequest {
    DescribeInstanceInformationRequest {
        filters: filters.to_vec(),
        ..DescribeInstanceInformationRequest::default()
    }
}

fn ids(list: &[InstanceInformation]) -> Vec<&str> {
    list.iter().filter_map(|node| node.instance_id.as_deref()).collect()
}

by_both_surfaces!(a_node_is_shown_with_what_it_told, |world, clients| {
    let id = world.register("a", &[]).await;
    world.hello(&id, facts("a")).await.unwrap();
    let all = DescribeInstanceInformationRequest::default();
    let list = clients
        .fleet
        .describe_instance_information(all)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(list.next_token, None);
    let start = Some(prost_types::Timestamp {
        seconds: START.as_second(),
        nanos: 0,
    });
    let expected = InstanceInformation {
        instance_id: Some(id.clone()),
        ping_status: Some(PingStatus::Online.into()),
        last_ping_date_time: start,
        agent_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        is_latest_version: Some(true),
        platform_type: Some(PlatformType::Linux.into()),
        platform_name: Some("Debian GNU/Linux".to_owned()),
        platform_version: Some("13".to_owned()),
        registration_date: start,
        resource_type: Some(ResourceType::ManagedInstance.into()),
        name: Some("name of a".to_owned()),
        ip_address: Some("192.0.2.7".to_owned()),
        computer_name: Some("host-a".to_owned()),
        source_id: Some(id.clone()),
        source_type: Some(SourceType::AwsSsmManagedInstance.into()),
        ..InstanceInformation::default()
    };
    assert_eq!(list.instance_information_list, [expected]);

    let all = DescribeInstancePropertiesRequest::default();
    let list = clients
        .fleet
        .describe_instance_properties(all)
        .await
        .unwrap()
        .into_inner();
    let [node] = list.instance_properties.as_slice() else {
        panic!("{list:?}");
    };
    assert_eq!(node.instance_state.as_deref(), Some("running"));
    assert_eq!(node.architecture.as_deref(), Some("x86_64"));
    assert_eq!(node.resource_type.as_deref(), Some("ManagedInstance"));
});

by_both_surfaces!(filters_narrow_the_list, |world, clients| {
    let web = world.register("web", &[("Role", "web"), ("Env", "prod")]).await;
    let db = world.register("db", &[("Role", "db")]).await;
    world.hello(&web, facts("web")).await.unwrap();
    let mut both = vec![web.as_str(), db.as_str()];
    both.sort_unstable();
    let none: [&str; 0] = [];
    for (filters, expected) in [
        (vec![filter("InstanceIds", &[&web])], &[web.as_str()][..]),
        (vec![filter("InstanceIds", &["mi-00000000000000000"])], &none),
        (vec![filter("SourceIds", &[&db])], &[db.as_str()]),
        (vec![filter("PingStatus", &["Online"])], &[web.as_str()]),
        (vec![filter("PingStatus", &["ConnectionLost"])], &[db.as_str()]),
        (vec![filter("PingStatus", &["Online", "ConnectionLost"])], &both),
        (vec![filter("PingStatus", &["Inactive"])], &none),
        (
            vec![filter("PlatformTypes", &["Linux"]), filter("InstanceIds", &[&db])],
            &[db.as_str()],
        ),
        (vec![filter("PlatformTypes", &["Windows", "MacOS"])], &none),
        (vec![filter("AgentVersion", &[env!("CARGO_PKG_VERSION")])], &both),
        (vec![filter("ResourceType", &["ManagedInstance"])], &both),
        (vec![filter("ResourceType", &["EC2Instance"])], &none),
        (vec![filter("SourceTypes", &["AWS::SSM::ManagedInstance"])], &both),
        (
            vec![filter("ActivationIds", &["01234567-89ab-cdef-0123-456789abcdef"])],
            &none,
        ),
        (vec![filter("IamRole", &["role"])], &none),
        (vec![filter("AssociationStatus", &["Success"])], &none),
        (vec![filter("tag:Role", &["web", "cache"])], &[web.as_str()]),
        (vec![filter("tag:Role", &["WEB"])], &none),
        (vec![filter("tag-key", &["Env", "Zone"])], &[web.as_str()]),
        (
            vec![filter("tag-key", &["Role"]), filter("tag:Role", &["db"])],
            &[db.as_str()],
        ),
    ] {
        let list = clients
            .fleet
            .describe_instance_information(filtered(&filters))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(ids(&list.instance_information_list), expected, "{filters:?}");
    }

    let older = DescribeInstanceInformationRequest {
        instance_information_filter_list: vec![InstanceInformationFilter {
            key: Some(InstanceInformationFilterKey::InstanceIds.into()),
            value_set: vec![db.clone()],
        }],
        ..DescribeInstanceInformationRequest::default()
    };
    let list = clients
        .fleet
        .describe_instance_information(older)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(ids(&list.instance_information_list), [db.as_str()]);

    let begins = DescribeInstancePropertiesRequest {
        filters_with_operator: vec![InstancePropertyStringFilter {
            key: Some("ComputerName".to_owned()),
            values: vec!["host-w".to_owned()],
            operator: Some(InstancePropertyFilterOperator::BeginWith.into()),
        }],
        ..DescribeInstancePropertiesRequest::default()
    };
    let list = clients
        .fleet
        .describe_instance_properties(begins)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(list.instance_properties.len(), 1);
    assert_eq!(list.instance_properties[0].instance_id.as_deref(), Some(web.as_str()));
});

by_both_surfaces!(bad_questions_have_the_words_of_the_spec, |world, clients| {
    let value = Reason::InvalidInstanceInformationFilterValue;
    let both = DescribeInstanceInformationRequest {
        instance_information_filter_list: vec![InstanceInformationFilter {
            key: Some(InstanceInformationFilterKey::PingStatus.into()),
            value_set: vec!["Online".to_owned()],
        }],
        ..filtered(&[filter("PingStatus", &["Online"])])
    };
    let sized = |size| DescribeInstanceInformationRequest {
        max_results: Some(size),
        ..DescribeInstanceInformationRequest::default()
    };
    let forged = DescribeInstanceInformationRequest {
        next_token: Some("made up".to_owned()),
        ..DescribeInstanceInformationRequest::default()
    };
    for (request, reason) in [
        (filtered(&[filter("Colour", &["red"])]), Reason::InvalidFilterKey),
        (filtered(&[filter("InstanceIds", &["web"])]), Reason::InvalidInstanceId),
        (
            filtered(&[filter("ResourceType", &["ManagedInstance", "EC2Instance"])]),
            value,
        ),
        (filtered(&[filter("PingStatus", &["Asleep"])]), value),
        (
            filtered(&[filter("tag-key", &["Role"]), filter("IamRole", &["r"])]),
            Reason::ValidationException,
        ),
        (filtered(&[filter("InstanceIds", &[])]), Reason::ValidationException),
        (both, Reason::ValidationException),
        (sized(4), Reason::ValidationException),
        (sized(51), Reason::ValidationException),
        (forged, Reason::InvalidNextToken),
    ] {
        let status = clients
            .fleet
            .describe_instance_information(request.clone())
            .await
            .unwrap_err();
        assert_eq!(refusal(status).0, reason, "{request:?}");
    }
});

by_both_surfaces!(pages_show_every_node_once, |world, clients| {
    let mut all = BTreeSet::new();
    for number in 0..23 {
        all.insert(world.register(&format!("m{number}"), &[("n", "1")]).await);
    }
    let mut request = filtered(&[filter("tag:n", &["1"])]);
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let page = clients
            .fleet
            .describe_instance_information(request.clone())
            .await
            .unwrap()
            .into_inner();
        sizes.push(page.instance_information_list.len());
        seen.extend(
            page.instance_information_list
                .into_iter()
                .filter_map(|node| node.instance_id),
        );
        // A node that comes meanwhile disturbs nobody.
        world.register(&format!("late {}", seen.len()), &[]).await;
        match page.next_token {
            Some(token) => request.next_token = Some(token),
            None => break,
        }
    }
    assert_eq!(sizes, [10, 10, 3]);
    assert_eq!(seen, all.into_iter().collect::<Vec<_>>());

    // A token belongs to its filters and to its operation.
    let token = request.next_token;
    let other = DescribeInstanceInformationRequest {
        next_token: token.clone(),
        ..filtered(&[filter("tag:n", &["2"])])
    };
    let status = clients.fleet.describe_instance_information(other).await.unwrap_err();
    assert_eq!(refusal(status).0, Reason::InvalidNextToken);
    let other = DescribeInstancePropertiesRequest {
        next_token: token,
        ..DescribeInstancePropertiesRequest::default()
    };
    let status = clients.fleet.describe_instance_properties(other).await.unwrap_err();
    assert_eq!(refusal(status).0, Reason::InvalidNextToken);
});

#[tokio::test]
async fn the_aws_form_has_the_members_of_the_public_shape() {
    let world = crate::world::World::start().await;
    let id = world.register("a", &[]).await;
    let mut headers = HeaderMap::new();
    headers.insert("Content-Type", "application/x-amz-json-1.1");
    let subject = "muster.v1.api.Fleet.DescribeInstanceInformation";
    let question = r#"{"Filters":[{"Key":"PlatformTypes","Values":["Linux"]}],"MaxResults":5}"#;
    let answer = world
        .nats
        .request_with_headers(subject, headers, question.into())
        .await
        .unwrap();
    let json: serde_json::Value = serde_json::from_slice(&answer.payload).unwrap();
    let node = &json["InstanceInformationList"][0];
    assert_eq!(node["InstanceId"], id);
    assert_eq!(node["PingStatus"], "ConnectionLost");
    assert_eq!(node["PlatformType"], "Linux");
    assert_eq!(node["RegistrationDate"].as_f64(), Some(1_800_000_000.0));
    assert!(node.get("LastPingDateTime").is_none() && json.get("NextToken").is_none());
    world.end().await;
}
