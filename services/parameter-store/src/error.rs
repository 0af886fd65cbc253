//! What this service refuses, and how its troubles become failures of a call.

use muster_proto::Word;
use muster_proto::aws::v1::Reason;
use muster_proto::parameterstore::v1::ParameterTier;
use muster_store::StoreError;
use muster_wire::{Failure, Refusal};

const ADVANCED: &str =
    "https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html";

/// A request that cannot be; the text is for the caller, and programs match on many of them (parameter-store 2 to 8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParameterError {
    #[error(
        "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of \
         sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following \
         3 symbols .-_"
    )]
    Name,
    #[error("Parameter name must be a fully qualified name.")]
    NotQualified,
    #[error("A hierarchy can have a maximum of {limit} levels. Use a name with fewer slashes.")]
    TooDeep { limit: usize },
    #[error("The parameter name is too long: with the ARN in front of it, it can have at most {limit} characters.")]
    NameTooLong { limit: usize },
    #[error("No access to reserved parameter name: {name}.")]
    ReservedName { name: String },
    #[error("No access to {arn}: it belongs to another partition, region or account.")]
    ForeignArn { arn: String },
    #[error(
        "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater \
         than or equal to 1"
    )]
    EmptyValue,
    #[error(
        "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length less \
         than or equal to {limit}"
    )]
    LongValue { limit: usize },
    #[error("Value at '{member}' holds a NUL character, which no text of a parameter may.")]
    Nul { member: &'static str },
    #[error("Parameter value can't refer to other parameters: {{{{ssm:…}}}} is resolved where a parameter is used.")]
    Reference,
    #[error(
        "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove \
         overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or \
         RemoveTagsFromResource."
    )]
    TagsAndOverwrite,
    #[error("The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")]
    AlreadyExists,
    #[error("A parameter type is required when you create a parameter.")]
    TypeRequired,
    #[error("The following data type is not supported: {given} (Data type names are all lowercase.)")]
    DataType { given: String },
    #[error("Parameter value doesn't fit the data type {word}.")]
    DataTypeMismatch { word: &'static str },
    #[error("The data type aws:ssm:integration is for parameters of type SecureString with names below {below}.")]
    Integration { below: &'static str },
    #[error(
        "{} tier parameters support a maximum parameter value of {limit} characters. To create a larger parameter \
         value, upgrade the parameter to use the advanced-parameter tier. For more information, see {ADVANCED}",
        tier.word()
    )]
    TooLarge { tier: ParameterTier, limit: usize },
    #[error(
        "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter \
         tier to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a \
         standard parameter."
    )]
    Downgrade,
    #[error("Parameter policies need the advanced-parameter tier: set Tier to Advanced or Intelligent-Tiering.")]
    PoliciesNeedAdvanced,
    #[error("The data types url, json and jsonc need the advanced-parameter tier: set Tier to Advanced.")]
    DataTypeNeedsAdvanced,
    #[error(
        "You have reached the maximum number of {} parameters for this AWS account and Region ({limit}). To add more \
         parameters, {}.",
        tier.word().to_lowercase(),
        match tier {
            ParameterTier::Advanced => "delete existing parameters",
            _ => "either delete existing parameters or upgrade to the advanced-parameter tier (charges apply)",
        }
    )]
    TooManyParameters { tier: ParameterTier, limit: i64 },
    #[error("{0}")]
    PolicyAttribute(String),
    #[error("There is no policy of type {given}: Expiration, ExpirationNotification and NoChangeNotification are.")]
    PolicyType { given: String },
    #[error("A parameter can have at most {limit} policies.")]
    TooManyPolicies { limit: usize },
    #[error("{0}")]
    IncompatiblePolicies(&'static str),
    #[error("The allowedPattern {pattern} can't be used: {why}.")]
    Pattern { pattern: String, why: String },
    #[error("Parameter value, cannot be validated against allowedPattern: {pattern}")]
    PatternMismatch { pattern: String },
    #[error("{0}")]
    KeyId(String),
    #[error(
        "You attempted to create a new version of {name} by calling the PutParameter API with the overwrite flag. \
         Version {oldest}, the oldest version, can't be deleted because it has a label associated with it. Move the \
         label to another version of the parameter, and try again."
    )]
    TooManyVersions { name: String, oldest: i64 },
    #[error("There are concurrent updates of the parameter {name}. Try again.")]
    TooManyUpdates { name: String },
    #[error("Parameter {name} not found.")]
    Missing { name: String },
    #[error("Systems Manager could not find version {version} of {name}. Verify the version and try again.")]
    MissingVersion { name: String, version: String },
    #[error("A version can have at most {limit} labels. Move some to another version, and try again.")]
    TooManyLabels { limit: usize },
    #[error("You can use either Filters or ParameterFilters in a single request.")]
    BothFilters,
    #[error("The following filter key is not valid: {given}. Valid filter keys include: {valid}.")]
    FilterKey { given: String, valid: &'static str },
    #[error(
        "The following filter is duplicated in the request: {key}. A request can contain only one occurrence of a \
         specific filter."
    )]
    DuplicateFilter { key: String },
    #[error("The following filter values are missing : null for filter key {key}")]
    FilterWithoutValues { key: String },
    #[error("The following filter option is not valid: {given}. Valid options include: {valid}.")]
    FilterOption { given: String, valid: &'static str },
    #[error("The following filter value is not valid: {given}. Valid values include: {valid}")]
    FilterValue { given: String, valid: String },
    #[error(
        "Filters for common parameters can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). When using global \
         parameters, please specify within a global namespace."
    )]
    ReservedPath,
    #[error(
        "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward \
         slash \"/\". It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only letters, \
         numbers, or the following symbols: . (period), - (hyphen), _ (underscore). Special characters are not \
         allowed. All sub-paths, if specified, must use the forward slash symbol \"/\". Valid example: \
         /get/parameters2-/by1./path0_."
    )]
    Path,
    #[error("WithDecryption flag must be True for retrieving a Secret Manager secret.")]
    ReferenceWithoutDecryption,
    #[error("The token is not one of this list: repeat the call without NextToken.")]
    NextToken,
    #[error("the tag key {key} is reserved: keys that begin with aws: are")]
    ReservedTagKey { key: String },
    #[error("a parameter can have {limit} tags")]
    TooManyTagsAtCreation { limit: usize },
    #[error("the parameter would have more than {limit} tags")]
    TooManyTags { limit: usize },
    #[error("the specified parameter does not exist: {id}")]
    MissingResource { id: String },
    #[error("this service keeps the tags of parameters only")]
    ResourceType,
    #[error(
        "there is no service setting {id}; there are /ssm/parameter-store/default-parameter-tier, \
         /ssm/parameter-store/high-throughput-enabled and /ssm/managed-instance/activation-tier"
    )]
    MissingSetting { id: String },
    #[error("The setting {id} takes one of {words}.")]
    SettingValue { id: &'static str, words: String },
}

