//! Strings end to end in one buffer.

/// Strings: row `i` ends at `ends[i]` and starts where the row before it ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextData {
    text: String,
    ends: Vec<usize>,
}

impl TextData {
    /// No strings yet.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self { text: String::new(), ends: Vec::with_capacity(rows) }
    }

    /// Adds a string.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// The string in `row`.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn get(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.text[start..self.ends[row]]
    }

    pub(crate) fn size_bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<usize>()
    }
}
