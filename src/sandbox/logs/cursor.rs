//! What both of the languages here are read with: a place in a text.

/// A text and how far it is read. Everything but [`Cursor::eat`] leaves it where it was when it
/// does not find what it looks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// How many characters are read.
    pub fn position(&self) -> usize {
        self.text[..self.at].chars().count()
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Reads white space.
    pub fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Reads white space, then `what`, if it is next.
    pub fn eat(&mut self, what: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    /// Reads the longest run of characters that `takes` accepts, which may be empty.
    pub fn take_while(&mut self, takes: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|next| !takes(next)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Reads up to `delimiter` and the delimiter, and gives what stands before it.
    pub fn take_until(&mut self, delimiter: char) -> Option<&'a str> {
        let (before, _) = self.rest().split_once(delimiter)?;
        self.at += before.len() + delimiter.len_utf8();
        Some(before)
    }

    /// Whether only white space is left.
    pub fn is_at_end(&self) -> bool {
        self.rest().trim_start().is_empty()
    }
}
