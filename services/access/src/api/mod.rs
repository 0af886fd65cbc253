//! The operations: from the contract to the domain and back.

mod access;
mod access_keys;
mod attachments;
mod audit;
mod decisions;
mod groups;
mod pages;
mod policies;
mod roles;
mod sessions;
mod test_policy;
mod users;
mod view;

pub(crate) use access::AccessApi;
pub(crate) use audit::AuditApi;
pub(crate) use decisions::DecisionsApi;
pub(crate) use pages::Pages;
