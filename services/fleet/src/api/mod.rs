//! The operations: from the contract to the domain and back.

mod fleet;
mod nodes;
mod tags;

pub(crate) use fleet::FleetApi;
pub(crate) use nodes::NodesApi;
pub(crate) use tags::TagsApi;
