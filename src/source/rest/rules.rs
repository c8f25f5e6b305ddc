//! What an answer means beyond its status: conditions on values of its body, as people write them.
//!
//! `error.code in 4, 17, 32, 613`; several, of which one is enough, on lines of their own or separated by `;`; several that
//! must all hold are joined by `and`.

use std::fmt;

use super::body::Path;

/// Conditions, of which one that holds is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Vec<Vec<Condition>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    of: Of,
    test: Test,
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    Status,
    /// A header, in lower case.
    Header(String),
    /// A place in the body.
    Body(Path),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Missing,
    Contains(String),
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Rules {
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let alternatives = text.split(['\n', ';']).map(str::trim).filter(|part| !part.is_empty());
        let all = |part: &str| split_words(part, "and").into_iter().map(condition).collect();
        alternatives.map(all).collect::<Result<_, _>>().map(Self)
    }

    /// Those that look at nothing of a body.
    pub fn without_body(self) -> Self {
        let looks = |all: &Vec<Condition>| all.iter().any(|condition| matches!(condition.of, Of::Body(_)));
        Self(self.0.into_iter().filter(|all| !looks(all)).collect())
    }

    /// Where they look in the body.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().flatten().filter_map(|condition| match &condition.of {
            Of::Body(path) => Some(path),
            Of::Status | Of::Header(_) => None,
        })
    }

    /// Whether one holds. `value` tells the text of what is there: of a number as it is written, of an object or a list
    /// nothing but that it is there (the empty text).
    pub fn hold<'v>(&self, value: impl Fn(&Of) -> Option<&'v str>) -> bool {
        self.0.iter().any(|all| all.iter().all(|condition| condition.test.holds(value(&condition.of))))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (Test::Exists, value) => value.is_some(),
            (Test::Missing, value) => value.is_none(),
            (Test::In(wanted), Some(value)) => wanted.iter().any(|wanted| wanted == value),
            // What is not there is none of them, and says nothing.
            (Test::In(_) | Test::NotIn(_) | Test::Contains(_), None) => false,
            (Test::NotIn(wanted), Some(value)) => wanted.iter().all(|wanted| wanted != value),
            (Test::Contains(part), Some(value)) => value.to_lowercase().contains(part),
        }
    }
}

fn condition(text: &str) -> Result<Condition, Problem> {
    let problem = || {
        Problem(format!(
            "`{text}` is no condition: write `error.code in 4, 17` (without parentheses), `status = 420`, `error exists`, \
             `error missing`, `error.message contains limit` or `header.x-state != ready`; `;` joins alternatives, and odd \
             values stand in double quotes"
        ))
    };
    let (of, _) = text.split_once(|c: char| c.is_whitespace() || c == '=' || c == '!').ok_or_else(problem)?;
    let rest = text[of.len()..].trim_start();
    let test = if let Some(value) = rest.strip_prefix("!=") {
        Test::NotIn(vec![plain(value).ok_or_else(problem)?])
    } else if let Some(value) = rest.strip_prefix('=') {
        Test::In(vec![plain(value).ok_or_else(problem)?])
    } else {
        let (word, values) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        match (word, values.trim()) {
            ("exists", "") => Test::Exists,
            ("missing", "") => Test::Missing,
            ("in", values) => Test::In(list(values).ok_or_else(problem)?),
            ("contains", part) => Test::Contains(plain(part).ok_or_else(problem)?.to_lowercase()),
            _ => return Err(problem()),
        }
    };
    let of = match (of, of.strip_prefix("header.")) {
        ("", _) => return Err(problem()),
        ("status", _) => Of::Status,
        (_, Some(name)) => Of::Header(name.to_ascii_lowercase()),
        (path, None) => Of::Body(Path::parse(path).map_err(|wrong| Problem(format!("`{path}` {wrong}")))?),
    };
    Ok(Condition { of, test })
}

fn list(text: &str) -> Option<Vec<String>> {
    text.split(',').map(plain).collect()
}

/// A value, without the quotes that it may stand in. `None` of one that is taken from another language, and would never hold:
/// `= 17` behind `=`, `'17'`, `(4`, `17 or status = 420`.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match quoted {
        Some(quoted) => (!quoted.contains('"') || !joins(quoted)).then(|| quoted.to_owned()),
        None => (!text.is_empty() && !text.starts_with(['=', '\'', '(']) && !joins(text)).then(|| text.to_owned()),
    }
}

