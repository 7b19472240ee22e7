//! CREATE, ALTER and DROP of TYPE and DOMAIN.

use driftdb_query::Result;
use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::cursor::{Cursor, QualifiedName};
use super::schema::{RoleName, role};

/// A column of a composite type as written.
#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) ty: ast::DataType,
}

/// A constraint of a domain as written.
#[derive(Debug, Clone)]
pub(crate) enum DomainConstraint {
    Default(ast::Expr),
    NotNull(bool),
    Check { name: Option<String>, condition: ast::Expr, not_valid: bool },
}

/// What ALTER TYPE and ALTER DOMAIN do.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    AddValue { label: String, beside: Option<(bool, String)>, if_not_exists: bool },
    RenameValue { from: String, to: String },
    AddAttribute(Attribute),
    DropAttribute { name: String, if_exists: bool },
    AlterAttribute(Attribute),
    RenameAttribute { from: String, to: String },
    Constraint(DomainConstraint),
    DropDefault,
    DropConstraint { name: String, if_exists: bool },
    RenameConstraint { from: String, to: String },
    ValidateConstraint(String),
    RenameTo(String),
    SetSchema(String),
    SetOwner(RoleName),
}

/// What CREATE TYPE makes.
#[derive(Debug)]
pub(crate) enum NewType {
    Shell,
    Enum(Vec<String>),
    Composite(Vec<Attribute>),
    Domain {
        base: ast::DataType,
        constraints: Vec<DomainConstraint>,
    },
    /// Of a kind that this build has not.
    Unsupported(&'static str),
}

/// A statement about types.
#[derive(Debug)]
pub(crate) enum TypeBody {
    Create { name: QualifiedName, new: NewType },
    Alter { name: QualifiedName, is_domain: bool, changes: Vec<Change> },
    Drop { names: Vec<QualifiedName>, is_domain: bool, if_exists: bool, cascade: bool },
}

impl TypeBody {
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Self::Create { new: NewType::Domain { .. }, .. } => "CREATE DOMAIN",
            Self::Create { .. } => "CREATE TYPE",
            Self::Alter { is_domain: true, .. } => "ALTER DOMAIN",
            Self::Alter { .. } => "ALTER TYPE",
            Self::Drop { is_domain: true, .. } => "DROP DOMAIN",
            Self::Drop { .. } => "DROP TYPE",
        }
    }
}

/// A statement about types, if it is one.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Result<Option<TypeBody>> {
    let body = if cursor.accept(&["create", "type"]) {
        create(cursor)?
    } else if cursor.accept(&["create", "domain"]) {
        create_domain(cursor)?
    } else if cursor.accept(&["alter", "type"]) {
        let name = cursor.qualified_name()?;
        TypeBody::Alter { name, is_domain: false, changes: alter_type(cursor)? }
    } else if cursor.accept(&["alter", "domain"]) {
        let name = cursor.qualified_name()?;
        TypeBody::Alter { name, is_domain: true, changes: vec![alter_domain(cursor)?] }
    } else if cursor.accept(&["drop", "type"]) {
        drop_types(cursor, false)?
    } else if cursor.accept(&["drop", "domain"]) {
        drop_types(cursor, true)?
    } else {
        return Ok(None);
    };
    if !matches!(body, TypeBody::Create { new: NewType::Unsupported(_), .. }) {
        cursor.expect_end()?;
    }
    Ok(Some(body))
}

fn create(cursor: &mut Cursor<'_>) -> Result<TypeBody> {
    let name = cursor.qualified_name()?;
    let new = if cursor.accept(&["as", "enum"]) {
        cursor.expect_token(&Token::LParen)?;
        let mut labels = Vec::new();
        if !cursor.accept_token(&Token::RParen) {
            labels.push(cursor.string()?);
            while cursor.accept_token(&Token::Comma) {
                labels.push(cursor.string()?);
            }
            cursor.expect_token(&Token::RParen)?;
        }
        NewType::Enum(labels)
    } else if cursor.accept(&["as", "range"]) {
        NewType::Unsupported("CREATE TYPE AS RANGE")
    } else if cursor.accept(&["as"]) {
        cursor.expect_token(&Token::LParen)?;
        let mut attributes = Vec::new();
        if !cursor.accept_token(&Token::RParen) {
            attributes.push(attribute(cursor)?);
            while cursor.accept_token(&Token::Comma) {
                attributes.push(attribute(cursor)?);
            }
            cursor.expect_token(&Token::RParen)?;
        }
        NewType::Composite(attributes)
    } else if cursor.is_at_end() {
        NewType::Shell
    } else if cursor.accept_token(&Token::LParen) {
        NewType::Unsupported("a base type")
    } else {
        return Err(cursor.error());
    };
    Ok(TypeBody::Create { name, new })
}

fn attribute(cursor: &mut Cursor<'_>) -> Result<Attribute> {
    let name = cursor.name()?;
    let ty = cursor.parse(Parser::parse_data_type)?;
    collation(cursor)?;
    Ok(Attribute { name, ty })
}

/// COLLATE: there is one order of texts.
fn collation(cursor: &mut Cursor<'_>) -> Result<()> {
    if cursor.accept(&["collate"]) {
        cursor.qualified_name()?;
    }
    Ok(())
}

fn create_domain(cursor: &mut Cursor<'_>) -> Result<TypeBody> {
    let name = cursor.qualified_name()?;
    cursor.accept(&["as"]);
    let base = cursor.parse(Parser::parse_data_type)?;
    collation(cursor)?;
    let mut constraints = Vec::new();
    while !cursor.is_at_end() {
        constraints.push(constraint(cursor)?);
    }
    Ok(TypeBody::Create { name, new: NewType::Domain { base, constraints } })
}

