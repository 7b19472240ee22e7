//! Roles and privileges as written: CREATE, ALTER and DROP ROLE; GRANT and REVOKE; OWNER TO, REASSIGN and
//! DROP OWNED.

use driftdb_query::{Result, RoleOptions, RoleRef, SqlError};
use driftdb_types::SqlState;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::dispatch::Body;
use super::routine::{Named, RoutineWord, named};

/// A statement about roles.
#[derive(Debug)]
pub(crate) enum RoleBody {
    Create(Box<CreateRole>),
    Alter { role: RoleRef, options: WrittenOptions },
    Rename { role: RoleRef, to: String },
    Drop { roles: Vec<RoleRef>, if_exists: bool },
    Member { is_grant: bool, roles: Vec<RoleRef>, members: Vec<RoleRef>, admin: bool },
    Privileges(Box<Grant>),
    SetOwner { of: Owned, if_exists: bool, owner: RoleRef, command: &'static str },
    Reassign { from: Vec<RoleRef>, to: RoleRef },
    DropOwned { roles: Vec<RoleRef>, cascade: bool },
}

#[derive(Debug)]
pub(crate) struct CreateRole {
    pub(crate) name: String,
    pub(crate) options: WrittenOptions,
    pub(crate) member_of: Vec<RoleRef>,
    pub(crate) members: Vec<(RoleRef, bool)>,
}

/// Attributes, and those that are more than they.
#[derive(Debug, Default)]
pub(crate) struct WrittenOptions {
    pub(crate) options: RoleOptions,
    pub(crate) valid_until: Option<String>,
    pub(crate) has_password: bool,
}

/// GRANT and REVOKE of privileges.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) is_grant: bool,
    /// Rights by name, with the columns they are for; none: all.
    pub(crate) rights: Vec<(String, Vec<String>)>,
    pub(crate) on: On,
    pub(crate) grantees: Vec<RoleRef>,
    pub(crate) option: bool,
    pub(crate) cascade: bool,
    pub(crate) grantor: Option<RoleRef>,
}

/// What GRANT is on.
#[derive(Debug)]
pub(crate) enum On {
    Tables(Vec<QualifiedName>),
    Sequences(Vec<QualifiedName>),
    Databases(Vec<String>),
    Schemas(Vec<String>),
    Routines(RoutineWord, Vec<Named>),
    Languages(Vec<String>),
    /// ALL TABLES and its kin IN SCHEMA
    In(InSchema, Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InSchema {
    Tables,
    Sequences,
    Routines(RoutineWord),
}

/// What gets another owner.
#[derive(Debug)]
pub(crate) enum Owned {
    /// A relation, by the word for its kind.
    Relation(&'static str, QualifiedName),
    Schema(String),
    Routine(RoutineWord, Named),
    Database(String),
}

impl RoleBody {
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Create(_) => "CREATE ROLE",
            Self::Alter { .. } | Self::Rename { .. } => "ALTER ROLE",
            Self::Drop { .. } => "DROP ROLE",
            Self::Member { is_grant: true, .. } => "GRANT ROLE",
            Self::Member { .. } => "REVOKE ROLE",
            Self::Privileges(grant) if grant.is_grant => "GRANT",
            Self::Privileges(_) => "REVOKE",
            Self::SetOwner { command, .. } => command,
            Self::Reassign { .. } => "REASSIGN OWNED",
            Self::DropOwned { .. } => "DROP OWNED",
        }
    }
}

/// A statement about roles, if it is one.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let begin = cursor.at;
    for word in ["role", "user", "group"] {
        if cursor.peek_word(1).as_deref() != Some(word)
            || cursor.peek_word(2).as_deref() == Some("mapping")
        {
            continue;
        }
        let body = if cursor.accept(&["create", word]) {
            create(cursor, word == "user")?
        } else if cursor.accept(&["alter", word]) {
            alter(cursor, word == "group")?
        } else if cursor.accept(&["drop", word]) {
            let if_exists = cursor.accept(&["if", "exists"]);
            Body::Role(RoleBody::Drop { roles: roles(cursor)?, if_exists })
        } else {
            continue;
        };
        return finished(cursor, body).map(Some);
    }
    if cursor.accept(&["grant"]) {
        return grant(cursor, true).map(Some);
    }
    if cursor.accept(&["revoke"]) {
        return grant(cursor, false).map(Some);
    }
    if cursor.accept(&["reassign", "owned", "by"]) {
        let from = roles(cursor)?;
        cursor.expect(&["to"])?;
        let to = role(cursor)?;
        return finished(cursor, Body::Role(RoleBody::Reassign { from, to })).map(Some);
    }
    if cursor.accept(&["drop", "owned", "by"]) {
        let roles = roles(cursor)?;
        let cascade = cascade(cursor);
        return finished(cursor, Body::Role(RoleBody::DropOwned { roles, cascade })).map(Some);
    }
    let body = set_owner(cursor)?;
    if body.is_none() {
        cursor.at = begin;
    }
    Ok(body)
}

