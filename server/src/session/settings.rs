//! A session's settings: SET, SHOW, RESET, and how transactions undo them.
//!
//! Values are kept as the text that SHOW gives. A change inside a transaction is remembered, so that
//! a rollback undoes it and a commit undoes what was LOCAL.

mod inert;
mod number;
mod parse;
mod table;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use driftdb_concurrency::IsolationLevel;
use driftdb_query::{PlanContext, Result, SetScope, SqlError, TEMPORARY, temporary_schema};
use driftdb_types::{EvalContext, SqlState, TimeZone};

pub(crate) use parse::{isolation_level, parse_bool};
use table::{Parameter, parameters};

/// A name as the table has it, or one of a user's own.
type Name = Cow<'static, str>;

/// The settings of one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Values other than the defaults.
    values: BTreeMap<Name, String>,
    /// What RESET goes back to, where the client's startup message said.
    startup: BTreeMap<Name, String>,
    /// Changes of the running transaction, oldest first.
    changes: Vec<Change>,
    /// Settings that the client follows and that have changed since it was told.
    unreported: BTreeSet<&'static str>,
    /// Counts changes: plans bound under other settings are not used again.
    epoch: u64,
}

/// A setting as pg_settings shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Described<'a> {
    pub(crate) name: &'static str,
    pub(crate) value: &'a str,
    /// `bool`, `integer`, `enum` or `string`.
    pub(crate) kind: &'static str,
    pub(crate) description: &'static str,
    pub(crate) default: &'static str,
    pub(crate) reset: &'a str,
    /// Whether nobody can change it.
    pub(crate) is_fact: bool,
}

#[derive(Debug, Clone)]
struct Change {
    name: Name,
    before: Option<String>,
    after: Option<String>,
    scope: SetScope,
}

/// The prefix of our own settings: users have none that begin so.
const RESERVED: &str = "driftdb.";

fn parameter(name: &str) -> Option<&'static Parameter> {
    let named = |p: &&Parameter| p.name.eq_ignore_ascii_case(name);
    parameters().iter().find(named).or_else(|| inert::TABLE.iter().find(named))
}

fn unrecognized(name: &str) -> SqlError {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    SqlError::new(SqlState::UndefinedObject, message)
}

/// A user's own setting: names separated by dots.
///
/// # Errors
/// 42704 for a name without a dot, 42602 for what else is none.
fn custom(name: &str) -> Result<Name> {
    if !name.contains('.') {
        return Err(unrecognized(name));
    }
    let invalid = |detail: String| {
        let message = format!("invalid configuration parameter name \"{name}\"");
        SqlError::new(SqlState::InvalidName, message).with_detail(detail)
    };
    let is_name = |part: &str| {
        let begins =
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii());
        begins
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_$".contains(c) || !c.is_ascii())
    };
    if !name.split('.').all(is_name) {
        return Err(invalid(
            "Custom parameter names must be two or more simple identifiers separated by dots."
                .to_owned(),
        ));
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with(RESERVED) {
        return Err(invalid("\"driftdb\" is a reserved prefix.".to_owned()));
    }
    Ok(lower.into())
}

/// Every setting of the tables, by name.
fn listed() -> Vec<&'static Parameter> {
    let mut all: Vec<&Parameter> = parameters().iter().chain(inert::TABLE).collect();
    all.sort_by_key(|parameter| parameter.name.to_ascii_lowercase());
    all
}

impl Settings {
    /// Sets a value from the client's startup message: also what RESET goes back to.
    ///
    /// # Errors
    /// No such setting, or not a value of it.
    pub(crate) fn set_at_startup(&mut self, name: &str, value: &str) -> Result<()> {
        let (name, value) = match parameter(name) {
            Some(parameter) => {
                let value = parameter.canonical(value, self.value(parameter))?;
                (Cow::Borrowed(parameter.name), value)
            }
            None => (custom(name)?, value.to_owned()),
        };
        self.startup.insert(name.clone(), value.clone());
        self.values.insert(name, value);
        self.epoch += 1;
        Ok(())
    }

