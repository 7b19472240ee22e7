//! Privileges: who owns something, and who may do what with it.
//!
//! They are kept as an object that is a part of what they are about ([`Privileges`]), and only where
//! anything is said: what has none belongs to the role that the database began with, and its
//! privileges are the defaults of its kind. The letters and texts are PostgreSQL's (`aclitem`).
//!
//! Source: PostgreSQL 15, utils/adt/acl.c (acldefault, aclmask, select_best_grantor).

use std::ops::{BitAnd, BitOr, Not};

use crate::{
    Acting, BOOTSTRAP_ROLE, DATABASE_OWNER_ROLE, EVERYBODY, Named, ObjectKind, PUBLIC_ID,
    READ_ALL_ROLE, WRITE_ALL_ROLE,
};

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(pub u16);

#[expect(missing_docs, reason = "PostgreSQL's names")]
impl Rights {
    pub const INSERT: Self = Self(1);
    pub const SELECT: Self = Self(1 << 1);
    pub const UPDATE: Self = Self(1 << 2);
    pub const DELETE: Self = Self(1 << 3);
    pub const TRUNCATE: Self = Self(1 << 4);
    pub const REFERENCES: Self = Self(1 << 5);
    pub const TRIGGER: Self = Self(1 << 6);
    pub const EXECUTE: Self = Self(1 << 7);
    pub const USAGE: Self = Self(1 << 8);
    pub const CREATE: Self = Self(1 << 9);
    pub const TEMPORARY: Self = Self(1 << 10);
    pub const CONNECT: Self = Self(1 << 11);
    pub const NONE: Self = Self(0);

