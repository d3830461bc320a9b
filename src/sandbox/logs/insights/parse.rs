//! Reading a query.

use std::str::FromStr;

use regex::Regex;

use crate::sandbox::logs::cursor::Cursor;

use super::{Column, Filter, NotAQuery, Operator, Order, Query, Scalar};

/// How deep conditions may nest.
const MAX_DEPTH: usize = 100;

/// The most rows that a query may have.
pub(in crate::sandbox::logs) const MAX_ROWS: usize = 100_000;

/// Commands in the order in which they must come, `filter` any number of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Command {
    Fields,
    Filter,
    Sort,
    Limit,
}

impl FromStr for Query {
    type Err = NotAQuery;

    fn from_str(text: &str) -> Result<Self, NotAQuery> {
        let mut parser = Parser {
            cursor: Cursor::new(text),
            depth: 0,
        };
        let mut query = Self {
            columns: vec![Column::Timestamp, Column::Message],
            filters: Vec::new(),
            order: Order::NewestFirst,
            limit: None,
        };
        let mut last = None;
        loop {
            let command = parser.command()?;
            if last > Some(command) || (last == Some(command) && command != Command::Filter) {
                return parser.refuse(
                    "the sandbox takes fields, filter, sort and limit in this order, and only \
                     filter twice",
                );
            }
            last = Some(command);
            match command {
                Command::Fields => query.columns = parser.columns()?,
                Command::Filter => query.filters.push(parser.any()?),
                Command::Sort => query.order = parser.order()?,
                Command::Limit => query.limit = Some(parser.limit()?),
            }
            if parser.cursor.is_at_end() {
                return Ok(query);
            }
            if !parser.cursor.eat("|") {
                return parser.refuse("expected `|` or the end of the query");
            }
        }
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn refuse<T>(&self, what: impl Into<String>) -> Result<T, NotAQuery> {
        Err(NotAQuery {
            what: what.into(),
            position: self.cursor.position(),
        })
    }

    /// The next word, which is not read on; empty if there is none.
    fn peek(&self) -> &'a str {
        let mut cursor = self.cursor;
        cursor.skip_space();
        cursor.take_while(|next| next.is_ascii_alphanumeric() || next == '_')
    }

    fn word(&mut self, word: &str) -> bool {
        self.peek() == word && self.cursor.eat(word)
    }

    fn command(&mut self) -> Result<Command, NotAQuery> {
        for (word, command) in [
            ("fields", Command::Fields),
            ("filter", Command::Filter),
            ("sort", Command::Sort),
            ("limit", Command::Limit),
        ] {
            if self.word(word) {
                return Ok(command);
            }
        }
        self.refuse("the sandbox has the commands fields, filter, sort and limit")
    }

    fn columns(&mut self) -> Result<Vec<Column>, NotAQuery> {
        let mut columns = Vec::new();
        loop {
            let column = match &*self.field()? {
                "@message" => Column::Message,
                "@timestamp" => Column::Timestamp,
                "@logStream" => Column::LogStream,
                _ => {
                    return self
                        .refuse("the sandbox shows @message, @timestamp and @logStream only");
                }
            };
            if columns.contains(&column) {
                return self.refuse("expected each field once");
            }
            columns.push(column);
            if !self.cursor.eat(",") {
                return Ok(columns);
            }
        }
    }

    fn order(&mut self) -> Result<Order, NotAQuery> {
        if self.field()? != "@timestamp" {
            return self.refuse("the sandbox sorts by @timestamp only");
        }
        if self.word("asc") {
            Ok(Order::OldestFirst)
        } else if self.word("desc") {
            Ok(Order::NewestFirst)
        } else {
            self.refuse("expected asc or desc")
        }
    }

    fn limit(&mut self) -> Result<usize, NotAQuery> {
        self.cursor.skip_space();
        let digits = self.cursor.take_while(|next| next.is_ascii_digit());
        match digits.parse() {
            Ok(limit) if (1..=MAX_ROWS).contains(&limit) => Ok(limit),
            _ => self.refuse(format!("expected a number of rows from 1 to {MAX_ROWS}")),
        }
    }

    fn any(&mut self) -> Result<Filter, NotAQuery> {
        let mut filters = vec![self.all()?];
        while self.word("or") {
            filters.push(self.all()?);
        }
        Ok(only_or(filters, Filter::Any))
    }

