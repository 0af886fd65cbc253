//! Reading parameter definitions (documents.md 3).

use serde_json::{Map, Value};

use super::given::{is_deferred, light_format};
use super::pattern::BIG_PATTERNS;
use super::{Bounds, Parameter, ParameterType, Pattern};
use crate::finding::{Pointer, Report};
use crate::schema::Schema;

const ATTRIBUTES: &[&str] = &[
    "type",
    "description",
    "displayType",
    "default",
    "allowedValues",
    "allowedPattern",
    "minItems",
    "maxItems",
    "minChars",
    "maxChars",
    "interpolationType",
];

/// Reads the `parameters` of a document, in its order; findings go to `report`.
pub(crate) fn read_parameters(value: &Value, schema: Schema, at: &Pointer, report: &mut Report) -> Vec<Parameter> {
    let Value::Object(map) = value else {
        report.error(at, "parameters must be a map");
        return Vec::new();
    };
    let mut big_patterns = BIG_PATTERNS;
    map.iter()
        .filter_map(|(name, definition)| read(name, definition, schema, &at.key(name), &mut big_patterns, report))
        .collect()
}

fn read(
    name: &str,
    definition: &Value,
    schema: Schema,
    at: &Pointer,
    big_patterns: &mut usize,
    report: &mut Report,
) -> Option<Parameter> {
    let underscore = schema == Schema::V0_3;
    if name.is_empty()
        || !name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || (underscore && c == '_'))
    {
        let more = if underscore { ", digits and _" } else { " and digits" };
        report.error(at, format!("a parameter's name has letters{more} only"));
    }
    let Value::Object(map) = definition else {
        report.error(at, "a parameter's definition must be a map");
        return None;
    };
    for key in map.keys().filter(|key| !ATTRIBUTES.contains(&key.as_str())) {
        report.warn(&at.key(key), "unknown attribute");
    }
    let mut reader = Reader { map, at, report };
    let kind = reader.kind(schema)?;
    let description = reader.text("description").map(str::to_owned);
    if let Some(display) = reader.text("displayType")
        && !matches!(display, "textfield" | "textarea")
    {
        reader
            .report
            .warn(&at.key("displayType"), "a display type is textfield or textarea");
    }
    let allowed_pattern = reader.pattern(&kind, big_patterns);
    let allowed_values = reader.allowed_values(&kind);
    let items = reader.bounds("minItems", "maxItems", kind.is_list());
    let chars = reader.bounds("minChars", "maxChars", kind.is_textual());
    let is_variable = reader.is_variable(&kind, schema);
    let default = reader.default(&kind);
    let name = name.to_owned();
    let parameter = Parameter {
        name,
        kind,
        description,
        default,
        allowed_values,
        allowed_pattern,
        items,
        chars,
        is_variable,
    };
    check_default(&parameter, schema, at, report);
    Some(parameter)
}

struct Reader<'a> {
    map: &'a Map<String, Value>,
    at: &'a Pointer,
    report: &'a mut Report,
}

impl<'a> Reader<'a> {
    fn text(&mut self, attribute: &str) -> Option<&'a str> {
        match self.map.get(attribute)? {
            Value::String(text) => Some(text),
            _ => {
                self.report
                    .error(&self.at.key(attribute), format!("{attribute} must be a text"));
                None
            }
        }
    }

    fn kind(&mut self, schema: Schema) -> Option<ParameterType> {
        if !self.map.contains_key("type") {
            self.report.error(self.at, "the parameter has no type");
            return None;
        }
        let word = self.text("type")?;
        let at = self.at.key("type");
        let Some(kind) = ParameterType::from_word(word) else {
            self.report.error(&at, "unknown parameter type");
            return None;
        };
        if !is_allowed(&kind, schema) {
            self.report
                .error(&at, format!("schema {schema} has no parameters of type {kind}"));
        }
        Some(kind)
    }

    fn pattern(&mut self, kind: &ParameterType, big_patterns: &mut usize) -> Option<Pattern> {
        let source = self.text("allowedPattern")?;
        let at = self.at.key("allowedPattern");
        if !kind.is_textual() {
            self.report.warn(&at, format!("has no effect on a {kind}"));
        }
        let mut pattern = Pattern::new(source, kind);
        if pattern.is_err() && *big_patterns > 0 {
            *big_patterns -= 1;
            pattern = Pattern::big(source);
        }
        match pattern {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.report.error(&at, error.to_string());
                None
            }
        }
    }

    fn allowed_values(&mut self, kind: &ParameterType) -> Option<Vec<Value>> {
        let at = self.at.key("allowedValues");
        let list = match self.map.get("allowedValues")? {
            Value::Array(list) => list,
            _ => {
                self.report.error(&at, "allowedValues must be a list");
                return None;
            }
        };
        let element = match kind {
            ParameterType::StringList | ParameterType::AwsList(_) => &ParameterType::String,
            ParameterType::MapList => &ParameterType::StringMap,
            other => other,
        };
        let mut values = Vec::with_capacity(list.len());
        for (position, written) in list.iter().enumerate() {
            match (typed(written, element), written) {
                (Some(value), _) => values.push(value),
                // YAML authors forget quotes: the meaning is plain enough.
                (None, Value::Bool(_) | Value::Number(_)) if element.is_textual() => {
                    self.report
                        .warn(&at.index(position), "is not a text; it is compared by its text");
                    values.push(Value::String(written.to_string()));
                }
                (None, _) => self
                    .report
                    .error(&at.index(position), format!("is not of type {element}")),
            }
        }
        Some(values)
    }

    fn bounds(&mut self, min: &str, max: &str, applies: bool) -> Bounds {
        let bounds = Bounds {
            min: self.bound(min, applies),
            max: self.bound(max, applies),
        };
        if let (Some(least), Some(most)) = (bounds.min, bounds.max)
            && least > most
        {
            self.report.error(self.at, format!("{min} is greater than {max}"));
        }
        bounds
    }

    fn bound(&mut self, attribute: &str, applies: bool) -> Option<u64> {
        let value = self.map.get(attribute)?;
        let at = self.at.key(attribute);
        if !applies {
            self.report.warn(&at, "has no effect on a parameter of this type");
        }
        let number = match value {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.report
                .error(&at, format!("{attribute} must be a whole number, 0 or more"));
        }
        number
    }

    fn is_variable(&mut self, kind: &ParameterType, schema: Schema) -> bool {
        let Some(word) = self.text("interpolationType") else {
            return false;
        };
        let at = self.at.key("interpolationType");
        if word != "ENV_VAR" {
            self.report.error(&at, "interpolationType must be ENV_VAR");
        } else if *kind != ParameterType::String {
            self.report.error(&at, "ENV_VAR is for parameters of type String");
        } else if schema != Schema::V2_2 {
            self.report.error(&at, "ENV_VAR needs schemaVersion 2.2");
        }
        true
    }

    fn default(&mut self, kind: &ParameterType) -> Option<(Value, Value)> {
        let written = self.map.get("default")?;
        match typed(written, kind) {
            Some(value) => Some((written.clone(), value)),
            None => {
                self.report
                    .error(&self.at.key("default"), format!("the default is not of type {kind}"));
                // Not required: one finding for one mistake.
                Some((written.clone(), written.clone()))
            }
        }
    }
}

