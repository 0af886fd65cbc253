//! The generated code: one module per protobuf package, so that `muster.fleet.v1.Node` is `fleet::v1::Node`.

#![expect(
    missing_docs,
    reason = "fields speak through their names; comments stand where they add something"
)]
#![expect(clippy::allow_attributes, reason = "the generated clients and servers use them")]

macro_rules! package {
    ($(#[$about:meta])* $domain:ident) => {
        $(#[$about])*
        pub mod $domain {
            pub mod v1 {
                //! Generated from the `.proto` files of this package.
                include!(concat!(env!("OUT_DIR"), "/muster.", stringify!($domain), ".v1.rs"));
            }
        }
    };
}

package! {
    /// Options, reasons, and shapes that several domains share.
    aws
}
package! {
    /// What travels between services and a node's agent.
    agent
}
package! {
    /// The coordinator of rollouts. Internal.
    fanout
}
package! {
    /// Commands and their invocations.
    runcommand
}
package! {
    /// Documents and their versions.
    documents
}
package! {
    /// Nodes, activations, tags.
    fleet
}
package! {
    /// Associations.
    statemanager
}
package! {
    /// Maintenance windows.
    maintenancewindows
}
package! {
    /// Patch baselines, patch groups, patch states.
    patchmanager
}
package! {
    /// Runbook executions.
    automation
}
package! {
    /// Inventory and compliance.
    inventory
}
package! {
    /// Parameters.
    parameterstore
}
package! {
    /// Service settings.
    settings
}
package! {
    /// Users, groups, roles, policies, access keys, decisions, the audit log.
    access
}
