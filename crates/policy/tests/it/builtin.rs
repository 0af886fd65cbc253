//! The built-in policies against every operation of the contract.

use std::collections::{BTreeMap, BTreeSet};

use muster_policy::{Action, Arn, Context, Policy, PolicySet, Principal, builtin};
use muster_proto::facts::{self, Target};

use super::{action, alice, node, resource};

/// What an operation means for whoever hands out rights. Each operation is in one class, and nodes may do some besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Shows something, and no parameter values.
    Read,
    /// Runs something on nodes, or changes what is run, when, and what is known of nodes.
    Operate,
    /// Shows or changes parameter values.
    Parameters,
    /// Changes who may do what: nodes and their roles, sharing, reviews, settings, and tags, by which conditions decide.
    Access,
    /// Only nodes ask for it.
    Node,
    /// The public API has it and Muster does not: it must be put into a class before it is served.
    Unserved,
    /// Between services, or by which machines become nodes: no policy says who may.
    Internal,
}

const READ: &str = "
    ListCommands ListCommandInvocations GetCommandInvocation FollowOutput OfferOutput GetRollout GetHistory
    ListLogStreams ReadLogStream
    ListDocuments GetDocument DescribeDocument ListDocumentVersions DescribeDocumentPermission
    ListDocumentMetadataHistory Validate
    DescribeInstanceInformation DescribeInstanceProperties DescribeActivations GetConnectionStatus ListConcerns
    ListNodes ListNodesSummary
    ListTagsForResource
    DescribeAssociation ListAssociations ListAssociationVersions DescribeAssociationExecutions
    DescribeAssociationExecutionTargets DescribeInstanceAssociationsStatus DescribeEffectiveInstanceAssociations
    DescribeMaintenanceWindows GetMaintenanceWindow DescribeMaintenanceWindowTargets DescribeMaintenanceWindowTasks
    GetMaintenanceWindowTask DescribeMaintenanceWindowSchedule DescribeMaintenanceWindowsForTarget
    DescribeMaintenanceWindowExecutions GetMaintenanceWindowExecution DescribeMaintenanceWindowExecutionTasks
    GetMaintenanceWindowExecutionTask DescribeMaintenanceWindowExecutionTaskInvocations
    GetMaintenanceWindowExecutionTaskInvocation
    DescribePatchBaselines GetPatchBaseline GetDefaultPatchBaseline GetPatchBaselineForPatchGroup DescribePatchGroups
    DescribePatchGroupState DescribePatchProperties DescribeAvailablePatches DescribeEffectivePatchesForPatchBaseline
    DescribeInstancePatches DescribeInstancePatchStates DescribeInstancePatchStatesForPatchGroup
    DescribeAutomationExecutions GetAutomationExecution DescribeAutomationStepExecutions
    GetInventory GetInventorySchema ListInventoryEntries DescribeInventoryDeletions
    ListComplianceItems ListComplianceSummaries ListResourceComplianceSummaries
    DescribeParameters WatchParameters GetServiceSetting";

const OPERATE: &str = "
    SendCommand CancelCommand
    CreateDocument UpdateDocument UpdateDocumentDefaultVersion DeleteDocument
    CreateAssociation CreateAssociationBatch UpdateAssociation DeleteAssociation StartAssociationsOnce
    CreateMaintenanceWindow UpdateMaintenanceWindow DeleteMaintenanceWindow CancelMaintenanceWindowExecution
    RegisterTargetWithMaintenanceWindow UpdateMaintenanceWindowTarget DeregisterTargetFromMaintenanceWindow
    RegisterTaskWithMaintenanceWindow UpdateMaintenanceWindowTask DeregisterTaskFromMaintenanceWindow
    CreatePatchBaseline UpdatePatchBaseline DeletePatchBaseline RegisterDefaultPatchBaseline
    RegisterPatchBaselineForPatchGroup DeregisterPatchBaselineForPatchGroup
    StartAutomationExecution StopAutomationExecution SendAutomationSignal
    PutInventory DeleteInventory PutComplianceItems";

const PARAMETERS: &str = "
    GetParameter GetParameters GetParametersByPath GetParameterHistory
    PutParameter DeleteParameter DeleteParameters LabelParameterVersion UnlabelParameterVersion";

const ACCESS: &str = "
    CreateActivation DeleteActivation ApproveNode RotateKey DeregisterManagedInstance UpdateManagedInstanceRole
    AddTagsToResource RemoveTagsFromResource ModifyDocumentPermission UpdateDocumentMetadata
    UpdateServiceSetting ResetServiceSetting
    CreateUser DeleteUser ListUsers CreateGroup DeleteGroup ListGroups GetGroup AddUserToGroup RemoveUserFromGroup
    CreateRole DeleteRole ListRoles PutPolicy GetPolicy ListPolicies DeletePolicy AttachPolicy DetachPolicy
    ListAttachedPolicies CreateAccessKey UpdateAccessKey DeleteAccessKey ListAccessKeys TestPolicy
    ListAuditRecords VerifyAudit TruncateAudit";

const NODE: &str = "GetDeployablePatchSnapshotForInstance";

const INTERNAL: &str =
    "RegisterNode RegisterManagedInstance GetNodeRole ResolveTargets SyncRevocations Add Remove List StartRollout CancelRollout Record
    GetSigningKey IssueSession AssumeRole NoteUse GetSender IsSeen GetPrincipal CheckBearer RecordDecisions";

/// What nodes may do, and on what.
const OF_NODES: &[(&str, &str)] = &[
    ("GetDocument", "document/Mine"),
    ("PutInventory", "managed-instance/mi-1"),
    ("PutComplianceItems", "managed-instance/mi-1"),
    ("GetDeployablePatchSnapshotForInstance", "managed-instance/mi-1"),
];