fn finished(cursor: &Cursor<'_>, body: Body) -> Result<Body> {
    if !matches!(body, Body::Unsupported(_)) {
        cursor.expect_end()?;
    }
    Ok(body)
}

fn cascade(cursor: &mut Cursor<'_>) -> bool {
    let cascade = cursor.accept(&["cascade"]);
    if !cascade {
        cursor.accept(&["restrict"]);
    }
    cascade
}

/// A role: a name, or a word for one's own.
pub(crate) fn role(cursor: &mut Cursor<'_>) -> Result<RoleRef> {
    if cursor.accept(&["current_user"]) || cursor.accept(&["current_role"]) {
        return Ok(RoleRef::Current);
    }
    if cursor.accept(&["session_user"]) {
        return Ok(RoleRef::Session);
    }
    let position = cursor.position();
    let name = cursor.name()?;
    if name == "public" || name == "none" {
        return Err(reserved(&name).at(position));
    }
    Ok(RoleRef::Name(name))
}

fn reserved(name: &str) -> SqlError {
    SqlError::new(SqlState::ReservedName, format!("role name \"{name}\" is reserved"))
}

fn roles(cursor: &mut Cursor<'_>) -> Result<Vec<RoleRef>> {
    let mut list = vec![role(cursor)?];
    while cursor.accept_token(&Token::Comma) {
        list.push(role(cursor)?);
    }
    Ok(list)
}

/// Whom GRANT and REVOKE mean.
fn grantees(cursor: &mut Cursor<'_>) -> Result<Vec<RoleRef>> {
    let mut list = Vec::new();
    loop {
        if cursor
            .peek_word(1)
            .is_some_and(|word| !["with", "granted", "cascade", "restrict"].contains(&&*word))
        {
            cursor.accept(&["group"]);
        }
        list.push(if cursor.accept(&["public"]) { RoleRef::Everybody } else { role(cursor)? });
        if !cursor.accept_token(&Token::Comma) {
            return Ok(list);
        }
    }
}

/// The name of something new.
fn new_name(cursor: &mut Cursor<'_>) -> Result<String> {
    let position = cursor.position();
    let special = match role(cursor)? {
        RoleRef::Name(name) => return Ok(name),
        RoleRef::Current => "CURRENT_USER",
        RoleRef::Session | RoleRef::Everybody => "SESSION_USER",
    };
    let message = format!("{special} cannot be used as a role name here");
    Err(SqlError::new(SqlState::ReservedName, message).at(position))
}

fn create(cursor: &mut Cursor<'_>, is_user: bool) -> Result<Body> {
    let name = new_name(cursor)?;
    cursor.accept(&["with"]);
    let (mut member_of, mut members) = (Vec::new(), Vec::new());
    let mut written = WrittenOptions::default();
    while !cursor.is_at_end() {
        if cursor.accept(&["in", "role"]) || cursor.accept(&["in", "group"]) {
            member_of.extend(roles(cursor)?);
        } else if cursor.accept(&["role"]) || cursor.accept(&["user"]) {
            members.extend(roles(cursor)?.into_iter().map(|role| (role, false)));
        } else if cursor.accept(&["admin"]) {
            members.extend(roles(cursor)?.into_iter().map(|role| (role, true)));
        } else if cursor.accept(&["sysid"]) {
            number(cursor)?;
        } else {
            option(cursor, &mut written)?;
        }
    }
    if is_user {
        written.options.login.get_or_insert(true);
    }
    let body = CreateRole { name, options: written, member_of, members };
    Ok(Body::Role(RoleBody::Create(Box::new(body))))
}