    fn all(&mut self) -> Result<Filter, NotAQuery> {
        let mut filters = vec![self.one()?];
        while self.word("and") {
            filters.push(self.one()?);
        }
        Ok(only_or(filters, Filter::All))
    }

    fn one(&mut self) -> Result<Filter, NotAQuery> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.refuse("conditions nest too deeply");
        }
        let filter = if self.word("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.word("ispresent") {
            self.expect("(")?;
            let field = self.field()?;
            self.expect(")")?;
            Filter::IsPresent(field)
        } else if self.cursor.eat("(") {
            let filter = self.any()?;
            self.expect(")")?;
            filter
        } else {
            let field = self.field()?;
            self.condition(field)?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn condition(&mut self, field: String) -> Result<Filter, NotAQuery> {
        if self.word("not") {
            if !matches!(self.peek(), "like" | "in") {
                return self.refuse("expected like or in");
            }
            return Ok(Filter::Not(Box::new(self.condition(field)?)));
        }
        if self.word("in") {
            self.expect("[")?;
            let mut literals = vec![self.literal()?];
            while self.cursor.eat(",") {
                literals.push(self.literal()?);
            }
            self.expect("]")?;
            return Ok(Filter::In { field, literals });
        }
        if self.word("like") {
            if self.cursor.eat("/") {
                let expression = self.expression()?;
                return Ok(Filter::Like { field, expression });
            }
            return match self.literal()? {
                Scalar::Text(text) => Ok(Filter::Contains { field, text }),
                _ => self.refuse("expected a text or an expression between slashes"),
            };
        }
        // The longer ones first.
        let operators = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (symbol, operator) in operators {
            if self.cursor.eat(symbol) {
                let literal = self.literal()?;
                return Ok(Filter::Compare {
                    field,
                    operator,
                    literal,
                });
            }
        }
        self.refuse("expected a comparison, like or in")
    }

    /// A field's name. Whatever is not `@`, `.`, a letter or a digit needs backticks.
    fn field(&mut self) -> Result<String, NotAQuery> {
        self.cursor.skip_space();
        let mut name = String::new();
        loop {
            let plain = |next: char| next.is_ascii_alphanumeric() || matches!(next, '@' | '.');
            name.push_str(self.cursor.take_while(plain));
            if !self.cursor.rest().starts_with('`') {
                break;
            }
            self.expect("`")?;
            match self.cursor.take_until('`') {
                Some(quoted) => name.push_str(quoted),
                None => return self.refuse("expected a closing backtick"),
            }
        }
        if name.is_empty() {
            return self.refuse("expected a field");
        }
        Ok(name)
    }

    fn literal(&mut self) -> Result<Scalar, NotAQuery> {
        self.cursor.skip_space();
        for quote in ['"', '\''] {
            if self.cursor.rest().starts_with(quote) {
                self.cursor.eat(quote.encode_utf8(&mut [0; 4]));
                return match self.cursor.take_until(quote) {
                    Some(text) if text.contains('\\') => {
                        self.refuse("how a backslash in a text is read is undocumented")
                    }
                    Some(text) => Ok(Scalar::Text(text.to_owned())),
                    None => self.refuse("expected a closing quotation mark"),
                };
            }
        }
        let takes = |next: char| next.is_ascii_digit() || matches!(next, '-' | '.');
        match self.cursor.take_while(takes).parse() {
            Ok(number) => Ok(Scalar::Number(number)),
            Err(_) => self.refuse("expected a text in quotation marks or a number"),
        }
    }

    /// What stands between slashes, the first of which is read.
    fn expression(&mut self) -> Result<Regex, NotAQuery> {
        let mut text = String::new();
        loop {
            let Some(part) = self.cursor.take_until('/') else {
                return self.refuse("expected a closing slash");
            };
            text.push_str(part);
            let backslashes = part.len() - part.trim_end_matches('\\').len();
            if backslashes % 2 == 0 {
                break;
            }
            text.push('/');
        }
        Regex::new(&text).or_else(|error| self.refuse(error.to_string()))
    }

    fn expect(&mut self, what: &str) -> Result<(), NotAQuery> {
        if self.cursor.eat(what) {
            Ok(())
        } else {
            self.refuse(format!("expected `{what}`"))
        }
    }
}

fn only_or(mut filters: Vec<Filter>, several: fn(Vec<Filter>) -> Filter) -> Filter {
    match (filters.len(), filters.pop()) {
        (1, Some(only)) => only,
        (_, last) => several(filters.into_iter().chain(last).collect()),
    }
}