fn constraint(cursor: &mut Cursor<'_>) -> Result<DomainConstraint> {
    if cursor.accept(&["default"]) {
        return Ok(DomainConstraint::Default(cursor.expression()?));
    }
    let name = if cursor.accept(&["constraint"]) { Some(cursor.name()?) } else { None };
    if cursor.accept(&["not", "null"]) {
        return Ok(DomainConstraint::NotNull(true));
    }
    if cursor.accept(&["null"]) {
        return Ok(DomainConstraint::NotNull(false));
    }
    cursor.expect(&["check"])?;
    cursor.expect_token(&Token::LParen)?;
    let condition = cursor.expression()?;
    cursor.expect_token(&Token::RParen)?;
    let not_valid = cursor.accept(&["not", "valid"]);
    Ok(DomainConstraint::Check { name, condition, not_valid })
}

/// CASCADE, or RESTRICT or nothing.
fn cascade(cursor: &mut Cursor<'_>) -> bool {
    let cascade = cursor.accept(&["cascade"]);
    if !cascade {
        cursor.accept(&["restrict"]);
    }
    cascade
}

/// What ALTER TABLE says likewise of every object.
fn alter_object(cursor: &mut Cursor<'_>) -> Result<Option<Change>> {
    Ok(Some(if cursor.accept(&["rename", "to"]) {
        Change::RenameTo(cursor.name()?)
    } else if cursor.accept(&["set", "schema"]) {
        Change::SetSchema(cursor.name()?)
    } else if cursor.accept(&["owner", "to"]) {
        Change::SetOwner(role(cursor)?)
    } else {
        return Ok(None);
    }))
}

fn alter_type(cursor: &mut Cursor<'_>) -> Result<Vec<Change>> {
    if let Some(change) = alter_object(cursor)? {
        return Ok(vec![change]);
    }
    if cursor.accept(&["add", "value"]) {
        let if_not_exists = cursor.accept(&["if", "not", "exists"]);
        let label = cursor.string()?;
        let beside = if cursor.accept(&["before"]) {
            Some((true, cursor.string()?))
        } else if cursor.accept(&["after"]) {
            Some((false, cursor.string()?))
        } else {
            None
        };
        return Ok(vec![Change::AddValue { label, beside, if_not_exists }]);
    }
    if cursor.accept(&["rename", "value"]) {
        let from = cursor.string()?;
        cursor.expect(&["to"])?;
        return Ok(vec![Change::RenameValue { from, to: cursor.string()? }]);
    }
    if cursor.accept(&["rename", "attribute"]) {
        let from = cursor.name()?;
        cursor.expect(&["to"])?;
        let to = cursor.name()?;
        cascade(cursor);
        return Ok(vec![Change::RenameAttribute { from, to }]);
    }
    let mut changes = Vec::new();
    loop {
        changes.push(if cursor.accept(&["add", "attribute"]) {
            Change::AddAttribute(attribute(cursor)?)
        } else if cursor.accept(&["drop", "attribute"]) {
            let if_exists = cursor.accept(&["if", "exists"]);
            Change::DropAttribute { name: cursor.name()?, if_exists }
        } else {
            cursor.expect(&["alter", "attribute"])?;
            let name = cursor.name()?;
            cursor.accept(&["set", "data"]);
            cursor.expect(&["type"])?;
            let ty = cursor.parse(Parser::parse_data_type)?;
            collation(cursor)?;
            Change::AlterAttribute(Attribute { name, ty })
        });
        cascade(cursor);
        if !cursor.accept_token(&Token::Comma) {
            return Ok(changes);
        }
    }
}

fn alter_domain(cursor: &mut Cursor<'_>) -> Result<Change> {
    if let Some(change) = alter_object(cursor)? {
        return Ok(change);
    }
    Ok(if cursor.accept(&["set", "default"]) {
        Change::Constraint(DomainConstraint::Default(cursor.expression()?))
    } else if cursor.accept(&["drop", "default"]) {
        Change::DropDefault
    } else if cursor.accept(&["set", "not", "null"]) {
        Change::Constraint(DomainConstraint::NotNull(true))
    } else if cursor.accept(&["drop", "not", "null"]) {
        Change::Constraint(DomainConstraint::NotNull(false))
    } else if cursor.accept(&["add"]) {
        Change::Constraint(constraint(cursor)?)
    } else if cursor.accept(&["drop", "constraint"]) {
        let if_exists = cursor.accept(&["if", "exists"]);
        let name = cursor.name()?;
        cascade(cursor);
        Change::DropConstraint { name, if_exists }
    } else if cursor.accept(&["rename", "constraint"]) {
        let from = cursor.name()?;
        cursor.expect(&["to"])?;
        Change::RenameConstraint { from, to: cursor.name()? }
    } else {
        cursor.expect(&["validate", "constraint"])?;
        Change::ValidateConstraint(cursor.name()?)
    })
}

fn drop_types(cursor: &mut Cursor<'_>, is_domain: bool) -> Result<TypeBody> {
    let if_exists = cursor.accept(&["if", "exists"]);
    let mut names = vec![cursor.qualified_name()?];
    while cursor.accept_token(&Token::Comma) {
        names.push(cursor.qualified_name()?);
    }
    let cascade = cascade(cursor);
    Ok(TypeBody::Drop { names, is_domain, if_exists, cascade })
}
