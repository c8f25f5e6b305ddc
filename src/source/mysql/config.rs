//! The keys of a MySQL source and its streams, and what they say together.

use std::sync::Arc;
use std::time::Duration;

use crate::config::{Key, Kind, Section, Value, nearest};
use crate::error::Result;
use crate::net::credentials;
use crate::net::mysql::{Endpoint, Server, url};
use crate::net::tls::{self, Tls};
use crate::source::GENTLE_KEYS;

pub const KIND: Kind = Kind {
    name: "mysql",
    about: "MySQL 8 and later, MariaDB 10.5 and later: tables, views and queries, in chunks or each of one consistent snapshot.",
    keys: &[KEYS, GENTLE_KEYS, tls::KEYS],
    stream_keys: STREAM_KEYS,
    aliases: &[],
};

const KEYS: &[Key] = &[
    Key::new(
        "url",
        Value::Url,
        "Gives `hostname`, `port`, `username`, `password` and `database` in one; what it leaves out, those keys give. \
         In its password, @ : / ? # % are percent-encoded.",
    )
    .secret()
    .example("mysql://reader@db.example.com/shop"),
    Key::new("hostname", Value::Text, "The server's name or address.").example("db.example.com").shown(),
    Key::new("port", Value::Integer(1, 65535), "The server's port.").default("3306"),
    Key::new("socket", Value::Path, "The server's Unix socket, in place of `hostname` and `port`.")
        .example("/run/mysqld/mysqld.sock"),
    Key::new("username", Value::Text, "The user to log in as.").example("reader").shown(),
    Key::new("password", Value::Text, "Its password.").secret().example("${SHOP_PASSWORD}").shown(),
    Key::new("database", Value::Text, "The database to read. Tables of others are named `database.table`.")
        .example("shop")
        .shown(),
    Key::new("connect_timeout", Value::Duration, "How long connecting may take.").default("10s"),
    Key::new(
        "read_timeout",
        Value::Duration,
        "How long the server may be silent before the connection counts as lost. A query that sorts or sums much is \
         silent until its first row.",
    )
    .default("30m"),
    Key::new(
        "write_timeout",
        Value::Duration,
        "How long the server waits for us to take rows while a destination is slow: its `net_write_timeout`.",
    )
    .default("8h"),
    Key::new(
        "identity",
        Value::Text,
        "What identifies this database, in place of its name. A stream that was read from another identity is refused.",
    ),
];

const STREAM_KEYS: &[Key] = &[
    Key::new(
        "zero_dates",
        Value::OneOf(&["null", "error", "text"]),
        "What becomes of invalid dates, such as `0000-00-00` and `2024-02-00`. `null` reads them as null and logs \
         how many there were; `text` reads every DATE, DATETIME and TIMESTAMP as text.",
    )
    .default("null"),
    Key::new(
        "tinyint1",
        Value::OneOf(&["integer", "boolean"]),
        "How TINYINT(1), which BOOL stands for, arrives. As `boolean`, a value other than 0 and 1 is an error.",
    )
    .default("integer"),
    Key::new(
        "bytes_columns",
        Value::List,
        "Text columns (`column` or `table.column`) to read as the bytes that are stored, for those whose bytes are not \
         valid text.",
    )
    .example("legacy_note"),
];

/// A checked `[source]` section.
pub struct Settings {
    pub server: Server,
    pub username: String,
    pub password: Option<String>,
    pub database: String,
    /// How to speak TLS; not with it off.
    pub rustls: Option<Arc<rustls::ClientConfig>>,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
    pub write_timeout: Duration,
    pub identity: Option<String>,
    pub section: Section,
}