fn number(cursor: &mut Cursor<'_>) -> Result<i32> {
    let is_negative = cursor.accept_token(&Token::Minus);
    let Some(Token::Number(digits, _)) = cursor.peek().map(|token| &token.token) else {
        return Err(cursor.error());
    };
    let Ok(number) = digits.parse::<i32>() else { return Err(cursor.error()) };
    cursor.at += 1;
    Ok(if is_negative { -number } else { number })
}

fn option(cursor: &mut Cursor<'_>, written: &mut WrittenOptions) -> Result<()> {
    let position = cursor.position();
    let options = &mut written.options;
    let word = cursor.peek_word(0).unwrap_or_default();
    let (name, is_set) = match word.strip_prefix("no") {
        Some(rest) => (rest, false),
        None => (&*word, true),
    };
    let flag = match name {
        "superuser" => Some(&mut options.superuser),
        "inherit" => Some(&mut options.inherit),
        "createrole" => Some(&mut options.create_role),
        "createdb" => Some(&mut options.create_database),
        "login" => Some(&mut options.login),
        "replication" => Some(&mut options.replication),
        "bypassrls" => Some(&mut options.bypass_rls),
        _ => None,
    };
    let is_new = if let Some(flag) = flag {
        cursor.at += 1;
        flag.replace(is_set).is_none()
    } else if cursor.accept(&["connection", "limit"]) {
        let limit = number(cursor)?;
        if limit < -1 {
            let message = format!("invalid connection limit: {limit}");
            return Err(SqlError::new(SqlState::InvalidParameterValue, message));
        }
        options.connection_limit.replace(limit).is_none()
    } else if cursor.accept(&["valid", "until"]) {
        written.valid_until.replace(cursor.string()?).is_none()
    } else if cursor.accept(&["encrypted", "password"]) || cursor.accept(&["password"]) {
        let is_none = cursor.accept(&["null"]);
        if !is_none {
            cursor.string()?;
        }
        !std::mem::replace(&mut written.has_password, !is_none)
    } else if cursor.peek_word(0).is_some() && !["set", "reset", "rename", "in"].contains(&&*word) {
        let message = format!("unrecognized role option \"{word}\"");
        return Err(SqlError::new(SqlState::SyntaxError, message).at(position));
    } else {
        return Err(cursor.error());
    };
    if is_new {
        return Ok(());
    }
    Err(SqlError::new(SqlState::SyntaxError, "conflicting or redundant options").at(position))
}

fn alter(cursor: &mut Cursor<'_>, is_group: bool) -> Result<Body> {
    if cursor.accept(&["all"]) {
        return Ok(Body::Unsupported("ALTER ROLE ... SET".into()));
    }
    let role = role(cursor)?;
    if cursor.accept(&["rename", "to"]) {
        let to = new_name(cursor)?;
        return Ok(Body::Role(RoleBody::Rename { role, to }));
    }
    if matches!(cursor.peek_word(0).as_deref(), Some("set" | "reset"))
        || cursor.accept(&["in", "database"])
    {
        return Ok(Body::Unsupported("ALTER ROLE ... SET".into()));
    }
    if is_group {
        let is_grant = cursor.accept(&["add", "user"]);
        if !is_grant {
            cursor.expect(&["drop", "user"])?;
        }
        let (roles, members) = (vec![role], roles(cursor)?);
        return Ok(Body::Role(RoleBody::Member { is_grant, roles, members, admin: false }));
    }
    cursor.accept(&["with"]);
    let mut options = WrittenOptions::default();
    while !cursor.is_at_end() {
        option(cursor, &mut options)?;
    }
    Ok(Body::Role(RoleBody::Alter { role, options }))
}