/// Every operation of the contract with its class.
fn classes() -> BTreeMap<String, Class> {
    let written = [
        (READ, Class::Read),
        (OPERATE, Class::Operate),
        (PARAMETERS, Class::Parameters),
        (ACCESS, Class::Access),
        (NODE, Class::Node),
        (INTERNAL, Class::Internal),
    ];
    let mut classes = BTreeMap::new();
    for (names, class) in written {
        for name in names.split_whitespace() {
            assert_eq!(classes.insert(name.to_owned(), class), None, "{name} is in two classes");
        }
    }
    let described: BTreeSet<String> = muster_proto::pool()
        .services()
        .flat_map(|service| {
            service
                .methods()
                .map(|method| method.name().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let classed: BTreeSet<String> = classes.keys().cloned().collect();
    let missing: Vec<_> = described.difference(&classed).collect();
    assert!(
        missing.is_empty(),
        "think about who may do it, and give it a class: {missing:?}"
    );
    let gone: Vec<_> = classed.difference(&described).collect();
    assert!(gone.is_empty(), "the contract has no such operation: {gone:?}");
    for (target, what) in facts::targets() {
        if matches!(what, Target::Unserved) {
            let name = target.rsplit('.').next().unwrap().to_owned();
            assert_eq!(classes.insert(name, Class::Unserved), None, "{target}");
        }
    }
    classes
}

fn of(name: &str) -> PolicySet {
    PolicySet::new([(name, builtin::policy(name).unwrap())]).unwrap()
}

fn may(policies: &PolicySet, who: &Principal, operation: &str, on: &Arn) -> bool {
    let action = action(&format!("ssm:{operation}"));
    policies.decide(who, &action, on, &Context::default()).is_allowed()
}

#[test]
fn each_built_in_policy_is_one() {
    for (name, text) in builtin::ALL {
        let policy = Policy::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(policy.statements() > 0);
        assert!(builtin::policy(name).is_some());
    }
    assert!(builtin::policy("Admin").is_none());
}

#[test]
fn the_public_surface_is_classed_as_a_whole() {
    let classes = classes();
    let public = facts::targets().filter(|(_, what)| !matches!(what, Target::Unserved));
    let mut count = 0;
    for (target, what) in public {
        let class = classes[target.rsplit('.').next().unwrap()];
        let needs_nothing = match what {
            Target::Served(method) | Target::Planned(method) => facts::operation(method).unauthenticated,
            Target::Unserved => false,
        };
        assert_eq!(class == Class::Internal, needs_nothing, "{target}");
        count += 1;
    }
    assert!(count >= 109, "{count} public operations");
}

#[test]
fn each_operation_is_allowed_to_whom_its_class_says() {
    let (admin, operator, reader) = (of("admin"), of("operator"), of("read-only"));
    for (operation, class) in classes() {
        for on in [Arn::any(), resource("*:x/y")] {
            let allowed = |policies| may(policies, &alice(), &operation, &on);
            let what = format!("{operation} ({class:?}) on {on}");
            assert!(allowed(&admin), "admin: {what}");
            let expected = matches!(class, Class::Read | Class::Operate);
            assert_eq!(allowed(&operator), expected, "operator: {what}");
            assert_eq!(allowed(&reader), class == Class::Read, "read-only: {what}");
            assert!(!may(&PolicySet::default(), &alice(), &operation, &on), "nobody: {what}");
        }
    }
}

#[test]
fn a_node_reports_about_itself_reads_documents_and_no_more() {
    let core = of("node-core");
    let me = node("mi-1");
    let places = [
        "managed-instance/mi-1",
        "managed-instance/mi-2",
        "document/Mine",
        "parameter/x",
        "managed-instance/",
    ];
    for (operation, _) in classes() {
        for on in places {
            let expected = OF_NODES.contains(&(operation.as_str(), on));
            assert_eq!(
                may(&core, &me, &operation, &resource(on)),
                expected,
                "{operation} on {on}"
            );
        }
        assert!(!may(&core, &me, &operation, &Arn::any()), "{operation}");
        assert!(
            !may(&core, &alice(), &operation, &resource("managed-instance/mi-1")),
            "{operation}"
        );
    }
    assert!(may(
        &core,
        &me,
        "UpdateInstanceInformation",
        &resource("managed-instance/mi-1")
    ));
}

#[test]
fn nobody_but_admin_touches_access_keys_or_what_else_there_is() {
    for name in ["operator", "read-only", "node-core"] {
        for (what, on) in [
            ("muster:CreateUser", "user/x"),
            ("muster:ListAccessKeys", "*"),
            ("iam:PassRole", "role/x"),
            ("kms:Decrypt", "key/x"),
            ("s3:GetObject", "x"),
        ] {
            let decision = of(name).decide(&alice(), &action(what), &resource(on), &Context::default());
            assert!(!decision.is_allowed(), "{name}: {what}");
        }
    }
}

#[test]
fn the_built_in_policies_name_nothing_that_is_not_there() {
    // Sent by agents; it is no operation of the public surface (aws-json-gateway 9).
    let of_agents = ["UpdateInstanceInformation".to_owned()];
    let names = classes().into_keys().chain(of_agents);
    let known: Vec<Action> = names.map(|name| action(&format!("ssm:{name}"))).collect();
    for (name, _) in builtin::ALL {
        let policy = builtin::policy(name).unwrap();
        let unknown: Vec<_> = policy.unknown_actions(&known).collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
    }
}