impl ParameterError {
    /// The word that programs match on.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Name
            | Self::NotQualified
            | Self::NameTooLong { .. }
            | Self::EmptyValue
            | Self::LongValue { .. }
            | Self::Nul { .. }
            | Self::Reference
            | Self::TagsAndOverwrite
            | Self::TypeRequired
            | Self::DataType { .. }
            | Self::DataTypeMismatch { .. }
            | Self::Integration { .. }
            | Self::TooLarge { .. }
            | Self::Downgrade
            | Self::PoliciesNeedAdvanced
            | Self::DataTypeNeedsAdvanced
            | Self::BothFilters
            | Self::ReservedPath
            | Self::Path
            | Self::ReferenceWithoutDecryption
            | Self::ReservedTagKey { .. }
            | Self::SettingValue { .. }
            | Self::TooManyTagsAtCreation { .. } => Reason::ValidationException,
            Self::TooDeep { .. } => Reason::HierarchyLevelLimitExceededException,
            Self::ReservedName { .. } | Self::ForeignArn { .. } => Reason::AccessDeniedException,
            Self::AlreadyExists => Reason::ParameterAlreadyExists,
            Self::TooManyParameters { .. } => Reason::ParameterLimitExceeded,
            Self::PolicyAttribute(_) => Reason::InvalidPolicyAttributeException,
            Self::PolicyType { .. } => Reason::InvalidPolicyTypeException,
            Self::TooManyPolicies { .. } => Reason::PoliciesLimitExceededException,
            Self::IncompatiblePolicies(_) => Reason::IncompatiblePolicyException,
            Self::Pattern { .. } => Reason::InvalidAllowedPatternException,
            Self::PatternMismatch { .. } => Reason::ParameterPatternMismatchException,
            Self::KeyId(_) => Reason::InvalidKeyId,
            Self::TooManyVersions { .. } => Reason::ParameterMaxVersionLimitExceeded,
            Self::TooManyUpdates { .. } => Reason::TooManyUpdates,
            Self::Missing { .. } => Reason::ParameterNotFound,
            Self::MissingVersion { .. } => Reason::ParameterVersionNotFound,
            Self::TooManyLabels { .. } => Reason::ParameterVersionLabelLimitExceeded,
            Self::FilterKey { .. } | Self::DuplicateFilter { .. } => Reason::InvalidFilterKey,
            Self::FilterWithoutValues { .. } | Self::FilterValue { .. } => Reason::InvalidFilterValue,
            Self::FilterOption { .. } => Reason::InvalidFilterOption,
            Self::NextToken => Reason::InvalidNextToken,
            Self::TooManyTags { .. } => Reason::TooManyTagsError,
            Self::MissingResource { .. } => Reason::InvalidResourceId,
            Self::ResourceType => Reason::InvalidResourceType,
            Self::MissingSetting { .. } => Reason::ServiceSettingNotFound,
        }
    }
}

impl From<ParameterError> for Failure {
    fn from(error: ParameterError) -> Self {
        Refusal::new(error.reason(), error.to_string()).into()
    }
}

/// A store that does not answer can be tried again; everything else is our fault.
pub(crate) fn from_store(error: StoreError) -> Failure {
    match error {
        StoreError::Unavailable(cause) => {
            tracing::warn!(error = &cause as &dyn std::error::Error, "the database does not answer");
            Failure::Unavailable {
                what: "the database of the parameter store".to_owned(),
            }
        }
        other => Failure::internal(other),
    }
}
