//! What becomes of documents, by the keys of a stream.

use super::config;
use super::id::ID;
use crate::config::Section;
use crate::error::Result;
use crate::source::Selection;
use crate::source::documents::{Chosen, Coercion, Settings, keys};

/// What becomes of a stream's documents.
pub fn settings(selection: &Selection) -> Result<Settings> {
    let section = &selection.section;
    let key = match selection.primary_key.as_slice() {
        [] => ID,
        [one] => one.as_str(),
        _ => {
            return Err(section
                .error("primary_key", "names several fields: documents are told apart by one")
                .hint("Leave it out for `_id`."));
        }
    };
    let mut named = Chosen::of_selection(selection).tops();
    let has_key = match &selection.columns {
        Some(_) => named.iter().any(|name| name == key),
        None => selection.takes_column(key),
    };
    // A collection without documents is a table all the same.
    if selection.columns.is_none() && has_key {
        named.push(key.to_owned());
    }
    keys::settings(section, (has_key.then(|| key.to_owned()), named), Coercion::Never)
}

/// Checks what single keys of a stream do not tell.
pub fn check(section: &Section) -> Result<()> {
    config::filter(section, "where")?;
    keys::check(section)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Mode;
    use crate::source::STREAM_KEYS;

    fn of(values: &[(&str, &str)]) -> Result<Settings> {
        let keys = STREAM_KEYS.iter().chain(config::KIND.stream_keys).collect();
        let section = Section::of_keys("stream s", keys, values)?;
        check(&section)?;
        settings(&Selection::of("s", &section, Some(Mode::Full))?)
    }

    #[test]
    fn fields_and_their_key() {
        let all = of(&[("table", "c")]).unwrap();
        assert_eq!((all.key.as_deref(), all.named), (Some("_id"), vec!["_id".to_owned()]));
        let some = of(&[("table", "c"), ("columns", "a.b, a.c, d")]).unwrap();
        assert_eq!((some.key, some.named), (None, vec!["a".to_owned(), "d".to_owned()]));
        assert!(of(&[("table", "c"), ("primary_key", "a, b")]).is_err());
    }
}
