//! A JSON object, read as Go's `encoding/json` reads it into a struct.
//!
//! The engine's side is Go, and so was every plugin it was ever tried with: names match in any
//! case, an unknown field is nothing, a missing one and `null` are the zero value. Only a value of
//! the wrong type is an error.

use serde_json::{Map, Value};

use super::answer::Failure;

/// One object's fields.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// The object; none stands for one without fields.
    object: Option<&'a Map<String, Value>>,
    /// How the object is called in an error: empty, or a path that ends in a dot.
    path: &'static str,
}

impl<'a> Fields<'a> {
    /// Of a whole body: an object or `null`.
    pub(super) fn of_body(body: &'a Value) -> Result<Self, Failure> {
        match body {
            Value::Null => Ok(Fields { object: None, path: "" }),
            Value::Object(object) => Ok(Fields { object: Some(object), path: "" }),
            other => Err(wrong("", "the body", "an object", other)),
        }
    }

    /// A string; "" where there is none.
    pub(super) fn text(&self, name: &'static str) -> Result<&'a str, Failure> {
        match self.get(name) {
            None => Ok(""),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(wrong(self.path, name, "a string", other)),
        }
    }

    /// A boolean; false where there is none.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, Failure> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(wrong(self.path, name, "a boolean", other)),
        }
    }

    /// A map whose keys are data, and so count to the letter.
    pub(super) fn map(
        &self,
        name: &'static str,
    ) -> Result<Option<&'a Map<String, Value>>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(wrong(self.path, name, "an object", other)),
        }
    }

    /// An object within this one. `path` is its name in errors, with a dot at the end.
    pub(super) fn object(
        &self,
        name: &'static str,
        path: &'static str,
    ) -> Result<Fields<'a>, Failure> {
        Ok(Fields { object: self.map(name)?, path })
    }

    /// A list of objects, `null` among them as the empty one. `path` is as in [`Fields::object`].
    pub(super) fn objects(
        &self,
        name: &'static str,
        path: &'static str,
    ) -> Result<Vec<Fields<'a>>, Failure> {
        let list = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => list,
            Some(other) => return Err(wrong(self.path, name, "a list", other)),
        };
        list.iter()
            .map(|item| match item {
                Value::Null => Ok(Fields { object: None, path }),
                Value::Object(object) => Ok(Fields { object: Some(object), path }),
                other => Err(wrong(self.path, name, "a list of objects", other)),
            })
            .collect()
    }

    /// The field by its exact name, else in any case. `null` leaves the zero value, as in Go.
    fn get(&self, name: &str) -> Option<&'a Value> {
        let object = self.object?;
        let present = |value: &&Value| !value.is_null();
        object.get(name).filter(present).or_else(|| {
            object
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
                .find(present)
        })
    }
}

/// What kind of JSON value stands there, for errors.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn wrong(path: &str, name: &str, wanted: &str, seen: &Value) -> Failure {
    Failure::Malformed(format!("{path}{name} must be {wanted}, and is {}", kind(seen)))
}
