//! One POST to a webhook.

use http::Uri;

use crate::work::web::{self, WebError};

/// Sends a payload; anything but a status of 2xx is a failure, and nothing more of an answer is read.
pub(crate) async fn post(address: &Uri, id: &str, payload: String) -> Result<(), WebError> {
    let request = http::Request::builder()
        .method(http::Method::POST)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header("Muster-Notification-Id", id);
    web::ask(address, request, payload, 0).await?;
    Ok(())
}