fn grant(cursor: &mut Cursor<'_>, is_grant: bool) -> Result<Body> {
    let option_for = !is_grant && cursor.accept(&["grant", "option", "for"]);
    let admin_for = !is_grant && cursor.accept(&["admin", "option", "for"]);
    let mut rights: Vec<(String, Vec<String>)> = Vec::new();
    let is_all = cursor.accept(&["all"]);
    if is_all {
        cursor.accept(&["privileges"]);
        if cursor.peek().is_some_and(|token| token.token == Token::LParen) {
            rights.push((String::new(), names_in_brackets(cursor)?));
        }
    } else {
        loop {
            let name = cursor.name()?;
            rights.push((name, names_in_brackets(cursor)?));
            if !cursor.accept_token(&Token::Comma) {
                break;
            }
        }
    }
    if !cursor.accept(&["on"]) {
        if is_all || option_for {
            return Err(cursor.error());
        }
        return grant_role(cursor, is_grant, admin_for, rights);
    }
    let on = match on(cursor)? {
        Ok(on) => on,
        Err(what) => return Ok(Body::Unsupported(what)),
    };
    cursor.expect(&[if is_grant { "to" } else { "from" }])?;
    let grantees = grantees(cursor)?;
    let option = option_for || is_grant && cursor.accept(&["with", "grant", "option"]);
    let grantor = granted_by(cursor)?;
    let cascade = !is_grant && cascade(cursor);
    let grant = Grant { is_grant, rights, on, grantees, option, cascade, grantor };
    finished(cursor, Body::Role(RoleBody::Privileges(Box::new(grant))))
}

fn granted_by(cursor: &mut Cursor<'_>) -> Result<Option<RoleRef>> {
    if cursor.accept(&["granted", "by"]) { role(cursor).map(Some) } else { Ok(None) }
}

