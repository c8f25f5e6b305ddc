//! Which key a name in a section means: the key's own name, another name that the kind of source has for it, a member of a
//! family, or the file of a secret.

use std::borrow::Cow;

use super::{Key, Kind, nearest};

/// The keys that a section may have, and by what names.
#[derive(Clone)]
pub(super) struct Names {
    keys: Vec<&'static Key>,
    /// Other names, each with the key's own. Those of keys that the section has not are none.
    aliases: Vec<(&'static str, &'static str)>,
}

/// What a name means.
pub(super) struct Meant {
    pub key: &'static Key,
    /// The key's own name; of a family's member, that of the family and the member's.
    pub name: String,
    /// What was written, where that is another name of the key.
    pub alias: Option<&'static str>,
    /// The value stands in a file, which is named.
    pub is_file: bool,
}

impl Names {
    pub fn of(keys: Vec<&'static Key>) -> Self {
        Self { keys, aliases: Vec::new() }
    }

    /// The same keys, also by the names that this kind has for them.
    pub fn with_aliases(mut self, kind: &Kind) -> Self {
        let known = kind.aliases.iter().copied().filter(|(_, name)| self.key(name).is_some());
        let known: Vec<_> = known.filter(|pair| !self.aliases.contains(pair)).collect();
        self.aliases.extend(known);
        self
    }

    pub fn keys(&self) -> &[&'static Key] {
        &self.keys
    }

    /// The key of this name of its own; of a family, the name that ends with the dot.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().copied().find(|key| key.name == name)
    }

    /// Has these keys too. One that is there under the same name stays what it is.
    pub fn add(&mut self, more: &Names) {
        for key in &more.keys {
            if self.key(key.name).is_none() {
                self.keys.push(key);
            }
        }
    }

    /// What a name means that stands before a `=`; `None` where it is no key.
    pub fn meant(&self, written: &str) -> Option<Meant> {
        let plain = |key: &'static Key| Meant { key, name: key.name.to_owned(), alias: None, is_file: false };
        if let Some(key) = self.key(written).filter(|key| !key.family) {
            return Some(plain(key));
        }
        if let Some((alias, name)) = self.aliases.iter().find(|(alias, _)| *alias == written) {
            return self.key(name).map(|key| Meant { alias: Some(alias), ..plain(key) });
        }
        if let Some(key) = self.keys.iter().copied().find(|key| key.member(written).is_some()) {
            return Some(Meant { name: written.to_owned(), ..plain(key) });
        }
        let secret = written.strip_suffix("_file")?;
        let key = self.keys.iter().copied().find(|key| key.name == secret && key.secret)?;
        Some(Meant { is_file: true, ..plain(key) })
    }

    /// All names but those of families, whose members nobody can list.
    pub fn listed(&self) -> Vec<String> {
        let plain = self.keys.iter().filter(|key| !key.family);
        let mut names: Vec<_> = plain.map(|key| key.name.to_owned()).collect();
        names.extend(self.aliases.iter().map(|(alias, _)| (*alias).to_owned()));
        let files = self.keys.iter().filter(|key| key.secret).map(|key| format!("{}_file", key.name));
        names.extend(files.filter(|name| self.key(name).is_none()).collect::<Vec<_>>());
        names
    }

    /// The name that a reader of messages knows a key by: the kind's own, where it has one.
    pub fn shown(&self, name: &'static str) -> &'static str {
        self.aliases.iter().find(|(_, of)| *of == name).map_or(name, |(alias, _)| alias)
    }

    /// ` (did you mean …?)`, where one of these names or of `more` is near to what was written.
    pub fn suggestion(&self, written: &str, more: &[&str]) -> String {
        // Of a member, the family's name is what can be wrong.
        let member = written.split_once('.').map(|(_, member)| member).filter(|member| !member.is_empty());
        let of_key = |key: &&'static Key| match key.family {
            true => Cow::Owned(format!("{}{}", key.name, member.unwrap_or("NAME"))),
            false => Cow::Borrowed(key.name),
        };
        let mut names: Vec<Cow<'_, str>> = self.keys.iter().map(of_key).collect();
        names.extend(self.aliases.iter().map(|(alias, _)| Cow::Borrowed(*alias)));
        names.extend(more.iter().copied().map(Cow::Borrowed));
        let near = nearest(written.trim_end_matches('.'), names.iter().map(Cow::as_ref));
        near.map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Value;

    const KEYS: &[Key] = &[
        Key::new("table", Value::Text, ""),
        Key::new("password", Value::Text, "").secret(),
        Key::new("default.", Value::Text, "").family(),
    ];
    const KIND: Kind = Kind {
        name: "k",
        about: "",
        keys: &[],
        stream_keys: KEYS,
        aliases: &[("collection", "table"), ("fields", "columns")],
    };

    fn names() -> Names {
        Names::of(KEYS.iter().collect()).with_aliases(&KIND)
    }

    #[test]
    fn each_name_means_its_key() {
        let meant = |written: &str| names().meant(written).map(|meant| (meant.name, meant.alias, meant.is_file));
        assert_eq!(meant("table"), Some(("table".to_owned(), None, false)));
        assert_eq!(meant("collection"), Some(("table".to_owned(), Some("collection"), false)));
        assert_eq!(meant("password_file"), Some(("password".to_owned(), None, true)));
        assert_eq!(meant("default.Event.name"), Some(("default.Event.name".to_owned(), None, false)));
        // Another name of a key that is none of the section's, families without a member, and files of what is no secret.
        for written in ["fields", "default", "default.", "table_file", "tabel"] {
            assert_eq!(meant(written), None, "{written}");
        }
        assert_eq!(names().listed(), ["table", "password", "collection", "password_file"]);
        assert_eq!((names().shown("table"), names().shown("password")), ("collection", "password"));
    }

    #[test]
    fn what_is_near_is_named() {
        for (written, wanted) in [
            ("tabel", "table"),
            ("colection", "collection"),
            ("defualt.event_name", "default.event_name"),
            ("default", "default.NAME"),
            ("default.", "default.NAME"),
            ("tpye", "type"),
        ] {
            assert_eq!(names().suggestion(written, &["type"]), format!(" (did you mean `{wanted}`?)"));
        }
        assert_eq!(names().suggestion("zebra.event_name", &[]), "");
    }
}
