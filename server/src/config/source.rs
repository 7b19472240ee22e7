//! Where values come from: TOML, and the names of environment variables.

use super::ConfigError;

/// The environment variable of a setting: `storage.engine` is `DRIFTDB_STORAGE_ENGINE`.
pub fn variable_name(key: &str) -> String {
    format!("DRIFTDB_{}", key.to_uppercase().replace('.', "_"))
}

/// The dotted keys of a TOML text with their values as text.
///
/// # Errors
/// Not TOML; a list.
pub fn flatten_toml(text: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let table: toml::Table =
        text.parse().map_err(|error| ConfigError(format!("the file is not TOML: {error}")))?;
    let mut out = Vec::new();
    flatten("", &table, &mut out)?;
    Ok(out)
}

fn flatten(
    prefix: &str,
    table: &toml::Table,
    out: &mut Vec<(String, String)>,
) -> Result<(), ConfigError> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let text = match value {
            toml::Value::Table(inner) => {
                flatten(&key, inner, out)?;
                continue;
            }
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            toml::Value::Datetime(time) => time.to_string(),
            toml::Value::Array(_) => {
                return Err(ConfigError(format!("{key} cannot be a list")));
            }
        };
        out.push((key, text));
    }
    Ok(())
}
