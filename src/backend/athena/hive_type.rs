//! Hive's type strings, as `GetTableMetadata` returns them: `struct<arn:string,tags:array<string>>`.

/// How deep a type may nest; CloudTrail's own tables nest four levels.
const MAX_DEPTH: usize = 32;

/// A column's type, as far as writing SQL needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HiveType {
    /// `string`, `varchar(n)`, `char(n)`.
    Text,
    /// Any other scalar: `boolean`, `bigint`, `timestamp`, `decimal(10,2)` and the like.
    Scalar,
    /// A struct's fields, in order.
    Struct(Vec<(String, HiveType)>),
    /// An array, a map or a union: no path leads into it.
    Collection,
}

/// Why a type string cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read the type `{text}`: {expected} expected at character {at}")]
pub(super) struct BadType {
    text: String,
    expected: &'static str,
    at: usize,
}

impl HiveType {
    /// Reads a whole type string; white space between its parts is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, BadType> {
        let mut parser = Parser { text, at: 0 };
        let parsed = parser.parse_type(0)?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.expected("the end"));
        }
        Ok(parsed)
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn parse_type(&mut self, depth: usize) -> Result<HiveType, BadType> {
        if depth > MAX_DEPTH {
            return Err(self.expected("a type that nests less"));
        }
        let name = self.word("a type")?;
        match name.as_str() {
            "struct" => self.parse_struct(depth),
            "array" | "map" | "uniontype" => {
                self.token('<', "`<`")?;
                self.parse_type(depth + 1)?;
                while self.take(',') {
                    self.parse_type(depth + 1)?;
                }
                self.token('>', "`>`")?;
                Ok(HiveType::Collection)
            }
            "string" | "varchar" | "char" => {
                self.parse_arguments()?;
                Ok(HiveType::Text)
            }
            _ => {
                self.parse_arguments()?;
                Ok(HiveType::Scalar)
            }
        }
    }

    fn parse_struct(&mut self, depth: usize) -> Result<HiveType, BadType> {
        self.token('<', "`<`")?;
        let mut fields = Vec::new();
        loop {
            let name = self.word("a field's name")?;
            self.token(':', "`:`")?;
            fields.push((name, self.parse_type(depth + 1)?));
            if !self.take(',') {
                break;
            }
        }
        self.token('>', "`>`")?;
        Ok(HiveType::Struct(fields))
    }

    /// The `(10,2)` of `decimal(10,2)`.
    fn parse_arguments(&mut self) -> Result<(), BadType> {
        if self.take('(') {
            self.word("a number")?;
            while self.take(',') {
                self.word("a number")?;
            }
            self.token(')', "`)`")?;
        }
        Ok(())
    }

    /// A name in lower case (Hive's names know no case), or a number.
    fn word(&mut self, expected: &'static str) -> Result<String, BadType> {
        self.skip_space();
        let rest = &self.text[self.at..];
        let (word, quotes) = if let Some(quoted) = rest.strip_prefix('`') {
            (quoted.split('`').next().unwrap_or_default(), 2)
        } else {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || "_-$".contains(c)))
                .unwrap_or(rest.len());
            (&rest[..end], 0)
        };
        if word.is_empty() || rest.len() < word.len() + quotes {
            return Err(self.expected(expected));
        }
        self.at += word.len() + quotes;
        Ok(word.to_lowercase())
    }

    fn token(&mut self, token: char, expected: &'static str) -> Result<(), BadType> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.expected(expected))
        }
    }

    fn take(&mut self, token: char) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len_utf8();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn expected(&self, expected: &'static str) -> BadType {
        BadType {
            text: self.text.to_owned(),
            expected,
            at: self.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_keep_their_fields_and_collections_end_the_path() {
        let parsed = HiveType::parse(
            "struct<type:string, Attributes:struct<mfaauthenticated:varchar(5)>,\n `at`:timestamp,tags:map<string,array<struct<k:string>>>>",
        );
        let text = |name: &str| (name.to_owned(), HiveType::Text);
        assert_eq!(
            parsed,
            Ok(HiveType::Struct(vec![
                text("type"),
                (
                    "attributes".into(),
                    HiveType::Struct(vec![text("mfaauthenticated")])
                ),
                ("at".into(), HiveType::Scalar),
                ("tags".into(), HiveType::Collection),
            ]))
        );
    }

    #[test]
    fn scalars_are_text_or_not() {
        for text in ["string", " STRING ", "varchar(12)", "char(1)"] {
            assert_eq!(HiveType::parse(text), Ok(HiveType::Text), "{text}");
        }
        for scalar in ["boolean", "decimal(10, 2)", "bigint", "timestamp"] {
            assert_eq!(HiveType::parse(scalar), Ok(HiveType::Scalar), "{scalar}");
        }
    }

    #[test]
    fn what_is_no_type_is_refused_with_its_place() {
        for wrong in [
            "",
            "struct<>",
            "struct<a>",
            "struct<a:string",
            "array<string>>",
            "map<string,>",
            "varchar(",
            "`a",
            "string string",
        ] {
            assert!(HiveType::parse(wrong).is_err(), "{wrong}");
        }
        let error = HiveType::parse("struct<a:string").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the type `struct<a:string`: `>` expected at character 15"
        );
        assert!(HiveType::parse(&"array<".repeat(100_000)).is_err());
    }
}
