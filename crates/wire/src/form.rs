//! In which form a message is written on the bus.

use async_nats::HeaderMap;
use bytes::Bytes;
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, MethodDescriptor, SerializeOptions};
use tonic::Status;

use crate::{Failure, Refusal, aws_json, limits};

/// How a message is written on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Protobuf,
    /// Protobuf's own JSON, with AWS's member names.
    Json,
    /// AWS JSON 1.1.
    AwsJson,
}

impl Form {
    pub(crate) fn of(headers: Option<&HeaderMap>) -> Result<Self, Status> {
        let Some(value) = headers.and_then(|headers| headers.get("Content-Type")) else {
            return Ok(Self::Protobuf);
        };
        let essence = value.as_str().split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "" | "application/protobuf" | "application/x-protobuf" => Ok(Self::Protobuf),
            "application/json" => Ok(Self::Json),
            "application/x-amz-json-1.1" => Ok(Self::AwsJson),
            other => Err(Refusal::new(
                crate::Reason::SerializationException,
                format!("content type {other} is not one of application/protobuf, application/json, application/x-amz-json-1.1"),
            )
            .into()),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/protobuf",
            Self::Json => "application/json",
            Self::AwsJson => "application/x-amz-json-1.1",
        }
    }

    pub(crate) fn read(self, payload: &Bytes, method: &MethodDescriptor) -> Result<Bytes, Status> {
        match self {
            Self::Protobuf => Ok(payload.clone()),
            Self::Json => {
                let text: &[u8] = if payload.is_empty() { b"{}" } else { payload };
                let mut json = serde_json::Deserializer::from_slice(text);
                let options = DeserializeOptions::new().deny_unknown_fields(false);
                let message = DynamicMessage::deserialize_with_options(method.input(), &mut json, &options)
                    .and_then(|message| json.end().map(|()| message))
                    .map_err(|error| Refusal::new(crate::Reason::SerializationException, error.to_string()))?;
                Ok(message.encode_to_vec().into())
            }
            Self::AwsJson => {
                let decoded = aws_json::decode(payload, method.input()).map_err(Refusal::from)?;
                if !decoded.violations.is_empty() {
                    let mut violations = decoded.violations;
                    violations.extend(limits::check(&decoded.message));
                    return Err(limits::refuse(&violations).into());
                }
                Ok(decoded.message.encode_to_vec().into())
            }
        }
    }

    pub(crate) fn write(self, message: Bytes, method: &MethodDescriptor) -> Result<(Bytes, HeaderMap), Status> {
        let mut headers = HeaderMap::new();
        if self == Self::Protobuf {
            return Ok((message, headers));
        }
        headers.insert("Content-Type", self.content_type());
        let message =
            DynamicMessage::decode(method.output(), message).map_err(|error| Status::from(Failure::internal(error)))?;
        let json = if self == Self::Json {
            let mut json = serde_json::Serializer::new(Vec::new());
            message
                .serialize_with_options(&mut json, &SerializeOptions::new())
                .map_err(|error| Status::from(Failure::internal(error)))?;
            json.into_inner()
        } else {
            aws_json::encode(&message)
        };
        Ok((json.into(), headers))
    }
}
