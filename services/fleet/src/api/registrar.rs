//! `Registrar`: registration by activation for callers that come over an API surface.

use std::sync::Arc;

use muster_proto::fleet::v1::registrar_server::Registrar;
use muster_proto::fleet::v1::{RegisterManagedInstanceRequest, RegisterManagedInstanceResult};
use muster_wire::Caller;
use tonic::{Request, Response, Status};

use crate::work::desk::Desk;

/// The desk on the API surfaces.
#[derive(Debug)]
pub(crate) struct RegistrarApi(Arc<Desk>);

impl RegistrarApi {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self(desk)
    }
}

#[tonic::async_trait]
impl Registrar for RegistrarApi {
    async fn register_managed_instance(
        &self,
        request: Request<RegisterManagedInstanceRequest>,
    ) -> Result<Response<RegisterManagedInstanceResult>, Status> {
        let source = Caller::of(&request)?.source_ip;
        let source = source.map(|address| address.to_string()).unwrap_or_default();
        Ok(Response::new(self.0.register(request.into_inner(), &source).await?))
    }
}
