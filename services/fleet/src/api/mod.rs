//! The operations: from the contract to the domain and back, one file each; those of tags,
//! of activations and of `ListNodes` are one file each.

mod activations;
mod concerns;
mod deregister_managed_instance;
mod describe_instance_information;
mod describe_instance_properties;
mod fleet;
mod get_connection_status;
mod list_nodes;
mod nodes;
mod register_node;
mod registrar;
mod resolve_targets;
mod revocations;
mod rotate_key;
mod tags;
mod tags_of;
mod view;

pub(crate) use fleet::FleetApi;
pub(crate) use nodes::NodesApi;
pub(crate) use registrar::RegistrarApi;
pub(crate) use tags::TagsApi;
pub(crate) use tags_of::TagsOf;
