//! `UpdateDocumentMetadata` and `ListDocumentMetadataHistory` (documents 8).

use muster_proto::documents::v1::{
    DocumentDescription, DocumentMetadataResponseInfo, DocumentReviewAction, DocumentReviewCommentSource,
    DocumentReviewCommentType, DocumentReviewerResponseSource, ListDocumentMetadataHistoryRequest,
    ListDocumentMetadataHistoryResponse, ReviewInformation, UpdateDocumentMetadataRequest,
    UpdateDocumentMetadataResponse,
};
use muster_store::StoreError;
use muster_wire::{Failure, Principal};

use super::{DocumentsApi, settle, view};
use crate::domain::name;
use crate::domain::review::{Action, Standing};
use crate::domain::version::Selector;
use crate::error::{DocumentError, from_store};
use crate::store::review::{self, Move, StepRow};
use crate::store::{read, row::VersionRow};

/// Steps of a page when the caller does not say.
const DEFAULT_PAGE: i32 = 50;

impl DocumentsApi {
    pub(super) async fn update_metadata(
        &self,
        request: UpdateDocumentMetadataRequest,
    ) -> Result<UpdateDocumentMetadataResponse, Failure> {
        let given = request.name.unwrap_or_default();
        let asked = name::asked(&given, &self.account)?;
        let selector = Selector::new(request.document_version.as_deref(), None);
        let reviews = request.document_reviews.unwrap_or_default();
        let action = match reviews.action() {
            DocumentReviewAction::SendForReview => Action::SendForReview,
            DocumentReviewAction::UpdateReview => Action::UpdateReview,
            DocumentReviewAction::Approve => Action::Approve,
            DocumentReviewAction::Reject => Action::Reject,
            DocumentReviewAction::Unset => {
                let message = "Action is SendForReview, UpdateReview, Approve or Reject";
                return Err(DocumentError::Filter(message.to_owned()).into());
            }
        };
        let step = Move {
            action,
            comment: reviews.comment.into_iter().find_map(|comment| comment.content),
            // Callers are not told apart here: it is somebody of the account.
            reviewer: self.account.to_string(),
            at: self.now().as_microsecond(),
        };
        let version = settle(review::advance(&self.db, asked, &selector, &step).await)?;
        self.news.tell("reviewed", asked, Some(version), self.now()).await;
        Ok(UpdateDocumentMetadataResponse {})
    }

    pub(super) async fn metadata_history(
        &self,
        request: ListDocumentMetadataHistoryRequest,
        asker: &Principal,
    ) -> Result<ListDocumentMetadataHistoryResponse, Failure> {
        let given = request.name.unwrap_or_default();
        let asked = name::asked(&given, &self.account)?;
        let selector = Selector::new(request.document_version.as_deref(), None);
        let pointer = settle(read::pointer(&self.db, asked, &selector).await)?;
        let question = format!(
            "{asker} ListDocumentMetadataHistory {} {}",
            pointer.document_id, pointer.version
        );
        let below = match self.position(&question, request.next_token.as_deref())? {
            None => i64::MAX,
            Some(position) => position.parse().map_err(|_| DocumentError::NextToken)?,
        };
        let size = request.max_results.unwrap_or(DEFAULT_PAGE);
        let mut steps = review::steps(&self.db, &pointer, below, i64::from(size) + 1)
            .await
            .map_err(from_store)?;
        let next_token = self.cut(&question, &mut steps, size, |last| last.number.to_string());
        let responses = steps.iter().map(response).collect::<Result<_, _>>();
        Ok(ListDocumentMetadataHistoryResponse {
            name: Some(asked.to_owned()),
            document_version: Some(pointer.version.to_string()),
            author: None,
            metadata: Some(DocumentMetadataResponseInfo {
                reviewer_response: responses.map_err(from_store)?,
            }),
            next_token,
        })
    }

    /// Adds where the reviews of the document stand to what is shown of one of its versions.
    pub(super) async fn add_reviews(
        &self,
        row: &VersionRow,
        description: &mut DocumentDescription,
    ) -> Result<(), Failure> {
        let steps = review::standings(&self.db, &row.document_id)
            .await
            .map_err(from_store)?;
        for step in &steps {
            let standing = step.standing().map_err(from_store)?;
            match standing {
                // The highest one, as the steps come by version.
                Standing::Approved => description.approved_version = Some(step.version.to_string()),
                Standing::Pending => description.pending_review_version = Some(step.version.to_string()),
                Standing::Rejected => {}
            }
            if step.version == row.version {
                description.set_review_status(view::review_status(standing));
                description.review_information = vec![ReviewInformation {
                    reviewed_time: Some(view::time(step.updated_at)),
                    status: Some(view::review_status(standing).into()),
                    reviewer: Some(step.reviewer.clone()),
                }];
            }
        }
        Ok(())
    }
}

fn response(step: &StepRow) -> Result<DocumentReviewerResponseSource, StoreError> {
    let comment = step.comment.iter().map(|text| DocumentReviewCommentSource {
        r#type: Some(DocumentReviewCommentType::Comment.into()),
        content: Some(text.clone()),
    });
    Ok(DocumentReviewerResponseSource {
        create_time: Some(view::time(step.created_at)),
        updated_time: Some(view::time(step.updated_at)),
        review_status: Some(view::review_status(step.standing()?).into()),
        comment: comment.collect(),
        reviewer: Some(step.reviewer.clone()),
    })
}