    /// SET; without a value, to the default. A name of two parts or more that is in no table is the user's
    /// own setting, whose default is empty.
    ///
    /// # Errors
    /// No such setting (42704), not a value of it (22023), or it cannot be changed (55P02).
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>, scope: SetScope) -> Result<()> {
        let Some(parameter) = parameter(name) else {
            let name = custom(name)?;
            let value = value.map(str::to_owned).or_else(|| self.startup.get(&name).cloned());
            self.change(name, Some(value.unwrap_or_default()), scope);
            return Ok(());
        };
        parameter.check_changeable()?;
        let value = match value {
            Some(value) => Some(parameter.canonical(value, self.value(parameter))?),
            None => self.startup.get(parameter.name).cloned(),
        };
        self.change(Cow::Borrowed(parameter.name), value, scope);
        Ok(())
    }

    fn change(&mut self, name: Name, value: Option<String>, scope: SetScope) {
        let before = self.values.get(&name).cloned();
        self.changes.push(Change { name: name.clone(), before, after: value.clone(), scope });
        self.put(name, value);
    }

    fn put(&mut self, name: Name, value: Option<String>) {
        // A user's own setting, once there, is empty rather than gone.
        let is_own = || matches!(name, Cow::Owned(_));
        let value = value.or_else(|| is_own().then(String::new));
        let changed = self.values.get(&name) != value.as_ref();
        if changed {
            self.epoch += 1;
            let told = parameters().iter().find(|p| p.name == name && p.is_reported);
            self.unreported.extend(told.map(|parameter| parameter.name));
        }
        match value {
            Some(value) => self.values.insert(name, value),
            None => self.values.remove(&name),
        };
    }

    /// SET ROLE, SET SESSION AUTHORIZATION; `None`: to the default.
    pub(super) fn set_role(&mut self, name: &'static str, value: Option<&str>, scope: SetScope) {
        let found = parameters().iter().find(|parameter| parameter.name == name);
        if let Some(parameter) = found {
            self.change(Cow::Borrowed(parameter.name), value.map(str::to_owned), scope);
        }
    }

    /// The role that such a setting names.
    pub(super) fn role(&self, name: &'static str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A setting that says what is so, whoever set it.
    pub(super) fn put_fact(&mut self, name: &'static str, value: &str) {
        let parameter = parameters().iter().find(|parameter| parameter.name == name);
        let is_default = parameter.is_some_and(|parameter| parameter.default == value);
        let value = (!is_default).then(|| value.to_owned());
        if self.values.get(name) != value.as_ref() {
            self.put(Cow::Borrowed(name), value);
        }
    }

    /// RESET ALL.
    pub(crate) fn reset_all(&mut self) {
        let names: Vec<Name> = self.values.keys().cloned().collect();
        for name in names {
            let stays = |p: &Parameter| p.check_changeable().is_err() || p.is_role();
            let value = self.startup.get(&name).cloned();
            if !parameter(&name).is_some_and(stays) && self.values.get(&name) != value.as_ref() {
                self.change(name, value, SetScope::Session);
            }
        }
    }

    /// The value of a setting, as SHOW gives it.
    ///
    /// # Errors
    /// No such setting (42704).
    pub(crate) fn show(&self, name: &str) -> Result<String> {
        if let Some(parameter) = parameter(name) {
            return Ok(self.value(parameter).to_owned());
        }
        let own = self.values.get(&*name.to_ascii_lowercase());
        own.cloned().ok_or_else(|| unrecognized(name))
    }

    /// A setting's name as SHOW heads its column.
    pub(crate) fn proper_name(&self, name: &str) -> Option<&'static str> {
        parameter(name).map(|parameter| parameter.name)
    }

    fn value(&self, parameter: &Parameter) -> &str {
        self.values.get(parameter.name).map_or(parameter.default, String::as_str)
    }

    /// The value of a setting that exists.
    fn get(&self, name: &'static str) -> &str {
        let parameter = parameters().iter().find(|p| p.name == name);
        self.value(parameter.expect("only settings of the table are asked for"))
    }

    /// Name as users write it, value, description of every setting, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        listed().into_iter().map(|p| (p.name, self.value(p), p.description))
    }

    /// What pg_settings says of every setting, by name.
    pub(crate) fn described(&self) -> impl Iterator<Item = Described<'_>> {
        listed().into_iter().map(|parameter| Described {
            name: parameter.name,
            value: self.value(parameter),
            kind: parameter.kind_name(),
            description: parameter.description,
            default: parameter.default,
            is_fact: parameter.is_fact(),
            reset: self.startup.get(parameter.name).map_or(parameter.default, String::as_str),
        })
    }

    /// The schemas on a user's search path, whether they exist or not.
    pub(crate) fn schemas(&self, user: &str) -> Vec<Box<str>> {
        parse::schemas(self.get("search_path"), user)
    }

    /// `application_name`
    pub(crate) fn application_name(&self) -> &str {
        self.get("application_name")
    }

    /// What the client is told at startup.
    pub(crate) fn reported(&self) -> impl Iterator<Item = (&'static str, &str)> {
        parameters().iter().filter(|p| p.is_reported).map(|p| (p.name, self.value(p)))
    }

    /// What the client must be told of since the last call.
    pub(crate) fn take_unreported(&mut self) -> Vec<(&'static str, String)> {
        let names = std::mem::take(&mut self.unreported);
        names.into_iter().map(|name| (name, self.get(name).to_owned())).collect()
    }

    /// Counts changes.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Where the running transaction's changes stand, for [`Settings::rollback_to`].
    pub(crate) fn mark(&self) -> usize {
        self.changes.len()
    }

    /// Undoes the changes since a mark.
    pub(crate) fn rollback_to(&mut self, mark: usize) {
        while self.changes.len() > mark {
            if let Some(change) = self.changes.pop() {
                self.put(change.name, change.before);
            }
        }
    }

    /// The transaction was rolled back.
    pub(crate) fn rollback(&mut self) {
        if !self.changes.is_empty() {
            self.rollback_to(0);
        }
    }

    /// The transaction was committed: what was LOCAL ends.
    pub(crate) fn commit(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let mut lasting: BTreeMap<Name, Option<String>> = BTreeMap::new();
        for change in self.changes.drain(..) {
            let value = lasting.entry(change.name).or_insert(change.before);
            if change.scope == SetScope::Session {
                *value = change.after;
            }
        }
        for (name, value) in lasting {
            self.put(name, value);
        }
    }

    /// What a commit says of itself besides who makes it: from where, and what for.
    pub(crate) fn said(&self) -> (&str, &str) {
        (self.get("application_name"), self.get("driftdb.comment"))
    }

    /// The level that new transactions ask for.
    pub(crate) fn default_isolation(&self) -> IsolationLevel {
        isolation_level(self.get("default_transaction_isolation"))
            .unwrap_or(IsolationLevel::ReadCommitted)
    }

    /// Whether new transactions promise not to write.
    pub(crate) fn default_read_only(&self) -> bool {
        self.get("default_transaction_read_only") == "on"
    }

    /// Whether new transactions, serializable and read-only, wait for a safe snapshot.
    pub(crate) fn default_deferrable(&self) -> bool {
        self.get("default_transaction_deferrable") == "on"
    }

    /// What the planner is not to use.
    pub(crate) fn plan_context(&self) -> PlanContext {
        if self.values.is_empty() {
            return PlanContext::default();
        }
        PlanContext {
            disable_hash_join: self.get("enable_hashjoin") == "off",
            disable_index_scan: self.get("enable_indexscan") == "off",
        }
    }

    /// `driftdb.as_of`, in its one form; empty: the present.
    pub(crate) fn as_of(&self) -> &str {
        if self.values.is_empty() { "" } else { self.get(super::past::AS_OF) }
    }

    /// `standard_conforming_strings`
    pub(crate) fn has_conforming_strings(&self) -> bool {
        self.values.is_empty() || self.get("standard_conforming_strings") == "on"
    }

    /// `statement_timeout`; `None`: no limit.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        self.limit("statement_timeout")
    }

    /// `lock_timeout`; `None`: no limit.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        self.limit("lock_timeout")
    }

    /// `idle_in_transaction_session_timeout`; `None`: no limit.
    pub(crate) fn idle_in_transaction_session_timeout(&self) -> Option<Duration> {
        self.limit("idle_in_transaction_session_timeout")
    }

    /// `idle_session_timeout`; `None`: no limit.
    pub(crate) fn idle_session_timeout(&self) -> Option<Duration> {
        self.limit("idle_session_timeout")
    }

    /// A duration that is none by default and where it is zero.
    fn limit(&self, name: &'static str) -> Option<Duration> {
        if self.values.is_empty() {
            return None;
        }
        parse::millis(self.get(name)).filter(|limit| !limit.is_zero())
    }

    /// Writes what expressions can see into their context.
    pub(crate) fn apply(&self, eval: &mut EvalContext) {
        // Stored values are canonical, so that none of these fails.
        if let Ok(zone) = TimeZone::parse(self.get("TimeZone")) {
            eval.time_zone = zone;
        }
        (eval.date_format, eval.date_order) = parse::date_style(self.get("DateStyle"));
        eval.interval_style = parse::interval_style(self.get("IntervalStyle"));
        eval.bytea_output = parse::bytea_output(self.get("bytea_output"));
        eval.extra_float_digits = self.get("extra_float_digits").parse().unwrap_or(1);
        let mut schemas = self.schemas(&eval.user);
        for schema in schemas.iter_mut().filter(|schema| ***schema == *TEMPORARY) {
            *schema = temporary_schema(eval.backend_pid).into();
        }
        eval.schemas = schemas.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_undoes_and_a_commit_ends_what_was_local() {
        let mut settings = Settings::default();
        settings.set("timezone", Some("Europe/Paris"), SetScope::Session).unwrap();
        settings.commit();
        settings.set("TimeZone", Some("Asia/Tokyo"), SetScope::Local).unwrap();
        assert_eq!(settings.show("timezone").unwrap(), "Asia/Tokyo");
        settings.commit();
        assert_eq!(settings.show("timezone").unwrap(), "Europe/Paris");
        let mark = settings.mark();
        settings.set("TimeZone", None, SetScope::Session).unwrap();
        assert_eq!(settings.show("timezone").unwrap(), "UTC");
        settings.rollback_to(mark);
        assert_eq!(settings.show("timezone").unwrap(), "Europe/Paris");
        settings.set("TimeZone", Some("UTC"), SetScope::Session).unwrap();
        settings.set("TimeZone", Some("Asia/Tokyo"), SetScope::Local).unwrap();
        settings.commit();
        assert_eq!(settings.show("timezone").unwrap(), "UTC");
    }

    #[test]
    fn mistakes_have_postgres_words() {
        let mut settings = Settings::default();
        let mut error = |name: &str, value: &str| {
            let error = settings.set(name, Some(value), SetScope::Session).unwrap_err();
            format!("{} {}", error.state.code(), error.message)
        };
        assert_eq!(error("nope", "1"), "42704 unrecognized configuration parameter \"nope\"");
        assert_eq!(
            error("extra_float_digits", "9"),
            "22023 9 is outside the valid range for parameter \"extra_float_digits\" (-15 .. 3)"
        );
        assert_eq!(
            error("server_version", "9"),
            "55P02 parameter \"server_version\" cannot be changed"
        );
        assert_eq!(
            error("default_transaction_isolation", "strict"),
            "22023 invalid value for parameter \"default_transaction_isolation\": \"strict\""
        );
        assert_eq!(
            error("timezone", "Mars/Olympus"),
            "22023 invalid value for parameter \"TimeZone\": \"Mars/Olympus\""
        );
        assert_eq!(error("client_encoding", "latin9").split(' ').next(), Some("22023"));
        assert_eq!(
            error("default_transaction_read_only", "maybe"),
            "22023 parameter \"default_transaction_read_only\" requires a Boolean value"
        );
    }

    #[test]
    fn values_are_shown_in_one_form() {
        let mut settings = Settings::default();
        let mut shown = |name: &str, value: &str| {
            settings.set(name, Some(value), SetScope::Session).unwrap();
            settings.show(name).unwrap()
        };
        assert_eq!(shown("datestyle", "german"), "German, DMY");
        assert_eq!(shown("datestyle", "iso, ymd"), "ISO, YMD");
        assert_eq!(shown("statement_timeout", "1500"), "1500ms");
        assert_eq!(shown("statement_timeout", "2min"), "2min");
        assert_eq!(shown("statement_timeout", "0"), "0");
        assert_eq!(shown("default_transaction_read_only", "TRUE"), "on");
        assert_eq!(shown("client_encoding", "unicode"), "UTF8");
        assert_eq!(shown("client_encoding", "'utf-8'"), "UTF8");
    }
}
