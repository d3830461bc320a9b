//! What is sent for a hostile text beside what is sent for a harmless one: of one shape, apart from the
//! literals that hold the text.

use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use identity_trail::backend::Words;
use identity_trail::query::Case;
use identity_trail::query::pattern::TextPattern;
use regex::Regex;

/// Holds the words for `texts.0` against those for `texts.1`.
pub fn compare(field: &str, texts: (&str, &str), hostile: &[Words], harmless: &[Words]) {
    let case = Compared { field, texts };
    assert_eq!(hostile.len(), harmless.len(), "{case:?}");
    for pair in hostile.iter().zip(harmless) {
        match pair {
            (Words::Lookups(hostile), Words::Lookups(harmless)) => {
                let values = |lookups: &identity_trail::plan::Lookups| -> Vec<String> {
                    let attributes = lookups.attributes().into_iter().flatten();
                    attributes.map(|it| it.value().to_owned()).collect()
                };
                for (value, twin) in values(hostile).iter().zip(&values(harmless)) {
                    case.literal(value, twin);
                }
            }
            (Words::Sql(hostile), Words::Sql(harmless)) => case.sql(hostile, harmless),
            (Words::FilterPattern(hostile), Words::FilterPattern(harmless)) => {
                case.pattern(hostile, harmless);
            }
            (Words::InsightsQuery(hostile), Words::InsightsQuery(harmless)) => {
                case.insights(hostile, harmless);
            }
            other => panic!("{case:?}: {other:?}"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Compared<'a> {
    field: &'a str,
    texts: (&'a str, &'a str),
}

impl Compared<'_> {
    /// The literal is the harmless one with the text in its place. Whether that is the one that the
    /// text belongs into is told by the harmless one.
    fn literal(self, literal: &str, twin: &str) -> bool {
        let (text, harmless) = self.texts;
        // Of an ARN's path and name some places hold the name alone.
        let name = |text| str::rsplit(text, '/').next().unwrap_or_default();
        for (text, harmless) in [(text, harmless), (name(text), name(harmless))] {
            if !harmless.is_empty() && twin.contains(harmless) {
                assert_eq!(literal, twin.replace(harmless, text), "{self:?}");
                return true;
            }
        }
        assert_eq!(literal, twin, "{self:?}");
        false
    }

    fn is_resource(self) -> bool {
        self.field.starts_with("filter.resources")
    }

    /// One statement each, of the same tokens but for the literals.
    fn sql(self, hostile: &str, harmless: &str) {
        let (hostile, harmless) = (Statement::read(hostile), Statement::read(harmless));
        assert_eq!(hostile.shape, harmless.shape, "{self:?}");
        let mut holds_it = false;
        for (literal, twin) in hostile.literals.iter().zip(&harmless.literals) {
            holds_it |= match (self.is_resource(), literal, twin) {
                (_, Literal::Whole(literal), Literal::Whole(twin))
                | (false, Literal::Like(literal), Literal::Like(twin)) => {
                    self.literal(literal, twin)
                }
                (true, Literal::Like(literal), Literal::Like(_)) => {
                    self.finds_in_json(literal);
                    true
                }
                other => panic!("{self:?}: {other:?}"),
            };
        }
        assert!(
            holds_it,
            "{self:?}: nothing of it is in {:?}",
            hostile.literals
        );
    }

    /// A resource is looked for in JSON, which escapes some characters.
    fn finds_in_json(self, pattern: &str) {
        let (text, _) = self.texts;
        let pattern = TextPattern::wildcard(pattern, Case::Kept);
        let json = |text: &str| serde_json::json!({"bucketName": text}).to_string();
        assert!(pattern.matches(&json(text)), "{self:?}: {pattern:?}");
        // What no writer of JSON escapes is looked for as it is.
        let whole = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-.:@+,()! ".contains(c));
        if whole && text.len() > 1 {
            let other = format!("{}\u{7}{}", &text[..1], &text[1..]);
            assert!(!pattern.matches(&json(&other)), "{self:?}: {pattern:?}");
        }
    }

    /// The same members, operators and parentheses; between the quotes the text.
    fn pattern(self, hostile: &str, harmless: &str) {
        let (text, _) = self.texts;
        let pieces = |pattern: &str| -> (Vec<String>, Vec<String>) {
            let pieces = pattern.split('"').map(str::to_owned).enumerate();
            let (outside, inside): (Vec<_>, Vec<_>) = pieces.partition(|(at, _)| at % 2 == 0);
            let texts = |pieces: Vec<(usize, String)>| pieces.into_iter().map(|it| it.1).collect();
            (texts(outside), texts(inside))
        };
        let ((outside, terms), (twin_outside, twins)) = (pieces(hostile), pieces(harmless));
        assert_eq!(outside.len(), terms.len() + 1, "a quote is open: {hostile}");
        let syntax = |c: char| c.is_ascii_alphanumeric() || "{}()$.=|& ".contains(c);
        assert!(
            outside.iter().all(|piece| piece.chars().all(syntax)),
            "{hostile}"
        );
        // A text with characters that no term can hold, or a wildcard within, is several terms.
        let one_term = text
            .chars()
            .all(|c| c.is_ascii_graphic() && !"\"\\%*".contains(c));
        if one_term {
            assert_eq!(outside, twin_outside, "{self:?}");
            for (term, twin) in terms.iter().zip(&twins) {
                self.literal(term, twin);
            }
        }
    }

    /// The same commands; between the slashes an expression for the text.
    fn insights(self, hostile: &str, harmless: &str) {
        let (text, _) = self.texts;
        let ((outside, regexes), (twin_outside, twins)) =
            (expressions(hostile), expressions(harmless));
        for regex in &regexes {
            assert!(Regex::new(regex).is_ok(), "{self:?}: {regex}");
        }
        if self.is_resource() {
            // A name of which nothing can be spelled is not asked for.
            assert_eq!(
                outside.lines().last(),
                twin_outside.lines().last(),
                "{self:?}"
            );
            return;
        }
        assert_eq!(outside, twin_outside, "{self:?}");
        let spelled = |c: char| c.is_ascii_alphanumeric() || "_-.:@+,=()!/".contains(c);
        if !text.chars().all(spelled) {
            return;
        }
        for (regex, twin) in regexes.iter().zip(&twins) {
            let plain = |regex: &str| regex.replace("\\\\?\\/", "/").replace('\\', "");
            self.literal(&plain(regex), &plain(twin));
        }
    }
}

/// A query's text around the expressions, and these.
fn expressions(query: &str) -> (String, Vec<String>) {
    let (mut outside, mut regexes) = (String::new(), Vec::new());
    let mut rest = query;
    while let Some((before, after)) = rest.split_once('/') {
        let mut escaped = false;
        let end = after.find(|c| {
            let ends = !escaped && c == '/';
            escaped = !escaped && c == '\\';
            ends
        });
        let end = end.unwrap_or_else(|| panic!("an expression is open: {query}"));
        outside.push_str(before);
        outside.push('/');
        regexes.push(after[..end].to_owned());
        rest = &after[end + 1..];
    }
    outside.push_str(rest);
    assert_eq!(outside.lines().count(), 4, "{query}");
    (outside, regexes)
}

struct Statement {
    /// The tokens, without what literals hold.
    shape: Vec<String>,
    literals: Vec<Literal>,
}

#[derive(Debug)]
enum Literal {
    Whole(String),
    /// Of a pattern: its wildcards as `*`.
    Like(String),
}

impl Statement {
    fn read(sql: &str) -> Self {
        let statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        assert_eq!(statements.len(), 1, "{sql}");
        let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize().unwrap();
        let (mut shape, mut literals) = (Vec::new(), Vec::new());
        let mut word = String::new();
        for token in &tokens {
            match token {
                Token::SingleQuotedString(text) if word == "LIKE" => {
                    literals.push(Literal::Like(unescaped(text)));
                    shape.push("'…'".to_owned());
                }
                Token::SingleQuotedString(text) if word == "ESCAPE" => assert_eq!(text, "\\"),
                Token::SingleQuotedString(text) => {
                    literals.push(Literal::Whole(text.clone()));
                    shape.push("'…'".to_owned());
                }
                other => shape.push(other.to_string()),
            }
            match token {
                Token::Whitespace(_) => {}
                other => word = other.to_string(),
            }
        }
        Self { shape, literals }
    }
}

/// A pattern with its wildcards as `*`, those for one character as U+0001; any other is itself.
fn unescaped(pattern: &str) -> String {
    let mut text = String::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => text.extend(rest.next()),
            '%' => text.push('*'),
            '_' => text.push('\u{1}'),
            c => text.push(c),
        }
    }
    text
}
