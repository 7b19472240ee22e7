//! What a new row of a table goes through before it is written: columns that are computed from others, then
//! conditions.

use crate::Expr;

/// One table's, bound. Expressions are over the whole row; which form of columns they have says who holds
/// them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowRules {
    /// The columns that are computed: position and value, over the others.
    pub generated: Vec<(usize, Expr)>,
    /// Each CHECK's name and condition, over the row with what was computed.
    pub checks: Vec<(String, Expr)>,
}

impl RowRules {
    /// Every expression.
    pub fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let checks = self.checks.iter_mut().map(|(_, condition)| condition);
        self.generated.iter_mut().map(|(_, value)| value).chain(checks)
    }
}

impl From<Vec<(String, Expr)>> for RowRules {
    fn from(checks: Vec<(String, Expr)>) -> Self {
        Self { generated: Vec::new(), checks }
    }
}