fn grant_role(
    cursor: &mut Cursor<'_>,
    is_grant: bool,
    admin_for: bool,
    names: Vec<(String, Vec<String>)>,
) -> Result<Body> {
    if names.iter().any(|(_, columns)| !columns.is_empty()) {
        let message = "column names cannot be included in GRANT/REVOKE ROLE";
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    cursor.expect(&[if is_grant { "to" } else { "from" }])?;
    let members = roles(cursor)?;
    let admin = admin_for
        || is_grant
            && (cursor.accept(&["with", "admin", "option"]) || cursor.accept(&["with", "admin"]));
    granted_by(cursor)?;
    if !is_grant {
        cascade(cursor);
    }
    let roles = names.into_iter().map(|(name, _)| RoleRef::Name(name)).collect();
    finished(cursor, Body::Role(RoleBody::Member { is_grant, roles, members, admin }))
}

fn names_in_brackets(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    if !cursor.accept_token(&Token::LParen) {
        return Ok(Vec::new());
    }
    let list = names(cursor)?;
    cursor.expect_token(&Token::RParen)?;
    Ok(list)
}

fn names(cursor: &mut Cursor<'_>) -> Result<Vec<String>> {
    let mut list = vec![cursor.name()?];
    while cursor.accept_token(&Token::Comma) {
        list.push(cursor.name()?);
    }
    Ok(list)
}

fn qualified_names(cursor: &mut Cursor<'_>) -> Result<Vec<QualifiedName>> {
    let mut list = vec![cursor.qualified_name()?];
    while cursor.accept_token(&Token::Comma) {
        list.push(cursor.qualified_name()?);
    }
    Ok(list)
}

/// What GRANT is on, after ON; or the name of what has no privileges here.
fn on(cursor: &mut Cursor<'_>) -> Result<std::result::Result<On, String>> {
    let routines = [
        ("function", "functions", RoutineWord::Function),
        ("procedure", "procedures", RoutineWord::Procedure),
        ("routine", "routines", RoutineWord::Routine),
    ];
    if cursor.peek_word(2).as_deref() == Some("in") && cursor.accept(&["all"]) {
        let word = cursor.name()?;
        cursor.expect(&["in", "schema"])?;
        let kind = match word.as_str() {
            "tables" => InSchema::Tables,
            "sequences" => InSchema::Sequences,
            word => match routines.iter().find(|(_, many, _)| *many == word) {
                Some((.., routine)) => InSchema::Routines(*routine),
                None => return Err(cursor.error()),
            },
        };
        return Ok(Ok(On::In(kind, names(cursor)?)));
    }
    for (word, _, routine) in routines {
        if has_name_after(cursor) && cursor.accept(&[word]) {
            let mut list = vec![named(cursor)?];
            while cursor.accept_token(&Token::Comma) {
                list.push(named(cursor)?);
            }
            return Ok(Ok(On::Routines(routine, list)));
        }
    }
    let others: [&[&str]; 7] = [
        &["type"],
        &["domain"],
        &["foreign", "data", "wrapper"],
        &["foreign", "server"],
        &["large", "object"],
        &["tablespace"],
        &["parameter"],
    ];
    if has_name_after(cursor)
        && let Some(words) = others.iter().find(|words| cursor.accept(words))
    {
        return Ok(Err(format!("GRANT on {}", words.join(" "))));
    }
    Ok(Ok(if has_name_after(cursor) && cursor.accept(&["sequence"]) {
        On::Sequences(qualified_names(cursor)?)
    } else if has_name_after(cursor) && cursor.accept(&["database"]) {
        On::Databases(names(cursor)?)
    } else if has_name_after(cursor) && cursor.accept(&["schema"]) {
        On::Schemas(names(cursor)?)
    } else if has_name_after(cursor) && cursor.accept(&["language"]) {
        On::Languages(names(cursor)?)
    } else {
        if has_name_after(cursor) {
            cursor.accept(&["table"]);
        }
        On::Tables(qualified_names(cursor)?)
    }))
}

/// Whether the next word is one for a kind, and not a name itself.
fn has_name_after(cursor: &Cursor<'_>) -> bool {
    cursor.peek_word(1).is_some_and(|word| word != "to" && word != "from")
}

/// ALTER … OWNER TO, of every kind that has an owner.
fn set_owner(cursor: &mut Cursor<'_>) -> Result<Option<Body>> {
    let tokens = cursor.tokens;
    let is_meant = cursor.peek_word(0).as_deref() == Some("alter")
        && tokens.len() >= 6
        && ["owner", "to"]
            .iter()
            .zip([3, 2])
            .all(|(word, back)| super::tokens::is_word(&tokens[tokens.len() - back], word));
    if !is_meant {
        return Ok(None);
    }
    cursor.at += 1;
    let relations: [(&[&str], &str, &str); 4] = [
        (&["table"], "table", "ALTER TABLE"),
        (&["view"], "view", "ALTER VIEW"),
        (&["materialized", "view"], "materialized view", "ALTER MATERIALIZED VIEW"),
        (&["sequence"], "sequence", "ALTER SEQUENCE"),
    ];
    let mut if_exists = false;
    let relation = relations.iter().find(|(words, ..)| cursor.accept(words));
    let (of, command) = if let Some((_, word, command)) = relation {
        if_exists = cursor.accept(&["if", "exists"]);
        cursor.accept(&["only"]);
        let name = cursor.qualified_name()?;
        cursor.accept_token(&Token::Mul);
        (Owned::Relation(word, name), *command)
    } else if cursor.accept(&["schema"]) {
        (Owned::Schema(cursor.name()?), "ALTER SCHEMA")
    } else if cursor.accept(&["database"]) {
        (Owned::Database(cursor.name()?), "ALTER DATABASE")
    } else {
        let word = match cursor.peek_word(0).as_deref() {
            Some("function") => RoutineWord::Function,
            Some("procedure") => RoutineWord::Procedure,
            Some("routine") => RoutineWord::Routine,
            _ => return Ok(None),
        };
        cursor.at += 1;
        (Owned::Routine(word, named(cursor)?), word.tag(false))
    };
    // Beside other actions it is one of those.
    if !cursor.accept(&["owner", "to"]) {
        return Ok(None);
    }
    let owner = role(cursor)?;
    let body = Body::Role(RoleBody::SetOwner { of, if_exists, owner, command });
    finished(cursor, body).map(Some)
}
