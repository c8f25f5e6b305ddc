//! The words of a statement, without its comments.

use std::borrow::Cow;

/// A word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// A keyword, a bare name, a number.
    Word(&'a str),
    /// A name in backticks.
    Quoted(Cow<'a, str>),
    /// A text; in the mode ANSI_QUOTES one in double quotes is a name.
    Text(Cow<'a, str>),
    Sign(char),
}

impl Token<'_> {
    /// Whether it is this keyword.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    pub fn is_sign(&self, sign: char) -> bool {
        *self == Token::Sign(sign)
    }

    /// The name that it may be.
    pub fn name(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            Token::Quoted(name) | Token::Text(name) => Some(name),
            Token::Sign(_) => None,
        }
    }
}

/// The tokens of a statement. Of comments with a version the words count: the server that wrote them has followed them. A
/// backslash in a text is one, where it does not escape (`NO_BACKSLASH_ESCAPES`).
pub fn tokens(sql: &str, escapes: bool) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    while let Some((token, behind)) = next(rest, escapes) {
        tokens.push(token);
        rest = behind;
    }
    tokens
}

/// The first token, and what is behind.
pub fn next(sql: &str, escapes: bool) -> Option<(Token<'_>, &str)> {
    let sql = skipped(sql);
    let first = sql.chars().next()?;
    Some(match first {
        '`' => {
            let (name, rest) = quoted(sql, '`', false);
            (Token::Quoted(name), rest)
        }
        '\'' | '"' => {
            let (text, rest) = quoted(sql, first, escapes);
            (Token::Text(text), rest)
        }
        c if is_of_word(c) => {
            let end = sql.find(|c| !is_of_word(c)).unwrap_or(sql.len());
            (Token::Word(&sql[..end]), &sql[end..])
        }
        c => (Token::Sign(c), &sql[c.len_utf8()..]),
    })
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// What stands in quotes at the beginning, and what is behind.
fn quoted(sql: &str, quote: char, escapes: bool) -> (Cow<'_, str>, &str) {
    let mut text = String::new();
    let mut chars = sql.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if escapes => text.extend(chars.next().map(|(_, c)| c)),
            c if c != quote => text.push(c),
            _ if chars.peek().is_some_and(|(_, next)| *next == quote) => {
                chars.next();
                text.push(quote);
            }
            _ => return (text.into(), &sql[at + 1..]),
        }
    }
    (text.into(), "")
}

/// What comes behind blanks and comments.
fn skipped(mut sql: &str) -> &str {
    loop {
        sql = sql.trim_start();
        let after = match sql.as_bytes() {
            [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                let inner = sql[2..].trim_start_matches(['M', '!']);
                Some(inner.trim_start_matches(|c: char| c.is_ascii_digit()))
            }
            [b'/', b'*', ..] => sql[2..].find("*/").map(|at| &sql[at + 4..]),
            [b'*', b'/', ..] => Some(&sql[2..]),
            [b'#', ..] => sql.find('\n').map(|at| &sql[at + 1..]),
            [b'-', b'-', blank, ..] if blank.is_ascii_whitespace() => sql.find('\n').map(|at| &sql[at + 1..]),
            [b'-', b'-'] => None,
            _ => return sql,
        };
        match after {
            Some(after) => sql = after,
            None => return "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_texts_and_signs_are_told_apart() {
        let all =
            tokens("alter /* of mine */ table `a``b`.c add d varchar(20) comment 'it''s, \\'x\\'' -- the end", true);
        let said: Vec<_> = all
            .iter()
            .map(|token| match token {
                Token::Word(word) => (*word).to_owned(),
                Token::Quoted(name) => format!("`{name}`"),
                Token::Text(text) => format!("<{text}>"),
                Token::Sign(sign) => sign.to_string(),
            })
            .collect();
        let expected = ["alter", "table", "`a`b`", ".", "c", "add", "d", "varchar", "(", "20", ")", "comment"];
        assert_eq!(said[..12], expected);
        assert_eq!(said[12..], ["<it's, 'x'>"]);
    }

    #[test]
    fn a_backslash_may_be_one() {
        let text = |escapes| tokens(r"'a\', x", escapes).len();
        assert_eq!((text(true), text(false)), (1, 3));
    }

    #[test]
    fn comments_with_a_version_count() {
        let words =
            |sql| tokens(sql, true).iter().filter_map(|token| token.name().map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(words("/*!50003 create trigger x */ y"), ["create", "trigger", "x", "y"]);
        assert_eq!(words("/*M! create */"), ["create"]);
        assert_eq!(words("# one\n-- two\ndrop"), ["drop"]);
        assert!(words("/* without an end").is_empty() && words("").is_empty() && words("`").len() == 1);
    }
}
