//! What becomes of documents, by the keys of a stream.

use std::collections::BTreeSet;

use super::config;
use super::id::ID;
use crate::config::Section;
use crate::error::Result;
use crate::source::Selection;
use crate::source::documents::{Coercion, Settings, keys};

/// The paths that the stream reads, in its order; all there are where `None`.
pub fn fields(selection: &Selection) -> Option<Vec<String>> {
    let columns = selection.columns.as_ref()?;
    Some(columns.iter().filter(|path| selection.takes_column(path)).cloned().collect())
}

/// What becomes of a stream's documents.
pub fn settings(selection: &Selection) -> Result<Settings> {
    let section = &selection.section;
    let fields = fields(selection);
    let key = match selection.primary_key.as_slice() {
        [] => ID,
        [one] => one.as_str(),
        _ => {
            return Err(section
                .error("primary_key", "names several fields: documents are told apart by one")
                .hint("Leave it out for `_id`."));
        }
    };
    let mut named = tops(fields.iter().flatten().map(String::as_str));
    let has_key = match &fields {
        Some(_) => named.iter().any(|name| name == key),
        None => selection.takes_column(key),
    };
    // A collection without documents is a table all the same.
    if fields.is_none() && has_key {
        named.push(key.to_owned());
    }
    keys::settings(section, (has_key.then(|| key.to_owned()), named), Coercion::Never)
}

/// The fields at a document's top that paths lead into.
fn tops<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let top = |path: &'a str| path.split_once('.').map_or(path, |(top, _)| top);
    paths.into_iter().map(top).filter(|top| seen.insert(*top)).map(str::to_owned).collect()
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
