//! `ModifyDocumentPermission` and `DescribeDocumentPermission` (documents 8).

use muster_proto::documents::v1::{
    AccountSharingInfo, DescribeDocumentPermissionRequest, DescribeDocumentPermissionResponse, DocumentPermissionType,
    ModifyDocumentPermissionRequest, ModifyDocumentPermissionResponse,
};
use muster_wire::{Failure, Principal};

use super::{DocumentsApi, settle};
use crate::domain::share::Change;
use crate::domain::version::Selector;
use crate::error::{DocumentError, from_store};
use crate::store::{read, write};

/// Accounts on a page.
const PAGE: i32 = 20;

impl DocumentsApi {
    pub(super) async fn modify_permission(
        &self,
        request: ModifyDocumentPermissionRequest,
    ) -> Result<ModifyDocumentPermissionResponse, Failure> {
        require_share(request.permission_type())?;
        let name = request.name.unwrap_or_default();
        let change = Change::new(request.account_ids_to_add, request.account_ids_to_remove);
        let version = request.shared_document_version.unwrap_or_else(|| "$DEFAULT".to_owned());
        settle(write::share(&self.db, &name, &change, &version, self.quotas()).await)?;
        self.news.tell("shared", &name, None, self.now()).await;
        Ok(ModifyDocumentPermissionResponse {})
    }

    pub(super) async fn describe_permission(
        &self,
        request: DescribeDocumentPermissionRequest,
        asker: &Principal,
    ) -> Result<DescribeDocumentPermissionResponse, Failure> {
        require_share(request.permission_type())?;
        let name = request.name.unwrap_or_default();
        let row = self.find(&name, &Selector::new(None, None)).await?;
        if row.built_in {
            return Err(DocumentError::BuiltIn { name }.into());
        }
        let question = format!("{asker} DescribeDocumentPermission {}", row.document_id);
        let after = self
            .position(&question, request.next_token.as_deref())?
            .unwrap_or_default();
        let shares = read::shares(&self.db, &row.document_id).await.map_err(from_store)?;
        let mut page: Vec<_> = shares.into_iter().filter(|(account, _)| *account > after).collect();
        let size = request.max_results.unwrap_or(PAGE).min(PAGE);
        let next_token = self.cut(&question, &mut page, size, |(account, _)| account.clone());
        Ok(DescribeDocumentPermissionResponse {
            account_ids: page.iter().map(|(account, _)| account.clone()).collect(),
            account_sharing_info_list: page
                .into_iter()
                .map(|(account, version)| AccountSharingInfo {
                    account_id: Some(account),
                    shared_document_version: Some(version),
                })
                .collect(),
            next_token,
        })
    }
}

fn require_share(kind: DocumentPermissionType) -> Result<(), DocumentError> {
    match kind {
        DocumentPermissionType::Share => Ok(()),
        DocumentPermissionType::Unset => Err(DocumentError::PermissionType),
    }
}