    /// Each, with its letter, in PostgreSQL's order.
    pub const ALL: [(Self, char, &'static str); 12] = [
        (Self::INSERT, 'a', "INSERT"),
        (Self::SELECT, 'r', "SELECT"),
        (Self::UPDATE, 'w', "UPDATE"),
        (Self::DELETE, 'd', "DELETE"),
        (Self::TRUNCATE, 'D', "TRUNCATE"),
        (Self::REFERENCES, 'x', "REFERENCES"),
        (Self::TRIGGER, 't', "TRIGGER"),
        (Self::EXECUTE, 'X', "EXECUTE"),
        (Self::USAGE, 'U', "USAGE"),
        (Self::CREATE, 'C', "CREATE"),
        (Self::TEMPORARY, 'T', "TEMPORARY"),
        (Self::CONNECT, 'c', "CONNECT"),
    ];

    /// A right by its name in GRANT.
    pub fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("temp") {
            return Some(Self::TEMPORARY);
        }
        let found = Self::ALL.iter().find(|(_, _, own)| own.eq_ignore_ascii_case(name));
        found.map(|(right, ..)| *right)
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether all of some others are among them.
    pub fn has(self, others: Self) -> bool {
        self & others == others
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Rights {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

/// Kinds of what has privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Securable {
    /// A table or view.
    Table,
    /// A column of one.
    Column,
    /// A sequence.
    Sequence,
    /// A schema.
    Schema,
    /// A function or procedure.
    Routine,
    /// A database.
    Database,
    /// A type.
    Type,
    /// A language.
    Language,
}

impl Securable {
    /// Each, with the number that records have.
    pub const ALL: [Self; 8] = [
        Self::Table,
        Self::Column,
        Self::Sequence,
        Self::Schema,
        Self::Routine,
        Self::Database,
        Self::Type,
        Self::Language,
    ];

    /// All rights that there are.
    pub fn all(self) -> Rights {
        use Rights as R;
        match self {
            Self::Table => Rights(0x7f),
            Self::Column => R::INSERT | R::SELECT | R::UPDATE | R::REFERENCES,
            Self::Sequence => R::USAGE | R::SELECT | R::UPDATE,
            Self::Schema => R::USAGE | R::CREATE,
            Self::Routine => R::EXECUTE,
            Self::Database => R::CREATE | R::TEMPORARY | R::CONNECT,
            Self::Type | Self::Language => R::USAGE,
        }
    }

    /// What everybody may do where nothing is said.
    pub fn of_everybody(self) -> Rights {
        match self {
            Self::Table | Self::Column | Self::Sequence | Self::Schema => Rights::NONE,
            Self::Routine => Rights::EXECUTE,
            Self::Database => Rights::TEMPORARY | Rights::CONNECT,
            Self::Type | Self::Language => Rights::USAGE,
        }
    }

    /// PostgreSQL's letter for it in `acldefault` and `pg_default_acl`.
    pub fn letter(self) -> char {
        match self {
            Self::Table => 'r',
            Self::Column => 'c',
            Self::Sequence => 'S',
            Self::Schema => 'n',
            Self::Routine => 'f',
            Self::Database => 'd',
            Self::Type => 'T',
            Self::Language => 'l',
        }
    }

    /// As `acldefault` names it.
    pub fn of_letter(letter: char) -> Option<Self> {
        let letter = if letter == 's' { 'S' } else { letter };
        Self::ALL.into_iter().find(|kind| kind.letter() == letter)
    }

    /// The kind of an object that may have an owner.
    pub fn of(kind: &ObjectKind) -> Option<Self> {
        match kind {
            ObjectKind::View(_) => Some(Self::Table),
            ObjectKind::Sequence(_) => Some(Self::Sequence),
            ObjectKind::Schema => Some(Self::Schema),
            ObjectKind::Routine(_) => Some(Self::Routine),
            ObjectKind::Type(_) => Some(Self::Type),
            ObjectKind::Comment { .. }
            | ObjectKind::Trigger(_)
            | ObjectKind::Role(_)
            | ObjectKind::Privileges(_)
            // Whose it is is said of the table.
            | ObjectKind::Materialized(_) => None,
        }
    }
}

/// What privileges are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// What it is.
    pub kind: Securable,
    /// Which.
    pub id: u32,
    /// The column's number, or 0.
    pub column: u16,
}

impl Subject {
    /// All of something.
    pub fn whole(kind: Securable, id: u32) -> Self {
        Self { kind, id, column: 0 }
    }

    /// A column of a table.
    pub fn column(table: u32, column: u16) -> Self {
        Self { kind: Securable::Column, id: table, column }
    }

    /// The name under which the catalog has what is said of it.
    pub fn name(&self) -> String {
        // Databases and languages have identifiers of their own, all else shares one sequence.
        let space = match self.kind {
            Securable::Database => "d",
            Securable::Language => "l",
            _ => "",
        };
        format!("{space}{}.{}", self.id, self.column)
    }

    /// Who owns it where nothing is said.
    pub fn first_owner(&self) -> u32 {
        if (self.kind, self.id) == (Securable::Schema, PUBLIC_ID) {
            DATABASE_OWNER_ROLE
        } else {
            BOOTSTRAP_ROLE
        }
    }

    /// What is so where nothing is said, under an owner.
    pub fn first_list(&self, owner: u32) -> Vec<AclItem> {
        let item = |grantee: u32, rights: Rights| AclItem {
            grantee,
            grantor: owner,
            rights,
            options: Rights::NONE,
        };
        let is_public = (self.kind, self.id) == (Securable::Schema, PUBLIC_ID);
        let of_everybody = if is_public { Rights::USAGE } else { self.kind.of_everybody() };
        let mut list = Vec::new();
        if !of_everybody.is_none() {
            list.push(item(EVERYBODY, of_everybody));
        }
        if self.kind != Securable::Column {
            list.push(item(owner, self.kind.all()));
        }
        if is_public {
            list.reverse();
        }
        list
    }
}

/// What is said of something: whose it is, and who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Privileges {
    /// Of what.
    pub subject: Subject,
    /// Who owns it.
    pub owner: u32,
    /// Who may do what; `None`: the defaults of its kind.
    pub list: Option<Vec<AclItem>>,
}

/// What a statement needs of who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// All of some rights.
    Rights(Named, Rights),
    /// Rights on a table, or on those of its columns that are meant; where none is, on any.
    Columns {
        /// Which.
        table: Named,
        /// What.
        rights: Rights,
        /// The columns that are read.
        selected: Vec<u16>,
        /// Those that rows are inserted with.
        inserted: Vec<u16>,
        /// Those that are changed.
        updated: Vec<u16>,
    },
    /// That it is one's own.
    Owner(Named),
    /// That one may do everything; else this is said.
    Superuser(String),
}

/// What one role gave another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AclItem {
    /// Whom, or [`EVERYBODY`].
    pub grantee: u32,
    /// Who.
    pub grantor: u32,
    /// What.
    pub rights: Rights,
    /// What of it the grantee may give on.
    pub options: Rights,
}

impl Privileges {
    /// What is so where nothing is said.
    pub fn first(subject: Subject) -> Self {
        Self { subject, owner: subject.first_owner(), list: None }
    }