impl Settings {
    /// Checks all that can be known without a connection, the TLS files included.
    pub fn of(section: &Section) -> Result<Self> {
        let said = section.get("url").map(url::parse).transpose();
        let said = said.map_err(|problem| section.error("url", credentials::or_its_keys(problem)))?;
        let server = server(section, said.as_ref())?;
        let host = match &server {
            Server::Tcp { host, .. } => host.as_str(),
            Server::Socket(_) => "",
        };
        let rustls = Tls::of(section, host)?.set_up(section, matches!(server, Server::Socket(_)))?;
        let (username, password, database) = match said {
            Some(said) => (said.username, said.password, said.database),
            None => (None, None, None),
        };
        let settings = Self {
            server,
            username: one_of(section, "username", username)?,
            password: match (password, section.get("password")) {
                (Some(_), Some(_)) => return Err(section.error("password", SAID_TWICE)),
                (one, other) => one.or_else(|| other.map(str::to_owned)),
            },
            database: one_of(section, "database", database)?,
            rustls: rustls.map(Arc::new),
            connect_timeout: section.duration("connect_timeout")?,
            read_timeout: section.duration("read_timeout")?,
            write_timeout: section.duration("write_timeout")?,
            identity: section.get("identity").map(str::to_owned),
            section: section.clone(),
        };
        for (key, value) in [
            ("connect_timeout", settings.connect_timeout),
            ("read_timeout", settings.read_timeout),
            ("write_timeout", settings.write_timeout),
        ] {
            if value < Duration::from_secs(1) || value > Duration::from_secs(365 * 86_400) {
                return Err(section.error(key, "must be between one second and one year"));
            }
        }
        Ok(settings)
    }

    /// `host:port` or the socket's path, for messages.
    pub fn address(&self) -> String {
        self.server.to_string()
    }

    /// What its connections are told.
    pub fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            server: &self.server,
            username: &self.username,
            password: self.password.as_deref(),
            database: &self.database,
            rustls: self.rustls.as_ref(),
            connect_timeout: self.connect_timeout,
            read_timeout: self.read_timeout,
        }
    }
}

/// The database that tables without one are in, of a section that may be wrong elsewhere.
pub fn database(section: &Section) -> Option<String> {
    match section.get("url") {
        Some(text) => url::parse(text).ok()?.database.or_else(|| section.get("database").map(str::to_owned)),
        None => section.get("database").map(str::to_owned),
    }
}

const SAID_TWICE: &str = "is also in `url`";

fn server(section: &Section, said: Option<&url::Address>) -> Result<Server> {
    if let Some(path) = section.path("socket") {
        let rival = ["url", "hostname", "port"].into_iter().find(|key| section.is_set(key));
        return match rival {
            Some(key) => Err(section.error(key, "cannot be used with `socket`")),
            None => Ok(Server::Socket(path)),
        };
    }
    let host = one_of(section, "hostname", said.map(|said| said.host.clone()))?;
    let port = match said.and_then(|said| said.port) {
        Some(_) if section.is_set("port") => return Err(section.error("port", SAID_TWICE)),
        Some(port) => port,
        None => u16::try_from(section.integer("port")?).map_err(|_| section.error("port", "is not a port number"))?,
    };
    Ok(Server::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port })
}

/// What the URL says, or the key; never both.
fn one_of(section: &Section, key: &str, said: Option<String>) -> Result<String> {
    match said {
        Some(_) if section.is_set(key) => Err(section.error(key, SAID_TWICE)),
        Some(text) => Ok(text),
        None => Ok(section.text(key)?.to_owned()),
    }
}

/// What becomes of dates that no calendar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroDates {
    Null,
    Error,
    /// Every column of dates arrives as text.
    Text,
}

/// The keys of a stream that decide how its columns arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    pub zero_dates: ZeroDates,
    pub tinyint1_is_boolean: bool,
    /// `column` or `table.column`.
    pub bytes_columns: Vec<String>,
}

impl Policies {
    pub fn of(section: &Section) -> Result<Self> {
        Ok(Self {
            zero_dates: match section.text("zero_dates")? {
                "error" => ZeroDates::Error,
                "text" => ZeroDates::Text,
                _ => ZeroDates::Null,
            },
            tinyint1_is_boolean: section.text("tinyint1")? == "boolean",
            bytes_columns: section.list("bytes_columns"),
        })
    }

    /// Whether a text column of a table is to be read as bytes.
    pub fn as_bytes(&self, table: &str, column: &str) -> bool {
        self.bytes_columns.iter().any(|name| names(name, table, column))
    }

