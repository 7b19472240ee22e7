//! `json_agg`, `jsonb_agg`, `json_object_agg`, `jsonb_object_agg`.
//!
//! An accumulator does not know the session's settings, so the binder makes JSON of the arguments before.

use super::Accumulator;
use crate::json::{Json, MAX_DEPTH, to_json, too_deep, write_json_value, write_quoted};
use crate::{EvalContext, SqlState, Value, ValueError};

/// Collects arguments that are `json` or `jsonb` already.
#[derive(Clone, Default)]
pub(super) struct JsonAgg {
    is_tree: bool,
    has_keys: bool,
    text: Vec<u8>,
    items: Vec<(Box<str>, Json)>,
    heap_bytes: usize,
    is_begun: bool,
}

impl JsonAgg {
    /// `jsonb` rather than `json`; an object rather than an array.
    pub(super) fn new(is_tree: bool, has_keys: bool) -> Self {
        Self { is_tree, has_keys, ..Self::default() }
    }

    fn key(&self, value: &Value) -> Result<String, ValueError> {
        match value {
            Value::Text(text) => Ok(text.to_string()),
            Value::Null => {
                let message = "field name must not be null";
                Err(ValueError::new(SqlState::InvalidParameterValue, message))
            }
            other => Err(crate::function::mistyped(other)),
        }
    }
}

impl Accumulator for JsonAgg {
    fn update(&mut self, args: &[Value]) -> Result<(), ValueError> {
        let ctx = EvalContext::default();
        let value = &args[usize::from(self.has_keys)];
        let key = if self.has_keys { Some(self.key(&args[0])?) } else { None };
        let is_first = !std::mem::replace(&mut self.is_begun, true);
        if self.is_tree {
            let json = to_json(value, &ctx)?;
            let key: Box<str> = key.unwrap_or_default().into();
            self.heap_bytes += key.len() + json.heap_bytes();
            self.items.push((key, json));
            return Ok(());
        }
        if !is_first {
            self.text.extend(b", ");
        }
        if let Some(key) = key {
            write_quoted(&key, &mut self.text);
            self.text.extend(b" : ");
        }
        write_json_value(value, &ctx, &mut self.text);
        if self.text.len() > 0x3fff_ffff {
            let message = "out of memory";
            return Err(ValueError::new(SqlState::ProgramLimitExceeded, message));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Value, ValueError> {
        if !self.is_begun {
            return Ok(Value::Null);
        }
        if self.is_tree {
            let items = std::mem::take(&mut self.items);
            let json = if self.has_keys {
                Json::object(items)
            } else {
                Json::Array(items.into_iter().map(|(_, json)| json).collect())
            };
            return if json.depth() > MAX_DEPTH { Err(too_deep()) } else { Ok(Value::jsonb(json)) };
        }
        let text = String::from_utf8_lossy(&std::mem::take(&mut self.text)).into_owned();
        Ok(Value::Json(
            if self.has_keys { format!("{{ {text} }}") } else { format!("[{text}]") }.into(),
        ))
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.heap_bytes
    }
}