    /// Who may do what.
    pub fn list(&self) -> Vec<AclItem> {
        self.list.clone().unwrap_or_else(|| self.subject.first_list(self.owner))
    }

    /// Whether somebody owns it.
    pub fn is_owned_by(&self, acting: &Acting) -> bool {
        acting.has_all_of(self.owner)
    }

    /// The rights that somebody has.
    pub fn held(&self, acting: &Acting) -> Rights {
        if acting.is_superuser {
            return self.subject.kind.all();
        }
        let mut held = self.of_roles(acting);
        let is_rows =
            matches!(self.subject.kind, Securable::Table | Securable::Column | Securable::Sequence);
        if acting.has.contains(&READ_ALL_ROLE) {
            held = held | if is_rows { Rights::SELECT } else { Rights::NONE };
            if self.subject.kind == Securable::Schema {
                held = held | Rights::USAGE;
            }
        }
        if acting.has.contains(&WRITE_ALL_ROLE) {
            if self.subject.kind == Securable::Table {
                held = held | Rights::INSERT | Rights::UPDATE | Rights::DELETE;
            }
            if self.subject.kind == Securable::Schema {
                held = held | Rights::USAGE;
            }
        }
        held
    }

    fn of_roles(&self, acting: &Acting) -> Rights {
        let items = self.list();
        let meant =
            |item: &&AclItem| item.grantee == EVERYBODY || acting.has.contains(&item.grantee);
        items.iter().filter(meant).fold(Rights::NONE, |rights, item| rights | item.rights)
    }

    /// The rights that somebody may give on.
    pub fn grantable(&self, acting: &Acting) -> Rights {
        if self.is_owned_by(acting) {
            return self.subject.kind.all();
        }
        let items = self.list();
        let meant = items.iter().filter(|item| acting.has.contains(&item.grantee));
        meant.fold(Rights::NONE, |rights, item| rights | item.options)
    }

    /// As whom somebody gives rights: as the owner, or as the role that may give most of them.
    pub fn grantor(&self, acting: &Acting, wanted: Rights) -> u32 {
        if self.is_owned_by(acting) {
            return self.owner;
        }
        let own = self.options_of(acting.id) & wanted;
        let best = acting.has.iter().map(|role| (self.options_of(*role) & wanted, *role));
        let best = best.max_by_key(|(options, _)| options.0.count_ones());
        match best {
            Some((options, role)) if options.0.count_ones() > own.0.count_ones() => role,
            _ => acting.id,
        }
    }

    fn options_of(&self, role: u32) -> Rights {
        if role == self.owner {
            return self.subject.kind.all();
        }
        let items = self.list();
        let own = items.iter().filter(|item| item.grantee == role);
        own.fold(Rights::NONE, |rights, item| rights | item.options)
    }

    /// Gives rights.
    pub fn grant(&mut self, grantor: u32, grantee: u32, rights: Rights, option: bool) {
        let mut list = self.list();
        let options = if option { rights } else { Rights::NONE };
        match list.iter_mut().find(|i| i.grantee == grantee && i.grantor == grantor) {
            Some(item) => {
                item.rights = item.rights | rights;
                item.options = item.options | options;
            }
            None => list.push(AclItem { grantee, grantor, rights, options }),
        }
        self.list = Some(list);
    }

    /// Takes rights back that a role gave, or only that they may be given on. What was given on goes, too:
    /// false if something was and CASCADE was not said.
    pub fn revoke(
        &mut self,
        (grantor, grantee): (u32, u32),
        rights: Rights,
        only_option: bool,
        cascade: bool,
    ) -> bool {
        let mut list = self.list();
        let found = list.iter_mut().find(|i| i.grantee == grantee && i.grantor == grantor);
        if let Some(item) = found {
            if !only_option {
                item.rights = item.rights & !rights;
            }
            item.options = item.options & !rights;
        }
        list.retain(|item| !item.rights.is_none());
        self.list = Some(list);
        self.revoke_orphans(rights, cascade)
    }

    /// Takes back what was given by who may not give it any more.
    fn revoke_orphans(&mut self, rights: Rights, cascade: bool) -> bool {
        loop {
            let list = self.list();
            let orphan = list.iter().find(|item| {
                let lost = !self.options_of(item.grantor) & item.rights & rights;
                item.grantor != self.owner && !lost.is_none()
            });
            let Some(orphan) = orphan.copied() else { return true };
            if !cascade {
                return false;
            }
            let lost = !self.options_of(orphan.grantor) & orphan.rights & rights;
            let mut list = list;
            for item in &mut list {
                if (item.grantee, item.grantor) == (orphan.grantee, orphan.grantor) {
                    item.rights = item.rights & !lost;
                    item.options = item.options & !lost;
                }
            }
            list.retain(|item| !item.rights.is_none());
            self.list = Some(list);
        }
    }

