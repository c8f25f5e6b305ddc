//! The keys of a PostgreSQL source and its streams, and what they say together.

use std::time::Duration;

use crate::config::{Key, Kind, Section, Value, nearest};
use crate::error::Result;
use crate::net::credentials;
use crate::net::postgres::{Endpoint, Host, url};
use crate::net::tls::{self, Tls};
use crate::source::GENTLE_KEYS;

pub const KIND: Kind = Kind {
    name: "postgres",
    about: "PostgreSQL 12 and later: tables, partitioned tables, views and queries, in chunks or all of one consistent snapshot; what changes in \
            tables by the server's log (logical replication).",
    keys: &[KEYS, GENTLE_KEYS, tls::KEYS],
    stream_keys: STREAM_KEYS,
    aliases: &[],
};

const KEYS: &[Key] = &[
    Key::new("url", Value::Url, "Stands for `hostname`, `port`, `username`, `password` and `database`. In its password, @ : / ? # % are percent-encoded.")
        .secret()
        .example("postgres://reader@db.example.com/shop"),
    Key::new("hostname", Value::Text, "The server's name or address, or the folder of its socket.")
        .example("db.example.com")
        .shown(),
    Key::new("port", Value::Integer(1, 65535), "The server's port.").default("5432"),
    Key::new("username", Value::Text, "The role to log in as.").example("reader").shown(),
    Key::new("password", Value::Text, "Its password.").secret().example("${SHOP_PASSWORD}").shown(),
    Key::new("database", Value::Text, "The database to read.").example("shop").shown(),
    Key::new("schema", Value::Text, "Where a table is looked for that is named without a schema.").default("public"),
    Key::new("application_name", Value::Text, "What the server shows of us in `pg_stat_activity`.").default("tidemark"),
    Key::new("connect_timeout", Value::Duration, "How long connecting may take.").default("10s"),
    Key::new("lock_timeout", Value::Duration, "How long to wait for a table that somebody else has locked.")
        .default("60s"),
    Key::new(
        "keepalive",
        Value::Duration,
        "How long a silent connection waits before it asks whether the server lives.",
    )
    .default("60s"),
    Key::new(
        "identity",
        Value::Text,
        "What this database is, in your own words, in place of the server's system identifier: for a database that \
         moves between servers, or a role that may not ask for the identifier.",
    ),
];

const STREAM_KEYS: &[Key] = &[
    Key::new(
        "infinity",
        Value::OneOf(&["error", "null", "text"]),
        "What becomes of dates and timestamps that are infinite, or beyond what 64 bits of microseconds hold. `text` \
         reads every such column as text.",
    )
    .default("error"),
    Key::new(
        "numeric_nan",
        Value::OneOf(&["error", "null", "text"]),
        "What becomes of a NaN or an infinity where a decimal is expected. `text` reads every `numeric` as text.",
    )
    .default("error"),
    Key::new(
        "unconstrained_numeric",
        Value::Text,
        "How `numeric` without a precision arrives: as `text`, or as a decimal of so many digits, of which so many \
         after the point; a value that does not fit is an error.",
    )
    .default("text")
    .example("38,9"),
    Key::new(
        "arrays",
        Value::OneOf(&["list", "text"]),
        "How arrays arrive. A list holds one dimension that counts from 1; `text` is PostgreSQL's own text and holds all.",
    )
    .default("list"),
    Key::new(
        "read_as_text",
        Value::List,
        "Columns (`column` or `table.column`) that arrive as PostgreSQL's own text, whatever their type.",
    ),
    Key::new(
        "slot",
        Value::Text,
        "Of a change log (`mode = cdc`): the replication slot that keeps the server's log for the stream. `tidemark_` and the stream's name, if \
         none is named.",
    )
    .example("tidemark_shop"),
    Key::new(
        "publication",
        Value::Text,
        "Of a change log: the publication that has the stream's tables. Named as the slot is, if none is named.",
    )
    .example("tidemark_shop"),
    Key::new(
        "max_retained_wal",
        Value::Bytes,
        "Of a change log: how much log the server may keep for the stream: looked at when a run begins and every ten seconds, also while it waits to be tried again. \
         Without it, as much as the server does.",
    )
    .example("20 GiB"),
    Key::new(
        "on_retained_wal",
        Value::OneOf(&["warn", "fail", "snapshot"]),
        "Where it keeps more: `warn` and read on, `fail`, or let go of it (`snapshot`): the slot is dropped and made anew, and each table read anew.",
    )
    .default("warn"),
    Key::new(
        "fill_unchanged",
        Value::Flag,
        "Of a change log: values that the log leaves away, since they did not change and are stored out of line (TOAST), are read from the table by key, as they \
         are by then; `_filled` names their columns.",
    )
    .default("no"),
    Key::new(
        "row_security",
        Value::Flag,
        "Whether a table may be read whose row security policies show us a part of its rows only.",
    )
    .default("no"),
];

