//! The data map: what every column of every table holds, whose it is, and what export and deletion do with it.
//!
//! Each room states its own tables next to its store. A test walks the live schema and fails on a column that nobody has
//! classified; the privacy page, the export and the deletion are built from the same statements.

/// One table's columns.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub category: Category,
    pub whose: Whose,
    pub exported: bool,
    pub on_deletion: OnDeletion,
    pub retention: Retention,
    /// Nobody reads it without the keys.
    pub sealed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Names an entity or ties two together.
    Reference,
    /// Name, mail: who somebody is.
    Identity,
    /// Password, session and token material.
    Credential,
    /// What people wrote, uploaded or made.
    Content,
    /// What happened when, and how it ended.
    Activity,
    Money,
    /// Settings and machinery that say nothing about a person.
    Operation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Person,
    Organisation,
    Nobody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeletion {
    Erase,
    /// The row stays, its tie to the person goes.
    Anonymise,
    /// Stays, for the reason given.
    Keep(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// As long as what it belongs to.
    WithOwner,
    Days(u32),
    Years(u32),
    /// As long as the organisation runs the server.
    Forever(&'static str),
}

impl Column {
    pub const fn new(
        name: &'static str,
        category: Category,
        whose: Whose,
        exported: bool,
        on_deletion: OnDeletion,
        retention: Retention,
    ) -> Self {
        Self { name, category, whose, exported, on_deletion, retention, sealed: false }
    }

    /// Sealed before it is written.
    pub const fn sealed(self) -> Self {
        Self { sealed: true, ..self }
    }

    /// A person's own, exported to them and erased with their account.
    pub const fn personal(name: &'static str, category: Category) -> Self {
        Self::new(name, category, Whose::Person, true, OnDeletion::Erase, Retention::WithOwner)
    }

    /// A person's own, erased with their account and never handed out: secrets and internal keys.
    pub const fn withheld(name: &'static str, category: Category) -> Self {
        Self::new(name, category, Whose::Person, false, OnDeletion::Erase, Retention::WithOwner)
    }

    /// Says nothing about anybody.
    pub const fn operational(name: &'static str, retention: Retention) -> Self {
        let keep = OnDeletion::Keep("says nothing about a person");
        Self::new(name, Category::Operation, Whose::Nobody, false, keep, retention)
    }
}