    /// It gets another owner, who has what the old one had and has given what that gave.
    pub fn set_owner(&mut self, owner: u32) {
        let old = std::mem::replace(&mut self.owner, owner);
        let Some(list) = &mut self.list else { return };
        let mut merged: Vec<AclItem> = Vec::new();
        for mut item in std::mem::take(list) {
            let other = |role: u32| if role == old { owner } else { role };
            (item.grantee, item.grantor) = (other(item.grantee), other(item.grantor));
            let same = |known: &&mut AclItem| {
                (known.grantee, known.grantor) == (item.grantee, item.grantor)
            };
            match merged.iter_mut().find(same) {
                Some(known) => {
                    known.rights = known.rights | item.rights;
                    known.options = known.options | item.options;
                }
                None => merged.push(item),
            }
        }
        *list = merged;
    }

    /// Whether a role is named in it.
    pub fn names(&self, role: u32) -> bool {
        let named = |item: &AclItem| item.grantee == role || item.grantor == role;
        self.list.as_ref().is_some_and(|list| list.iter().any(named))
    }

    /// Whether nothing is said that is not so anyway.
    pub fn is_first(&self) -> bool {
        self.list.is_none() && self.owner == self.subject.first_owner()
    }
}

impl AclItem {
    /// As PostgreSQL writes it: `alice=r*w/bob`.
    pub fn text(&self, name: &dyn Fn(u32) -> String) -> String {
        let quoted = |role: u32| {
            if role == EVERYBODY {
                return String::new();
            }
            let name = name(role);
            let is_plain = |c: char| c.is_alphanumeric() || c == '_';
            if name.chars().all(is_plain) {
                name
            } else {
                format!("\"{}\"", name.replace('"', "\"\""))
            }
        };
        let mut letters = String::new();
        for (right, letter, _) in Rights::ALL {
            if self.rights.has(right) {
                letters.push(letter);
                if self.options.has(right) {
                    letters.push('*');
                }
            }
        }
        format!("{}={letters}/{}", quoted(self.grantee), quoted(self.grantor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(privileges: &Privileges) -> String {
        let name = |role: u32| format!("r{role}");
        privileges.list().iter().map(|item| item.text(&name)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_was_given_on_goes_with_what_it_came_from() {
        let mut table = Privileges::first(Subject::whole(Securable::Table, 16_384));
        assert_eq!(shown(&table), "r10=arwdDxt/r10");
        table.grant(10, 1, Rights::SELECT | Rights::UPDATE, true);
        table.grant(1, 2, Rights::SELECT, true);
        table.grant(2, 3, Rights::SELECT, false);
        assert_eq!(shown(&table), "r10=arwdDxt/r10 r1=r*w*/r10 r2=r*/r1 r3=r/r2");
        let mut kept = table.clone();
        assert!(!kept.revoke((10, 1), Rights::SELECT, false, false));
        assert!(table.revoke((10, 1), Rights::SELECT, true, true));
        assert_eq!(shown(&table), "r10=arwdDxt/r10 r1=rw*/r10");
        table.set_owner(1);
        assert_eq!(shown(&table), "r1=arw*dDxt/r1");
    }

    #[test]
    fn rights_are_those_of_all_roles_that_one_has() {
        let mut view = Privileges::first(Subject::whole(Securable::Table, 16_384));
        view.grant(10, 5, Rights::SELECT, false);
        view.grant(10, EVERYBODY, Rights::INSERT, false);
        let acting = Acting { id: 4, has: [4, 5].into(), ..Acting::default() };
        assert_eq!(view.held(&acting), Rights::SELECT | Rights::INSERT);
        assert!(!view.is_owned_by(&acting) && view.grantable(&acting).is_none());
        let reader = Acting { id: 4, has: [4, READ_ALL_ROLE].into(), ..Acting::default() };
        assert_eq!(view.held(&reader), Rights::SELECT | Rights::INSERT);
        let schema = Privileges::first(Subject::whole(Securable::Schema, PUBLIC_ID));
        assert_eq!(schema.held(&acting), Rights::USAGE);
        assert_eq!(shown(&schema), "r6171=UC/r6171 =U/r6171");
    }
}