/// A checked `[source]` section.
pub struct Settings {
    pub host: Host,
    pub port: u16,
    pub username: String,
    pub password: Option<String>,
    pub database: String,
    pub schema: String,
    pub application_name: String,
    pub connect_timeout: Duration,
    pub lock_timeout: Duration,
    pub keepalive: Duration,
    pub identity: Option<String>,
    pub tls: Tls,
    /// What `tls` comes to; `None` where it is off.
    pub rustls: Option<rustls::ClientConfig>,
}

impl Settings {
    /// Checks all that can be known without a connection, the TLS files included.
    pub fn of(section: &Section) -> Result<Self> {
        let address = match section.get("url") {
            Some(text) => {
                for key in ["hostname", "port", "username", "database"] {
                    if section.is_set(key) {
                        return Err(section.error(key, "cannot stand with `url`, which says it"));
                    }
                }
                url::parse(text).map_err(|problem| section.error("url", credentials::or_its_keys(problem)))?
            }
            None => url::Address {
                host: section.text("hostname")?.to_owned(),
                port: None,
                username: section.text("username")?.to_owned(),
                password: None,
                database: section.text("database")?.to_owned(),
                options: Vec::new(),
            },
        };
        let password = match (address.password.clone(), section.get("password")) {
            (Some(_), Some(_)) => return Err(section.error("password", "is also in `url`")),
            (one, other) => one.or_else(|| other.map(str::to_owned)),
        };
        let written = section;
        let section = &address.over(section, KEYS.iter().chain(tls::KEYS).collect())?;
        let port = match address.port {
            Some(port) => port,
            None => {
                u16::try_from(section.integer("port")?).map_err(|_| section.error("port", "is not a port number"))?
            }
        };
        let tls = Tls::of(section, &address.host)?;
        let host = Host::of(&address.host);
        let rustls = tls.set_up(written, matches!(host, Host::Socket(_)))?;
        Ok(Self {
            host,
            port,
            username: address.username,
            password,
            database: address.database,
            schema: section.text("schema")?.to_owned(),
            application_name: section.text("application_name")?.to_owned(),
            connect_timeout: section.duration("connect_timeout")?,
            lock_timeout: section.duration("lock_timeout")?,
            keepalive: section.duration("keepalive")?,
            identity: section.get("identity").map(str::to_owned),
            tls,
            rustls,
        })
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> String {
        self.endpoint().to_string()
    }

    /// What its connections are told.
    pub fn endpoint(&self) -> Endpoint<'_> {
        Endpoint {
            host: &self.host,
            port: self.port,
            username: &self.username,
            password: self.password.as_deref(),
            database: &self.database,
            application_name: &self.application_name,
            connect_timeout: self.connect_timeout,
            keepalive: self.keepalive,
            tls: &self.tls,
            rustls: self.rustls.as_ref(),
        }
    }
}

/// What becomes of a value that its column's type does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    Error,
    Null,
    /// The whole column arrives as text, so that there is no such value.
    Text,
}

/// The keys of a stream that decide how its columns arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    pub infinity: Policy,
    pub numeric_nan: Policy,
    /// Precision and scale for `numeric` without them; text where `None`.
    pub unconstrained_numeric: Option<(u32, i32)>,
    pub arrays_as_text: bool,
    read_as_text: Vec<String>,
    pub row_security: bool,
}

impl Policies {
    pub fn of(section: &Section) -> Result<Self> {
        let policy = |key| -> Result<Policy> {
            Ok(match section.text(key)? {
                "null" => Policy::Null,
                "text" => Policy::Text,
                _ => Policy::Error,
            })
        };
        Ok(Self {
            infinity: policy("infinity")?,
            numeric_nan: policy("numeric_nan")?,
            unconstrained_numeric: match section.text("unconstrained_numeric")? {
                "text" => None,
                digits => Some(precision_and_scale(digits).ok_or_else(|| {
                    section.error("unconstrained_numeric", "must be `text`, or precision and scale such as `38,9`")
                })?),
            },
            arrays_as_text: section.text("arrays")? == "text",
            read_as_text: section.list("read_as_text"),
            row_security: section.flag("row_security")?,
        })
    }
}

impl Policies {
    /// Whether a column of a table is to be read as text.
    pub fn as_text(&self, table: &str, column: &str) -> bool {
        self.read_as_text.iter().any(|name| names(name, table, column))
    }

