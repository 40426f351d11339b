//! Judging a value by a rule.
//!
//! Every function is one row of the specification. A path is put together only on the way back from a violation, so a
//! valid record allocates nothing here.

use serde_json::{Map, Value};
use unicode_segmentation::UnicodeSegmentation;

use super::schema::{Array, Blob, Boolean, Bytes, Definition, Integer, Object, Rule, Text, Union, full_name};
use super::{Lexicons, Violation, data};

type Judged = Result<(), Violation>;

fn refuse(rule: impl Into<String>) -> Judged {
    Err(Violation::new(rule))
}

impl Lexicons {
    /// Recursion is bounded by the depth of the value: a reference alone leads to a definition that is no reference.
    fn check(&self, rule: &Rule, value: &Value) -> Judged {
        match rule {
            Rule::Boolean(rule) => boolean(rule, value),
            Rule::Integer(rule) => integer(rule, value),
            Rule::String(rule) => text(rule, value),
            Rule::Bytes(rule) => bytes(rule, value),
            Rule::CidLink => data::link(value),
            Rule::Blob(rule) => blob(rule, value),
            Rule::Array(rule) => self.check_array(rule, value),
            Rule::Object(rule) => self.check_object(rule, value),
            Rule::Ref(rule) => self.check_named(&rule.r#ref, value),
            Rule::Union(rule) => self.check_union(rule, value),
            Rule::Unknown => plain_object(value).and_then(|_| data::check_value(value)),
        }
    }

    fn check_named(&self, name: &str, value: &Value) -> Judged {
        match self.definition(name) {
            Some(Definition::Data(rule)) => self.check(rule, value),
            Some(Definition::Record(object)) => self.check_object(object, value),
            Some(Definition::Token) if value == name => Ok(()),
            Some(Definition::Token) => refuse(format!("is not the token {name}")),
            Some(Definition::NoData) => refuse(format!("is held against {name}, which describes no data")),
            None => refuse(format!("is held against {name}, which no lexicon here defines")),
        }
    }

    pub(super) fn check_object(&self, rule: &Object, value: &Value) -> Judged {
        let map = plain_object(value)?;
        for field in &rule.required {
            if !map.contains_key(&**field) {
                return Err(Violation::new("is missing").in_field(field));
            }
        }
        for (field, property) in &rule.properties {
            match map.get(&**field) {
                None => {}
                Some(Value::Null) if rule.nullable.contains(field) => {}
                Some(value) => self.check(property, value).map_err(|violation| violation.in_field(field))?,
            }
        }
        Ok(())
    }

    fn check_array(&self, rule: &Array, value: &Value) -> Judged {
        let Some(items) = value.as_array() else { return refuse("is not an array") };
        length(items.len(), "elements", rule.min_length, rule.max_length)?;
        items
            .iter()
            .enumerate()
            .try_for_each(|(at, item)| self.check(&rule.items, item).map_err(|violation| violation.in_element(at)))
    }

    fn check_union(&self, rule: &Union, value: &Value) -> Judged {
        let Some(map) = value.as_object() else { return refuse("is not an object") };
        let Some(Value::String(named)) = map.get("$type") else {
            return Err(Violation::new("is missing, or no string").in_field("$type"));
        };
        let named = full_name("", named);
        if rule.refs.contains(&named) {
            self.check_named(&named, value)
        } else if rule.closed {
            Err(Violation::new("names nothing of this closed union").in_field("$type"))
        } else {
            data::check_value(value)
        }
    }
}

fn plain_object(value: &Value) -> Result<&Map<String, Value>, Violation> {
    value.as_object().filter(|map| data::is_plain(map)).ok_or_else(|| Violation::new("is not an object"))
}

fn boolean(rule: &Boolean, value: &Value) -> Judged {
    match (value.as_bool(), rule.r#const) {
        (None, _) => refuse("is not a boolean"),
        (Some(is), Some(only)) if is != only => refuse(format!("is {is}, and only {only} is allowed")),
        (Some(_), _) => Ok(()),
    }
}

fn integer(rule: &Integer, value: &Value) -> Judged {
    let is = data::integer(value)?;
    if let Some(minimum) = rule.minimum.filter(|&minimum| is < minimum) {
        return refuse(format!("is {is}, less than the minimum {minimum}"));
    }
    if let Some(maximum) = rule.maximum.filter(|&maximum| is > maximum) {
        return refuse(format!("is {is}, more than the maximum {maximum}"));
    }
    if let Some(only) = rule.r#const.filter(|&only| is != only) {
        return refuse(format!("is {is}, and only {only} is allowed"));
    }
    match &rule.r#enum {
        Some(values) if !values.contains(&is) => refuse(format!("is {is}, and not one of {values:?}")),
        _ => Ok(()),
    }
}

/// Bytes are counted before graphemes: that is cheap, and bounds the dear count.
fn text(rule: &Text, value: &Value) -> Judged {
    let Some(is) = value.as_str() else { return refuse("is not a string") };
    length(is.len(), "bytes", rule.min_length, rule.max_length)?;
    graphemes(is, rule)?;
    if let Some(values) = &rule.r#enum
        && !values.iter().any(|value| **value == *is)
    {
        return refuse(format!("is not one of {}", values.join(", ")));
    }
    if let Some(only) = rule.r#const.as_deref().filter(|&only| is != only) {
        return refuse(format!("is not {only}, and only that is allowed"));
    }
    match rule.format.map(|format| format.check(is)) {
        Some(Err(error)) => refuse(format!("is {error}")),
        _ => Ok(()),
    }
}

/// A grapheme has at least one byte, so most texts need no count.
fn graphemes(is: &str, rule: &Text) -> Judged {
    if let Some(minimum) = rule.min_graphemes.filter(|&minimum| minimum > 0)
        && is.graphemes(true).nth(minimum - 1).is_none()
    {
        return refuse(format!("has fewer graphemes than the minimum {minimum}"));
    }
    match rule.max_graphemes {
        Some(maximum) if is.len() > maximum && is.graphemes(true).nth(maximum).is_some() => {
            refuse(format!("has more graphemes than the maximum {maximum}"))
        }
        _ => Ok(()),
    }
}

fn bytes(rule: &Bytes, value: &Value) -> Judged {
    length(data::bytes(value)?, "bytes", rule.min_length, rule.max_length)
}

fn length(is: usize, unit: &str, minimum: Option<usize>, maximum: Option<usize>) -> Judged {
    if let Some(minimum) = minimum.filter(|&minimum| is < minimum) {
        return refuse(format!("has {is} {unit}, less than the minimum {minimum}"));
    }
    match maximum {
        Some(maximum) if is > maximum => refuse(format!("has {is} {unit}, more than the maximum {maximum}")),
        _ => Ok(()),
    }
}

fn blob(rule: &Blob, value: &Value) -> Judged {
    let blob = data::Blob::read(value)?;
    if let Some(maximum) = rule.max_size.filter(|&maximum| blob.size > maximum) {
        return refuse(format!("has {} bytes, more than the maximum {maximum}", blob.size));
    }
    match &rule.accept {
        Some(patterns) if !patterns.iter().any(|pattern| accepts(pattern, blob.mime_type)) => {
            refuse(format!("is not of the MIME types {}", patterns.join(", ")))
        }
        _ => Ok(()),
    }
}

fn accepts(pattern: &str, mime_type: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some("" | "*/") => true,
        Some(kind) => mime_type.starts_with(kind),
        None => pattern == mime_type,
    }
}
