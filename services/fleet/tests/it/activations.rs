//! Activations as users see them: made, listed, deleted; roles of nodes.

use std::sync::Arc;
use std::time::Duration;

use muster_harness::Anybody;
use muster_proto::access::v1::decisions_server::{Decisions, DecisionsServer};
use muster_proto::access::v1::{GetPrincipalRequest, GetPrincipalResult};
use muster_proto::fleet::v1::{
    Activation, CreateActivationRequest, CreateActivationResult, DeleteActivationRequest, DescribeActivationsFilter,
    DescribeActivationsFilterKeys as Key, DescribeActivationsRequest, DescribeInstanceInformationRequest,
    GetNodeRoleRequest, UpdateManagedInstanceRoleRequest,
};
use muster_wire::{CallMetrics, Mount, Reason};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

use crate::world::{START, World, refusal, tags};

const ROLE: &str = "SSMServiceRole";

pub(crate) fn wanted() -> CreateActivationRequest {
    CreateActivationRequest {
        iam_role: Some(ROLE.to_owned()),
        ..CreateActivationRequest::default()
    }
}

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

fn narrowed(key: Key, values: &[&str]) -> DescribeActivationsRequest {
    let filter = DescribeActivationsFilter {
        filter_key: Some(key.into()),
        filter_values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    DescribeActivationsRequest {
        filters: vec![filter],
        ..DescribeActivationsRequest::default()
    }
}

/// The activations that a request lists, and the token of the next page.
macro_rules! list {
    ($clients:ident, $request:expr) => {{
        let answer = $clients
            .fleet
            .describe_activations($request)
            .await
            .unwrap()
            .into_inner();
        (answer.activation_list, answer.next_token)
    }};
}

by_both_surfaces!(an_activation_is_shown_with_all_but_its_code, |world, clients| {
    let request = CreateActivationRequest {
        description: Some("web servers".to_owned()),
        default_instance_name: Some("web".to_owned()),
        iam_role: Some(format!("service-role/{ROLE}")),
        registration_limit: Some(3),
        expiration_date: at(START.as_second() + 60),
        tags: tags(&[("Role", "web"), ("Env", "prod")]),
        ..CreateActivationRequest::default()
    };
    let made = clients.fleet.create_activation(request).await.unwrap().into_inner();
    let CreateActivationResult {
        activation_id: Some(id),
        activation_code: Some(code),
    } = made
    else {
        panic!("an activation has an id and a code");
    };
    assert!(code.len() == 20 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let expected = Activation {
        activation_id: Some(id),
        description: Some("web servers".to_owned()),
        default_instance_name: Some("web".to_owned()),
        iam_role: Some(ROLE.to_owned()),
        registration_limit: Some(3),
        registrations_count: Some(0),
        expiration_date: at(START.as_second() + 60),
        expired: Some(false),
        created_date: at(START.as_second()),
        tags: tags(&[("Env", "prod"), ("Role", "web")]),
    };
    let (listed, token) = list!(clients, DescribeActivationsRequest::default());
    assert_eq!((listed, token), (vec![expected.clone()], None));
    world.advance(60);
    let (listed, _) = list!(clients, DescribeActivationsRequest::default());
    let expired = Activation {
        expired: Some(true),
        ..expected
    };
    assert_eq!(listed, [expired]);
});

by_both_surfaces!(what_cannot_be_is_refused_with_the_words_of_the_api, |world, clients| {
    let text =
        "Nonexistent role or missing ssm service principal in trust policy: arn:aws:iam::000000000000:role/Nobody";
    let mut all = vec![
        (
            CreateActivationRequest {
                iam_role: Some("path/Nobody".to_owned()),
                ..wanted()
            },
            text,
        ),
        (
            CreateActivationRequest {
                iam_role: Some(format!("arn:aws:iam::000000000000:role/{ROLE}")),
                ..wanted()
            },
            "not an ARN",
        ),
        (CreateActivationRequest::default(), "iamRole"),
        (
            CreateActivationRequest {
                default_instance_name: Some("a*".to_owned()),
                ..wanted()
            },
            "defaultInstanceName",
        ),
        (
            CreateActivationRequest {
                tags: tags(&[("aws:x", "y")]),
                ..wanted()
            },
            "reserved",
        ),
    ];
    for limit in [0, 1001] {
        let request = CreateActivationRequest {
            registration_limit: Some(limit),
            ..wanted()
        };
        all.push((request, "registrationLimit"));
    }
    for (date, text) in [(0, "past"), (31 * 24 * 60 * 60, "30 days")] {
        let request = CreateActivationRequest {
            expiration_date: at(START.as_second() + date),
            ..wanted()
        };
        all.push((request, text));
    }
    for (request, text) in all {
        let status = clients.fleet.create_activation(request.clone()).await.unwrap_err();
        let (reason, message) = refusal(status);
        assert_eq!(reason, Reason::ValidationException, "{request:?}");
        assert!(message.contains(text), "{message}");
    }
    let (listed, _) = list!(clients, DescribeActivationsRequest::default());
    assert!(listed.is_empty(), "nothing is half done");
});

by_both_surfaces!(
    lists_are_narrowed_and_come_in_pages_with_the_newest_first,
    |world, clients| {
        let mut ids = Vec::new();
        for number in 0..5 {
            world.advance(1);
            let request = CreateActivationRequest {
                default_instance_name: Some(format!("name-{}", number % 2)),
                ..wanted()
            };
            let made = clients.fleet.create_activation(request).await.unwrap().into_inner();
            ids.push(made.activation_id.unwrap());
        }
        ids.reverse();
        let shown = |list: &[Activation]| -> Vec<String> {
            list.iter().filter_map(|each| each.activation_id.clone()).collect()
        };
        let mut request = DescribeActivationsRequest {
            max_results: Some(2),
            ..DescribeActivationsRequest::default()
        };
        let mut walked = Vec::new();
        loop {
            let (page, token) = list!(clients, request.clone());
            assert!(page.len() <= 2);
            walked.extend(shown(&page));
            request.next_token = token;
            if request.next_token.is_none() {
                break;
            }
        }
        assert_eq!(walked, ids);

        let (named, _) = list!(clients, narrowed(Key::DefaultInstanceName, &["name-1"]));
        assert_eq!(shown(&named), [ids[1].clone(), ids[3].clone()]);
        let (by_id, _) = list!(clients, narrowed(Key::ActivationIds, &[&ids[0], &ids[4]]));
        assert_eq!(shown(&by_id), [ids[0].clone(), ids[4].clone()]);
        let (by_role, _) = list!(clients, narrowed(Key::IamRole, &[ROLE]));
        assert_eq!(by_role.len(), 5);
        // Terraform reads an empty list as "gone".
        let unknown = "00000000-0000-4000-8000-000000000000";
        assert!(list!(clients, narrowed(Key::ActivationIds, &[unknown])).0.is_empty());

        let refused = [
            (narrowed(Key::IamRole, &[]), Reason::InvalidFilter),
            (narrowed(Key::Unset, &["x"]), Reason::ValidationException),
            (
                DescribeActivationsRequest {
                    filters: vec![DescribeActivationsFilter::default()],
                    ..DescribeActivationsRequest::default()
                },
                Reason::InvalidFilter,
            ),
            (
                DescribeActivationsRequest {
                    next_token: Some("invented".to_owned()),
                    ..DescribeActivationsRequest::default()
                },
                Reason::InvalidNextToken,
            ),
            (
                DescribeActivationsRequest {
                    max_results: Some(51),
                    ..DescribeActivationsRequest::default()
                },
                Reason::ValidationException,
            ),
        ];
        for (request, reason) in refused {
            let status = clients.fleet.describe_activations(request).await.unwrap_err();
            assert_eq!(refusal(status).0, reason);
        }
    }
);

by_both_surfaces!(a_deleted_activation_is_gone, |world, clients| {
    let made = clients.fleet.create_activation(wanted()).await.unwrap().into_inner();
    let delete = DeleteActivationRequest {
        activation_id: made.activation_id,
    };
    clients.fleet.delete_activation(delete.clone()).await.unwrap();
    assert!(list!(clients, DescribeActivationsRequest::default()).0.is_empty());
    let status = clients.fleet.delete_activation(delete).await.unwrap_err();
    assert_eq!(refusal(status).0, Reason::InvalidActivation);
    let malformed = DeleteActivationRequest {
        activation_id: Some("not-an-id".to_owned()),
    };
    let status = clients.fleet.delete_activation(malformed).await.unwrap_err();
    assert_eq!(refusal(status).0, Reason::ValidationException);
});

by_both_surfaces!(a_node_gets_another_role, |world, clients| {
    let node = world.register("a", &[]).await;
    let update = |node: &str, role: &str| UpdateManagedInstanceRoleRequest {
        instance_id: Some(node.to_owned()),
        iam_role: Some(role.to_owned()),
    };
    let good = update(&node, &format!("service-role/{ROLE}"));
    clients.fleet.update_managed_instance_role(good).await.unwrap();
    let all = DescribeInstanceInformationRequest::default();
    let list = clients
        .fleet
        .describe_instance_information(all)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(list.instance_information_list[0].iam_role(), ROLE);
    let role = |node: &str| GetNodeRoleRequest {
        node_id: node.to_owned(),
    };
    let asked = clients.nodes.get_node_role(role(&node)).await.unwrap().into_inner();
    assert_eq!((asked.is_managed, asked.iam_role.as_str()), (true, ROLE));
    let asked = clients.nodes.get_node_role(role("mi-0123456789abcdef0")).await.unwrap();
    assert!(!asked.into_inner().is_managed);
    for (request, reason, text) in [
        (
            update("mi-0123456789abcdef0", ROLE),
            Reason::InvalidInstanceId,
            "mi-0123456789abcdef0",
        ),
        (update(&node, "Nobody"), Reason::ValidationException, "Nonexistent role"),
    ] {
        let status = clients.fleet.update_managed_instance_role(request).await.unwrap_err();
        let (word, message) = refusal(status);
        assert!(word == reason && message.contains(text), "{message}");
    }
});

/// Access, as far as fleet asks it.
struct Access;

#[tonic::async_trait]
impl Decisions for Access {
    async fn get_principal(
        &self,
        request: Request<GetPrincipalRequest>,
    ) -> Result<Response<GetPrincipalResult>, Status> {
        let is_known = request.into_inner().arn() == "arn:aws:iam::000000000000:role/Databases";
        Ok(Response::new(GetPrincipalResult {
            known: Some(is_known),
            ..GetPrincipalResult::default()
        }))
    }
}

#[tokio::test]
async fn roles_that_access_knows_are_roles() {
    let world = World::start().await;
    let mut clients = world.by_nats();
    let databases = || CreateActivationRequest {
        iam_role: Some("service-role/Databases".to_owned()),
        ..wanted()
    };
    // Where access does not run there are the roles of the settings.
    let status = clients.fleet.create_activation(databases()).await.unwrap_err();
    assert!(refusal(status).1.contains("Nonexistent role"));
    clients.fleet.create_activation(wanted()).await.unwrap();

    let metrics = CallMetrics::register(&mut Registry::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let access = Mount::new(world.nats.clone(), metrics, Arc::new(Anybody::default()))
        .add_on_bus(DecisionsServer::new(Access))
        .start(listener, axum::Router::new())
        .await
        .unwrap();
    clients.fleet.create_activation(databases()).await.unwrap();
    let other = CreateActivationRequest {
        iam_role: Some("Caches".to_owned()),
        ..wanted()
    };
    let status = clients.fleet.create_activation(other).await.unwrap_err();
    assert!(refusal(status).1.contains("role/Caches"));
    access.stop(Duration::from_secs(5)).await;
    world.end().await;
}

by_both_surfaces!(
    a_request_that_comes_again_makes_one_activation_and_tells_its_code_again,
    |world, clients| {
        let with = |token: &'static str| {
            let mut request = tonic::Request::new(wanted());
            let token = tonic::metadata::MetadataValue::from_static(token);
            request.metadata_mut().insert("muster-client-token", token);
            request
        };
        let first = clients.fleet.create_activation(with("one")).await.unwrap().into_inner();
        let again = clients.fleet.create_activation(with("one")).await.unwrap().into_inner();
        assert_eq!(first, again);
        let other = clients
            .fleet
            .create_activation(with("other"))
            .await
            .unwrap()
            .into_inner();
        assert!(first.activation_id != other.activation_id && first.activation_code != other.activation_code);
        assert_eq!(list!(clients, DescribeActivationsRequest::default()).0.len(), 2);
        let delete = DeleteActivationRequest {
            activation_id: first.activation_id,
        };
        clients.fleet.delete_activation(delete).await.unwrap();
        let status = clients.fleet.create_activation(with("one")).await.unwrap_err();
        assert_eq!(
            refusal(status).0,
            Reason::InvalidParameters,
            "it was made, and it is gone"
        );
        let status = clients.fleet.create_activation(with("")).await.unwrap_err();
        assert_eq!(refusal(status).0, Reason::ValidationException);
        assert_eq!(list!(clients, DescribeActivationsRequest::default()).0.len(), 1);
    }
);