    /// Refuses names that are a column of none of `tables`, which are all tables of a selection with their columns.
    pub fn check_names(&self, section: &Section, tables: &[(String, Vec<String>)]) -> Result<()> {
        for name in &self.read_as_text {
            let known = tables.iter().any(|(table, columns)| columns.iter().any(|column| names(name, table, column)));
            // Another table's: the key may stand in the `[source]`, for all of its streams.
            let elsewhere = name.rsplit_once('.').is_some_and(|(of, _)| tables.iter().all(|(table, _)| table != of));
            if !known && !elsewhere {
                let columns = tables.iter().flat_map(|(_, columns)| columns).map(String::as_str);
                let meant = nearest(name, columns).map(|c| format!(" (did you mean `{c}`?)")).unwrap_or_default();
                let message = format!("names `{name}`, which is no column that this stream reads{meant}");
                return Err(section
                    .error("read_as_text", message)
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

fn precision_and_scale(text: &str) -> Option<(u32, i32)> {
    let (precision, scale) = text.split_once(',')?;
    let (precision, scale): (u32, i32) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let fits = (1..=76).contains(&precision) && (0..=76).contains(&scale) && scale.unsigned_abs() <= precision;
    fits.then_some((precision, scale))
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
        let settings = settings(&[("url", "postgresql://u%40x:p%2Fw@[::1]:6000/my%20db?application_name=x")]).unwrap();
        assert_eq!(settings.host, Host::Name("::1".to_owned()));
        assert_eq!((settings.port, settings.address().as_str()), (6000, "[::1]:6000"));
        assert_eq!((settings.username.as_str(), settings.password.as_deref()), ("u@x", Some("p/w")));
        assert_eq!((settings.database.as_str(), settings.application_name.as_str()), ("my db", "x"));
        assert_eq!(settings.tls.mode, tls::Mode::Off);
    }

    #[test]
    fn what_excludes_each_other_is_named() {
        let url = ("url", "postgres://u:secret-in-url@127.0.0.1/d");
        for (key, value) in [("hostname", "h"), ("port", "1"), ("username", "u"), ("database", "d"), ("password", "x")]
        {
            let message = refusal(&[url, (key, value)]);
            assert!(message.contains(&format!("`{key}`")), "{message}");
            assert!(!message.contains("secret-in-url"));
        }
        let message = refusal(&[("url", "postgres://u@127.0.0.1/d?sslmode=require"), ("tls", "off")]);
        assert!(message.contains("`tls`"), "{message}");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        assert!(refusal(&[("hostname", "h"), ("username", "u")]).contains("`database`"));
        assert!(refusal(&[("url", "mysql://u@h/d")]).contains("`url`"));
        assert!(refusal(&[("url", "postgres://u@h/d?sslmode=prefer")]).contains("sslmode"));
        assert!(refusal(&[("url", "postgres://u@h/d?connect_timeout=x")]).contains("connect_timeout"));
        assert!(
            refusal(&[
                ("hostname", "db.example.com"),
                ("username", "u"),
                ("database", "d"),
                ("tls_ca", "/nowhere.pem")
            ])
            .contains("/nowhere.pem")
        );
    }

    #[test]
    fn a_folder_is_a_socket_without_tls() {
        let base = [("hostname", "/run/postgresql"), ("username", "u"), ("database", "d")];
        let settings = settings(&base).unwrap();
        assert_eq!(settings.address(), "/run/postgresql/.s.PGSQL.5432");
        assert!(refusal(&[base[0], base[1], base[2], ("tls", "require")]).contains("`tls`"));
    }

    #[test]
    fn columns_by_name_with_and_without_their_table() {
        let section = Section::of_kind(&KIND, &[("read_as_text", "note, s.orders.price, other.nite")]).unwrap();
        let policies = Policies::of(&section).unwrap();
        assert!(policies.as_text("any", "note") && policies.as_text("s.orders", "price"));
        assert!(!policies.as_text("orders", "price") && !policies.as_text("xs.orders", "price"));
        let tables = |column: &str| [("s.orders".to_owned(), vec!["note".to_owned(), column.to_owned()])];
        assert!(policies.check_names(&section, &tables("price")).is_ok());
        let error = policies.check_names(&section, &tables("prize")).unwrap_err();
        assert!(error.message().contains("`s.orders.price`"), "{error}");
    }

    #[test]
    fn digits_for_numerics() {
        let policies = |text| {
            Policies::of(&Section::of_kind(&KIND, &[("unconstrained_numeric", text)]).unwrap())
                .map(|policies| policies.unconstrained_numeric)
        };
        assert_eq!(policies("text").unwrap(), None);
        assert_eq!(policies("38, 9").unwrap(), Some((38, 9)));
        for wrong in ["", "38", "0,0", "77,1", "5,6", "5,-1"] {
            assert!(policies(wrong).is_err(), "{wrong}");
        }
    }
}
