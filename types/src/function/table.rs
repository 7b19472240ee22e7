//! The table of all functions and operators, built once.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use super::{Function, FunctionId, Kernel, Volatility};
use crate::DataType;

/// The entries, and where those of a name are.
struct Table {
    functions: Vec<Function>,
    by_name: BTreeMap<&'static str, Vec<FunctionId>>,
}

/// Collects entries; each module of functions adds its own.
pub(super) struct Builder {
    functions: Vec<Function>,
}

impl Builder {
    /// Adds a strict, immutable function.
    pub(super) fn add(
        &mut self,
        name: &'static str,
        args: &'static [DataType],
        result: DataType,
        kernel: Kernel,
    ) -> &mut Function {
        let id = FunctionId(u16::try_from(self.functions.len()).expect("fewer than 65536 entries"));
        self.functions.push(Function {
            id,
            name,
            args,
            variadic: None,
            result,
            strict: true,
            volatility: Volatility::Immutable,
            kernel,
        });
        self.functions.last_mut().expect("just pushed")
    }

    /// Adds an entry once more under another name, if there is one with these arguments.
    pub(super) fn alias(&mut self, name: &'static str, of: &str, args: &'static [DataType]) {
        let is = |entry: &&Function, name: &str| entry.name == name && entry.args == args;
        let found = self.functions.iter().find(|entry| is(entry, of)).cloned();
        let is_known = self.functions.iter().any(|entry| is(&entry, name));
        if let Some(mut copy) = found.filter(|_| !is_known) {
            copy.id =
                FunctionId(u16::try_from(self.functions.len()).expect("fewer than 65536 entries"));
            copy.name = name;
            self.functions.push(copy);
        }
    }

    /// Adds a strict function whose result depends on the session.
    pub(super) fn stable(
        &mut self,
        name: &'static str,
        args: &'static [DataType],
        result: DataType,
        kernel: Kernel,
    ) {
        self.add(name, args, result, kernel).volatility = Volatility::Stable;
    }
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut builder = Builder { functions: Vec::with_capacity(1024) };
        super::integer::add(&mut builder);
        super::float::add(&mut builder);
        super::numeric::add(&mut builder);
        super::compare::add(&mut builder);
        super::string::add(&mut builder);
        super::string_format::add(&mut builder);
        super::text_search::add(&mut builder);
        super::pattern::add(&mut builder);
        super::bytes::add(&mut builder);
        super::hash::add(&mut builder);
        super::datetime::add(&mut builder);
        super::session::add(&mut builder);
        super::actions::add(&mut builder);
        super::sequence::add(&mut builder);
        super::cast_calls::add(&mut builder);
        super::array::add(&mut builder);
        super::array_search::add(&mut builder);
        super::array_text::add(&mut builder);
        super::catalog::add(&mut builder);
        super::json::add(&mut builder);
        super::json_build::add(&mut builder);
        super::json_record::add(&mut builder);
        super::regexp::add(&mut builder);
        super::digest::add(&mut builder);
        super::bytes_edit::add(&mut builder);
        super::identifier::add(&mut builder);
        super::variadic::add(&mut builder);
        super::timetz::add(&mut builder);
        super::bit::add(&mut builder);
        super::money::add(&mut builder);
        super::network::add(&mut builder);
        super::range::add(&mut builder);
        super::jsonpath::add(&mut builder);
        super::user_type::add(&mut builder);
        // Last: it names what is there.
        super::internal::add(&mut builder);
        let mut by_name: BTreeMap<&'static str, Vec<FunctionId>> = BTreeMap::new();
        for function in &builder.functions {
            by_name.entry(function.name).or_default().push(function.id);
        }
        Table { functions: builder.functions, by_name }
    })
}

/// The function with an id.
///
/// # Panics
/// If this build did not hand out the id.
pub fn function(id: FunctionId) -> &'static Function {
    &table().functions[usize::from(id.0)]
}

/// Every function and operator.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    table().functions.iter()
}

/// Those with a name.
pub(super) fn named(name: &str) -> impl Iterator<Item = &'static Function> + Clone {
    let table = table();
    let ids = table.by_name.get(name).map_or(&[][..], Vec::as_slice);
    ids.iter().map(|id| &table.functions[usize::from(id.0)])
}
