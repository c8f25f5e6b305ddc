//! `${VAR}` and `${VAR:-default}` in values.

use std::collections::BTreeMap;
use std::fmt;

/// The process's environment, or a fixed one in tests. A variable that is not UTF-8 has no value.
#[derive(Clone)]
pub struct Environment(BTreeMap<String, Option<String>>);

impl Environment {
    pub fn of_process() -> Self {
        // A variable that is not UTF-8 cannot be a value of ours, and must not stop the others.
        let text = |os: std::ffi::OsString| os.into_string().ok();
        Self(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)))).collect())
    }

    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_deref()
    }

    /// The names of all that are set, text or not.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Shows no value: any of them may be a secret.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a value cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    NotClosed,
    /// The variable's name.
    NotSet(String),
}

/// What is wrong, and on a second line what to do.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::NotClosed => f.write_str("`${` is not closed\n  Close it with `}`."),
            Fault::NotSet(name) => {
                write!(f, "environment variable {name} is not set\n  Set {name}, or write ${{{name}:-default}}.")
            }
        }
    }
}

/// A value with its variables filled in.
pub(super) fn expand(text: &str, environment: &Environment) -> Result<String, Fault> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        out.push_str(&rest[..start]);
        let inside = &rest[start + 2..];
        let end = inside.find('}').ok_or(Fault::NotClosed)?;
        let (name, default) = match inside[..end].split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (&inside[..end], None),
        };
        // As in a shell, `:-` also replaces a variable that is set to nothing.
        let value = match default {
            Some(_) => environment.get(name).filter(|value| !value.is_empty()),
            None => environment.get(name),
        };
        out.push_str(value.or(default).ok_or_else(|| Fault::NotSet(name.to_owned()))?);
        rest = &inside[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_in_variables_and_defaults() {
        let environment = Environment::of([("A", "x"), ("EMPTY", "")]);
        let expand = |text| expand(text, &environment);
        assert_eq!(expand("a ${A} b ${A}").unwrap(), "a x b x");
        assert_eq!(expand("${NONE:-d e}").unwrap(), "d e");
        assert_eq!(expand("[${EMPTY}] [${EMPTY:-d}]").unwrap(), "[] [d]");
        assert_eq!(expand("100 % $5 {x}").unwrap(), "100 % $5 {x}");
        assert!(expand("${NONE}").unwrap_err().to_string().contains("NONE is not set"));
        assert_eq!(expand("${A"), Err(Fault::NotClosed));
    }
}
