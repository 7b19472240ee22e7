//! A session's settings: SET, SHOW, RESET, and how transactions undo them.
//!
//! Values are kept as the text that SHOW gives. A change inside a transaction is remembered, so that
//! a rollback undoes it and a commit undoes what was LOCAL.

mod custom;
mod parse;
mod table;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use driftdb_concurrency::IsolationLevel;
use driftdb_query::{Result, SetScope, SqlError, TEMPORARY, temporary_schema};
use driftdb_types::{EvalContext, SqlState, TimeZone};

pub(crate) use parse::{isolation_level, parse_bool};
use table::{Parameter, parameters};

/// The name of a setting.
type Name = Cow<'static, str>;

/// The settings of one session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Values other than the defaults.
    values: BTreeMap<Name, String>,
    /// Those that users made up.
    custom: BTreeMap<Name, String>,
    /// What RESET goes back to, where the client's startup message said.
    startup: BTreeMap<&'static str, String>,
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

fn find(name: &str) -> Result<&'static Parameter> {
    parameters().iter().find(|p| p.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let message = format!("unrecognized configuration parameter \"{name}\"");
        SqlError::new(SqlState::UndefinedObject, message)
    })
}

impl Settings {
    /// Sets a value from the client's startup message: also what RESET goes back to.
    ///
    /// # Errors
    /// No such setting, or not a value of it.
    pub(crate) fn set_at_startup(&mut self, name: &str, value: &str) -> Result<()> {
        if let Some(name) = custom::name(name) {
            return self.set(&name, Some(value), SetScope::Session);
        }
        let parameter = find(name)?;
        let value = parameter.canonical(value)?;
        self.startup.insert(parameter.name, value.clone());
        self.values.insert(parameter.name.into(), value);
        self.epoch += 1;
        Ok(())
    }

    /// SET; without a value, to the default.
    ///
    /// # Errors
    /// No such setting (42704), not a value of it (22023), or it cannot be changed (55P02).
    pub(crate) fn set(&mut self, name: &str, value: Option<&str>, scope: SetScope) -> Result<()> {
        if let Some(name) = custom::name(name) {
            custom::check_room(self.custom.len())?;
            let (name, after) = (Name::Owned(name), Some(value.unwrap_or_default().to_owned()));
            let before = self.custom.get(&name).cloned();
            self.changes.push(Change { name: name.clone(), before, after: after.clone(), scope });
            self.put(name, after);
            return Ok(());
        }
        let parameter = find(name)?;
        parameter.check_changeable()?;
        let value = match value {
            Some(value) => Some(parameter.canonical(value)?),
            None => self.startup.get(parameter.name).cloned(),
        };
        self.change(parameter, value, scope);
        Ok(())
    }

    fn change(&mut self, parameter: &'static Parameter, value: Option<String>, scope: SetScope) {
        let before = self.values.get(parameter.name).cloned();
        let name = Name::Borrowed(parameter.name);
        self.changes.push(Change { name: name.clone(), before, after: value.clone(), scope });
        self.put(name, value);
    }

    fn put(&mut self, name: Name, value: Option<String>) {
        if custom::name(&name).is_some() {
            self.custom.insert(name, value.unwrap_or_default());
            // The copy that functions see is made anew.
            self.epoch += 1;
            return;
        }
        let changed = self.values.get(&name) != value.as_ref();
        let parameter = parameters().iter().find(|parameter| parameter.name == name);
        match value {
            Some(value) => self.values.insert(name, value),
            None => self.values.remove(&name),
        };
        if changed {
            self.epoch += 1;
            if let Some(parameter) = parameter.filter(|parameter| parameter.is_reported) {
                self.unreported.insert(parameter.name);
            }
        }
    }

    /// SET ROLE, SET SESSION AUTHORIZATION; `None`: to the default.
    pub(super) fn set_role(&mut self, name: &'static str, value: Option<&str>, scope: SetScope) {
        let found = parameters().iter().find(|parameter| parameter.name == name);
        if let Some(parameter) = found {
            self.change(parameter, value.map(str::to_owned), scope);
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
            self.put(name.into(), value);
        }
    }

    /// RESET ALL.
    pub(crate) fn reset_all(&mut self) {
        let resets = |p: &&Parameter| p.check_changeable().is_ok() && !p.is_role();
        for parameter in parameters().iter().filter(resets) {
            let value = self.startup.get(parameter.name).cloned();
            if self.values.get(parameter.name) != value.as_ref() {
                self.change(parameter, value, SetScope::Session);
            }
        }
        for name in self.custom.keys().cloned().collect::<Vec<_>>() {
            let (before, after) = (self.custom.get(&name).cloned(), Some(String::new()));
            let scope = SetScope::Session;
            self.changes.push(Change { name: name.clone(), before, after: after.clone(), scope });
            self.put(name, after);
        }
    }

    /// The value of a setting, as SHOW gives it.
    ///
    /// # Errors
    /// No such setting (42704).
    pub(crate) fn show(&self, name: &str) -> Result<String> {
        let custom = custom::name(name).and_then(|name| self.custom.get(name.as_str()));
        if let Some(value) = custom {
            return Ok(value.clone());
        }
        Ok(self.value(find(name)?).to_owned())
    }

    /// A setting's name as SHOW heads its column.
    pub(crate) fn proper_name(&self, name: &str) -> Option<&'static str> {
        find(name).ok().map(|parameter| parameter.name)
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
        parameters().iter().map(|p| (p.name, self.value(p), p.description))
    }

    /// What pg_settings says of every setting, by name.
    pub(crate) fn described(&self) -> impl Iterator<Item = Described<'_>> {
        parameters().iter().map(|parameter| Described {
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

    /// `driftdb.as_of`, in its one form; empty: the present.
    pub(crate) fn as_of(&self) -> &str {
        if self.values.is_empty() { "" } else { self.get(super::past::AS_OF) }
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
    fn settings_of_ones_own_are_there_from_the_first_set_on() {
        let mut settings = Settings::default();
        assert!(settings.show("app.user").is_err());
        settings.set("App.User", Some("me"), SetScope::Session).unwrap();
        settings.commit();
        settings.set("app.user", Some("you"), SetScope::Local).unwrap();
        assert_eq!(settings.show("app.USER").unwrap(), "you");
        settings.commit();
        assert_eq!(settings.show("app.user").unwrap(), "me");
        settings.set("other.x", Some("1"), SetScope::Session).unwrap();
        settings.rollback();
        assert_eq!(settings.show("other.x").unwrap(), "");
        settings.reset_all();
        assert_eq!(settings.show("app.user").unwrap(), "");
        for wrong in ["app.", ".x", "app.1x", "plain", "driftdb.nothing"] {
            assert!(settings.set(wrong, Some("1"), SetScope::Session).is_err(), "{wrong}");
        }
    }

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
