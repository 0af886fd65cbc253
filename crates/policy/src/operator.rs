//! The operators of conditions: `StringEquals`, `ForAnyValue:StringLike`, `NumericLessThanIfExists`, `Null`.

use crate::key::Kind;

/// What is compared, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    StringEquals,
    StringEqualsIgnoreCase,
    StringLike,
    Arn,
    Numeric(Order),
    Date(Order),
    Bool,
    IpAddress,
    Null,
}

/// How the value of the request stands to that of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Over a key's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantifier {
    Any,
    All,
}

/// An operator with all that its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operator {
    pub(crate) comparison: Comparison,
    /// `Not…`: no value of the policy may fit.
    pub(crate) negated: bool,
    /// `…IfExists`: holds where the key has no value.
    pub(crate) if_exists: bool,
    pub(crate) quantifier: Option<Quantifier>,
}

impl Operator {
    /// Reads the name of an operator; case counts.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (quantifier, rest) = match name.split_once(':') {
            Some(("ForAnyValue", rest)) => (Some(Quantifier::Any), rest),
            Some(("ForAllValues", rest)) => (Some(Quantifier::All), rest),
            Some(_) => return None,
            None => (None, name),
        };
        let (base, if_exists) = match rest.strip_suffix("IfExists") {
            Some(base) => (base, true),
            None => (rest, false),
        };
        let (comparison, negated) = comparison(base)?;
        // Whether a key is there is all that `Null` asks.
        if comparison == Comparison::Null && (if_exists || quantifier.is_some()) {
            return None;
        }
        Some(Self {
            comparison,
            negated,
            if_exists,
            quantifier,
        })
    }

    /// Whether it makes sense for keys of that kind; otherwise what would.
    pub(crate) fn fits(self, kind: Kind) -> Result<(), &'static str> {
        use Comparison as C;
        let is_string = matches!(
            self.comparison,
            C::StringEquals | C::StringEqualsIgnoreCase | C::StringLike
        );
        if self.comparison == C::Null {
            return Ok(());
        }
        match (kind, self.quantifier) {
            (Kind::Texts, None) => {
                return Err("has many values and wants ForAnyValue: or ForAllValues: before the operator");
            }
            (Kind::Texts, Some(_)) => {}
            (_, Some(_)) => return Err("has one value and wants no ForAnyValue: or ForAllValues: before the operator"),
            (_, None) => {}
        }
        let (fits, wanted) = match kind {
            Kind::Text => (
                is_string || matches!(self.comparison, C::Numeric(_) | C::Date(_) | C::Bool),
                "is a text and wants a String operator, or Numeric, Date or Bool",
            ),
            Kind::Texts => (is_string, "is a list of texts and wants a String operator"),
            Kind::Flag => (
                is_string || self.comparison == C::Bool,
                "is true or false and wants Bool or a String operator",
            ),
            Kind::Arn => (
                is_string || self.comparison == C::Arn,
                "is an ARN and wants an Arn or a String operator",
            ),
            Kind::Ip => (
                self.comparison == C::IpAddress,
                "is an address and wants IpAddress or NotIpAddress",
            ),
            Kind::Time => (
                matches!(self.comparison, C::Date(_)),
                "is a time and wants a Date operator",
            ),
        };
        if fits { Ok(()) } else { Err(wanted) }
    }
}

fn comparison(base: &str) -> Option<(Comparison, bool)> {
    use Comparison as C;
    Some(match base {
        "StringEquals" => (C::StringEquals, false),
        "StringNotEquals" => (C::StringEquals, true),
        "StringEqualsIgnoreCase" => (C::StringEqualsIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (C::StringEqualsIgnoreCase, true),
        "StringLike" => (C::StringLike, false),
        "StringNotLike" => (C::StringLike, true),
        // Both take globs, as in IAM.
        "ArnEquals" | "ArnLike" => (C::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (C::Arn, true),
        "Bool" => (C::Bool, false),
        "IpAddress" => (C::IpAddress, false),
        "NotIpAddress" => (C::IpAddress, true),
        "Null" => (C::Null, false),
        _ => {
            let (of, name): (fn(Order) -> C, _) = match base.strip_prefix("Numeric") {
                Some(name) => (C::Numeric, name),
                None => (C::Date, base.strip_prefix("Date")?),
            };
            let (order, negated) = match name {
                "Equals" => (Order::Equal, false),
                "NotEquals" => (Order::Equal, true),
                "LessThan" => (Order::Less, false),
                "LessThanEquals" => (Order::LessOrEqual, false),
                "GreaterThan" => (Order::Greater, false),
                "GreaterThanEquals" => (Order::GreaterOrEqual, false),
                _ => return None,
            };
            (of(order), negated)
        }
    })
}

impl Order {
    /// Whether the value of the request stands to that of the policy as it says.
    pub(crate) fn holds<T: PartialOrd>(self, request: &T, policy: &T) -> bool {
        match self {
            Self::Equal => request == policy,
            Self::Less => request < policy,
            Self::LessOrEqual => request <= policy,
            Self::Greater => request > policy,
            Self::GreaterOrEqual => request >= policy,
        }
    }
}