/// Whether words stand on both sides of an `or`. An `and` of capitals is one too: the other has parted the text before.
fn joins(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let inner = words.get(1..words.len().saturating_sub(1)).unwrap_or_default();
    inner.iter().any(|word| word.eq_ignore_ascii_case("or") || word.eq_ignore_ascii_case("and"))
}

/// The parts between a word that stands alone.
fn split_words<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    for piece in text.split_inclusive(char::is_whitespace) {
        if piece.trim_end() == word {
            parts.push(text[begin..at].trim());
            begin = at + piece.len();
        }
        at += piece.len();
    }
    parts.push(text[begin..].trim());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(rules: &str, there: &[(Of, &'static str)]) -> bool {
        let find = |of: &Of| there.iter().find(|(known, _)| known == of).map(|(_, value)| *value);
        Rules::parse(rules).unwrap().hold(find)
    }

    fn body(path: &str) -> Of {
        Of::Body(Path::parse(path).unwrap())
    }

    #[test]
    fn one_of_several_is_enough() {
        let code = |code| [(body("error.code"), code), (Of::Status, "400")];
        let rules = "error.code in 4, 17,32 ; status = 420\nerror.code=\"613\"";
        for (is, held) in [("17", true), ("32", true), ("613", true), ("1", false), ("170", false)] {
            assert_eq!(hold(rules, &code(is)), held, "{is}");
        }
        assert!(hold(rules, &[(Of::Status, "420")]));
        assert!(!hold(rules, &[]) && !hold("", &code("4")));
    }

    #[test]
    fn all_of_those_that_are_joined_must_hold() {
        let rules = "status = 400 and error.code in 4 and error.message contains Limit";
        let there =
            |status, message| [(Of::Status, status), (body("error.code"), "4"), (body("error.message"), message)];
        assert!(hold(rules, &there("400", "request LIMIT reached")));
        assert!(!hold(rules, &there("400", "no such thing")));
        assert!(!hold(rules, &there("200", "limit")));
    }

    #[test]
    fn what_is_there_and_what_is_not() {
        let error = [(body("error"), "")];
        assert!(hold("error exists", &error) && !hold("error exists", &[]));
        assert!(hold("error missing", &[]) && !hold("error missing", &error));
        let ready = [(Of::Header("x-state".to_owned()), "busy")];
        assert!(hold("header.X-State != ready", &ready) && !hold("header.x-state != ready", &[]));
    }

    #[test]
    fn those_of_the_body_are_left_out_with_what_is_joined_to_them() {
        let rules =
            Rules::parse("status = 420; status = 400 and error missing; header.x-state = busy; error exists").unwrap();
        assert_eq!(rules.without_body(), Rules::parse("status = 420; header.x-state = busy").unwrap());
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for wrong in
            ["error.code", "in 4", "error.code in", "= 4", "error.code ~ 4", "error exists now", "a = 1 and", "a[ = 1"]
        {
            assert!(Rules::parse(wrong).is_err(), "{wrong}");
        }
        for foreign in [
            "error.code == 17",
            "error.code = '17'",
            "error.code != '17'",
            "error.code = 17 or error.code = 4",
            "error.code = 17 OR error.code = 4",
            "error.code = 17 AND status = 400",
            r#"error.code = "17" or error.code = "4""#,
            "error.code in (4, 17)",
            "error.code in '4', '17'",
            "error.message contains 'limit'",
        ] {
            let problem = Rules::parse(foreign).unwrap_err().to_string();
            assert!(problem.contains("`;` joins alternatives") && problem.contains("without parentheses"), "{problem}");
        }
        assert!(hold(r#"a = "'x' or (y)""#, &[(body("a"), "'x' or (y)")]), "in quotes it is what it is");
        assert!(hold("a = OR", &[(body("a"), "OR")]), "Oregon");
        let rules = Rules::parse("$.a.b in 1 and status = 2; header.x exists").unwrap();
        assert_eq!(rules.paths().map(ToString::to_string).collect::<Vec<_>>(), ["a.b"]);
    }
}
