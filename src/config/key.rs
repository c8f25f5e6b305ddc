//! What a connector says of itself: its keys, their values, their words.

use std::time::Duration;

/// A kind of source, destination or job log, as it describes itself. Everything else about its configuration (checks,
/// reference page, example) is derived from this.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// The value of `type`.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Keys of its own section, in groups (its own, TLS, …).
    pub keys: &'static [&'static [Key]],
    /// Keys that may stand in its own section and in a `[stream]` section, where the stream's wins.
    pub stream_keys: &'static [Key],
    /// Other names of keys, each with the key's own (`collection`, `table`), in its own section and in `[stream]` sections
    /// of it as a source. All who ask for a value ask by the key's own name.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl Kind {
    /// The keys of its own section, but for those that may stand in a `[stream]` section too.
    pub fn own_keys(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub value: Value,
    /// As it would be written; `None` where there is no default.
    pub default: Option<&'static str>,
    pub required: bool,
    /// Never shown; may stand in a file instead, named by `<key>_file`.
    pub secret: bool,
    /// One or two sentences, for the reference.
    pub about: &'static str,
    /// A telling value, for the example.
    pub example: &'static str,
    /// Set in the example rather than mentioned, as required keys are anyway.
    pub shown: bool,
    /// It stands for any number of keys, which begin with its name.
    pub family: bool,
}

impl Key {
    pub const fn new(name: &'static str, value: Value, about: &'static str) -> Self {
        let (default, required, secret) = (None, false, false);
        Self { name, value, default, required, secret, about, example: "", shown: false, family: false }
    }

    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub const fn example(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    pub const fn shown(mut self) -> Self {
        self.shown = true;
        self
    }

    /// Makes it a family: `default.` stands for `default.a = …`, `default.b = …`, whose members (`a`, `b`) keep the case in
    /// which they are written. Its name ends with the dot; it is neither required nor secret, and has no default.
    pub const fn family(mut self) -> Self {
        self.family = true;
        self
    }

    /// What `name` has behind the family's own name; `None` where it is none of the family, or this is no family.
    pub fn member<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(self.name).filter(|member| self.family && !member.is_empty())
    }

    /// Whether it is the key of this name, or the family.
    pub fn is_of(&self, name: &str) -> bool {
        self.name == name || self.member(name).is_some()
    }

    /// As people read it: `default.NAME` of a family.
    pub fn title(&self) -> String {
        format!("{}{}", self.name, if self.family { "NAME" } else { "" })
    }

    /// Why `text` cannot be its value; `None` if it can.
    pub fn refusal(&self, text: &str) -> Option<String> {
        let refusal = self.value.refusal(text)?;
        Some(match self.value {
            // What a URL looks like differs: of the job log it may be a file's.
            Value::Url if !self.example.is_empty() => format!("{refusal} such as `{}`", self.example),
            _ => refusal,
        })
    }
}

/// What a value must be.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    Text,
    /// SQL, usually on several indented lines.
    Sql,
    /// A path; a relative one is taken from the folder of `pipeline.conf`.
    Path,
    Url,
    /// Inclusive bounds.
    Integer(i64, i64),
    /// `yes` or `no`.
    Flag,
    /// `64 MiB`, `1g`, `500000`.
    Bytes,
    /// `500ms`, `10s`, `5m`, `2h`, `1d`.
    Duration,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Names, separated by commas or line ends.
    List,
    /// What it is, for the reference, and a check of its own, which says what it must be.
    Checked(&'static str, fn(&str) -> Result<(), &'static str>),
}

impl Value {
    /// Why `text` is not such a value; `None` if it is.
    pub fn refusal(&self, text: &str) -> Option<String> {
        let wanted = match self {
            Value::Text | Value::Path => return None,
            Value::Sql | Value::List if text.trim().is_empty() => "must not be empty".to_owned(),
            Value::Sql | Value::List => return None,
            Value::Url if text.contains("://") || text.starts_with("sqlite:") => return None,
            Value::Url => "must be a URL".to_owned(),
            Value::Integer(low, high) => match text.parse::<i64>() {
                Ok(number) if (*low..=*high).contains(&number) => return None,
                _ if *high == i64::MAX => format!("must be a whole number of at least {low}"),
                _ => format!("must be a whole number from {low} to {high}"),
            },
            Value::Checked(_, check) => return check(text).err().map(str::to_owned),
            Value::Flag if parse_flag(text).is_some() => return None,
            Value::Flag => "must be `yes` or `no`".to_owned(),
            Value::Bytes if parse_bytes(text).is_some() => return None,
            Value::Bytes => "must be a size such as `64 MiB`".to_owned(),
            Value::Duration if parse_duration(text).is_some() => return None,
            Value::Duration => "must be a duration such as `30s`, `5m` or `2h`".to_owned(),
            Value::OneOf(words) if words.contains(&text) => return None,
            Value::OneOf(words) => {
                let meant = super::nearest(text, words.iter().copied());
                let meant = meant.map(|word| format!(" (did you mean `{word}`?)")).unwrap_or_default();
                format!("must be one of {}{meant}", words.join(", "))
            }
        };
        Some(wanted)
    }

    /// For the reference page.
    pub fn describe(&self) -> String {
        match self {
            Value::Text => "text".to_owned(),
            Value::Sql => "SQL".to_owned(),
            Value::Path => "path".to_owned(),
            Value::Url => "URL".to_owned(),
            Value::Integer(low, i64::MAX) => format!("whole number from {low}"),
            Value::Integer(low, high) => format!("whole number, {low} to {high}"),
            Value::Flag => "`yes` or `no`".to_owned(),
            Value::Bytes => "size (`64 MiB`)".to_owned(),
            Value::Duration => "duration (`30s`, `5m`, `2h`)".to_owned(),
            Value::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Value::List => "names, separated by commas".to_owned(),
            Value::Checked(what, _) => (*what).to_owned(),
        }
    }
}

/// The words that configparser takes for a boolean.
pub(super) fn parse_flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `64 MiB`, `64M`, `64mb` (all 64 × 2^20), `1g`, `500000`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text);
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << power)
}

/// `500ms`, `10s` (or `10`), `5m`, `2h`, `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text);
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(milliseconds).map(Duration::from_millis)
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_durations() {
        assert_eq!(parse_bytes("64 MiB"), Some(64 << 20));
        assert_eq!(parse_bytes("1g"), Some(1 << 30));
        assert_eq!(parse_bytes("500"), Some(500));
        assert_eq!(parse_bytes("1.5g"), None);
        assert_eq!(parse_duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(parse_duration("2 weeks"), None);
    }

    #[test]
    fn says_what_a_value_must_be() {
        assert_eq!(Value::Integer(1, 65535).refusal("5432"), None);
        assert!(Value::Integer(1, 65535).refusal("0").unwrap().contains("1 to 65535"));
        assert!(Value::OneOf(&["csv", "parquet"]).refusal("parket").unwrap().contains("did you mean `parquet`"));
    }
}