/// Which types a schema's parameters may have.
fn is_allowed(kind: &ParameterType, schema: Schema) -> bool {
    match kind {
        ParameterType::String | ParameterType::StringList => true,
        ParameterType::Boolean => schema != Schema::V1_2,
        ParameterType::Integer | ParameterType::StringMap | ParameterType::MapList => {
            matches!(schema, Schema::V2_0 | Schema::V2_2 | Schema::V0_3)
        }
        ParameterType::Aws(_) | ParameterType::AwsList(_) => schema == Schema::V0_3,
    }
}

/// A value as written in a document, as a value of a type.
fn typed(written: &Value, kind: &ParameterType) -> Option<Value> {
    let all = |list: &[Value], fits: fn(&Value) -> bool| list.iter().all(fits);
    match (kind, written) {
        (ParameterType::String | ParameterType::Aws(_), Value::String(_)) => Some(written.clone()),
        (ParameterType::StringList | ParameterType::AwsList(_), Value::Array(list)) => {
            all(list, Value::is_string).then(|| written.clone())
        }
        (ParameterType::StringList | ParameterType::AwsList(_), Value::String(text)) => {
            // The parameter store holds the list; what it is, the node learns when it runs.
            if is_deferred(text) {
                return Some(Value::from(vec![text.as_str()]));
            }
            serde_json::from_str::<Vec<String>>(text).ok().map(Value::from)
        }
        (ParameterType::Boolean, Value::Bool(_)) => Some(written.clone()),
        (ParameterType::Boolean, Value::String(text)) => super::given::boolean(text).map(Value::Bool),
        (ParameterType::Integer, Value::Number(number)) => number.as_i64().map(Value::from),
        (ParameterType::Integer, Value::String(text)) => super::given::integer(text).map(Value::from),
        (ParameterType::StringMap, Value::Object(_)) => Some(written.clone()),
        (ParameterType::StringMap, Value::String(text)) => {
            serde_json::from_str::<Map<String, Value>>(text).ok().map(Value::Object)
        }
        (ParameterType::MapList, Value::String(text)) => serde_json::from_str::<Vec<Map<String, Value>>>(text)
            .ok()
            .map(|list| list.into_iter().map(Value::Object).collect()),
        (ParameterType::MapList, Value::Array(list)) => all(list, Value::is_object).then(|| written.clone()),
        _ => None,
    }
}

/// Holds a default to its own parameter's rules.
fn check_default(parameter: &Parameter, schema: Schema, at: &Pointer, report: &mut Report) {
    let Some(value) = parameter.default_value() else { return };
    let at = at.key("default");
    let elements = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    for element in elements {
        // What a runbook's default refers to is known when its execution starts.
        let is_open = |text: &str| is_deferred(text) || (schema == Schema::V0_3 && text.contains("{{"));
        if element.as_str().is_some_and(is_open) {
            continue;
        }
        if let Some(allowed) = &parameter.allowed_values
            && !allowed.contains(element)
        {
            report.error(&at, "the default is not among allowedValues");
        }
        let Some(text) = element.as_str() else { continue };
        match parameter.allowed_pattern.as_ref().map(|pattern| pattern.find(text)) {
            Some(Ok(false)) => report.error(&at, "the default does not match allowedPattern"),
            Some(Err(error)) => report.error(&at, error.to_string()),
            Some(Ok(true)) | None => {}
        }
        if !parameter.chars.admits(text.chars().count()) {
            report.warn(&at, "the default is outside minChars and maxChars");
        }
        if !light_format(&parameter.kind, text) {
            report.warn(&at, format!("the default does not look like a {}", parameter.kind));
        }
    }
    if parameter.kind.is_list() && !parameter.items.admits(elements.len()) {
        report.warn(&at, "the default is outside minItems and maxItems");
    }
}