    /// Refuses names that are a column of none of `tables`, which are all tables of a selection with their columns.
    pub fn check_names(&self, section: &Section, tables: &[(String, Vec<String>)]) -> Result<()> {
        for name in &self.bytes_columns {
            let known = tables.iter().any(|(table, columns)| columns.iter().any(|column| names(name, table, column)));
            // Another table's: the key may stand in the `[source]`, for all of its streams.
            let elsewhere = name.rsplit_once('.').is_some_and(|(of, _)| tables.iter().all(|(table, _)| table != of));
            if !known && !elsewhere {
                let columns = tables.iter().flat_map(|(_, columns)| columns).map(String::as_str);
                let meant = nearest(name, columns).map(|c| format!(" (did you mean `{c}`?)")).unwrap_or_default();
                return Err(section
                    .error("bytes_columns", format!("names `{name}`, which is no column that this stream reads{meant}"))
                    .hint("Write `table.column` where the key stands in a [source] that has other tables too."));
            }
        }
        Ok(())
    }
}

/// Whether `name` is that of the column: its own, or with its table's before it.
fn names(name: &str, table: &str, column: &str) -> bool {
    name == column || name.strip_suffix(column).and_then(|rest| rest.strip_suffix('.')) == Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(values: &[(&str, &str)]) -> Result<Settings> {
        Settings::of(&Section::of_kind(&KIND, values).unwrap())
    }

    fn refusal(values: &[(&str, &str)]) -> String {
        settings(values).err().expect("refused").to_string()
    }

    #[test]
    fn a_url_stands_for_the_single_keys() {
        let settings = settings(&[("url", "mysql://u%40x:p%2Fw@[::1]:6000/my%20db")]).unwrap();
        assert_eq!(settings.server, Server::Tcp { host: "::1".to_owned(), port: 6000 });
        assert_eq!((settings.address().as_str(), settings.username.as_str()), ("[::1]:6000", "u@x"));
        assert_eq!((settings.password.as_deref(), settings.database.as_str()), (Some("p/w"), "my db"));
        assert!(settings.rustls.is_none());
    }

    #[test]
    fn what_a_url_leaves_out_keys_may_say() {
        let settings =
            settings(&[("url", "mysql://u@db.example.com/shop"), ("password", "p"), ("port", "3307")]).unwrap();
        assert_eq!(settings.address(), "db.example.com:3307");
        assert_eq!((settings.password.as_deref(), settings.rustls.is_some()), (Some("p"), true));
    }

    #[test]
    fn what_excludes_each_other_is_named() {
        let url = ("url", "mysql://u:secret-in-url@127.0.0.1:3306/d");
        let rivals = [
            ("hostname", "h"),
            ("port", "1"),
            ("username", "u"),
            ("database", "d"),
            ("password", "x"),
            ("socket", "s"),
        ];
        for (key, value) in rivals {
            let message = refusal(&[url, (key, value)]);
            assert!(message.contains(&format!("`{key}`")), "{message}");
            assert!(!message.contains("secret-in-url"));
        }
        let socket = [("socket", "/s"), ("username", "u"), ("database", "d")];
        assert!(refusal(&[socket[0], socket[1], socket[2], ("tls", "require")]).contains("`tls`"));
        assert!(refusal(&[socket[0], socket[1], socket[2], ("hostname", "h")]).contains("`hostname`"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(refusal(&[("hostname", "h"), ("username", "u")]).contains("`database` is missing"));
        assert!(refusal(&[("hostname", "h"), ("database", "d")]).contains("`username` is missing"));
        assert!(refusal(&[("username", "u"), ("database", "d")]).contains("`hostname` is missing"));
        assert!(refusal(&[("url", "postgres://u@h/d")]).contains("`url`"));
        let base = [("hostname", "h"), ("username", "u"), ("database", "d")];
        let message = refusal(&[base[0], base[1], base[2], ("tls_ca", "/nowhere.pem")]);
        assert!(message.contains("`tls_ca`: /nowhere.pem: ") && message.contains("No such file"), "{message}");
        assert!(refusal(&[base[0], base[1], base[2], ("read_timeout", "0")]).contains("`read_timeout`"));
    }
    #[test]
    fn a_name_that_is_no_column_is_refused_unless_it_is_another_tables() {
        let check = |names: &str| {
            let section = Section::of_kind(&KIND, &[("bytes_columns", names)]).unwrap();
            let tables = [("orders".to_owned(), vec!["id".to_owned(), "note".to_owned()])];
            Policies::of(&section).unwrap().check_names(&section, &tables)
        };
        check("note, orders.note, other.nite").unwrap();
        let error = check("nite").unwrap_err();
        assert!(error.message().contains("`nite`") && error.message().contains("did you mean `note`"), "{error}");
        assert!(check("orders.nite").is_err());
    }
}
