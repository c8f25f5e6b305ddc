//! The keys of a MongoDB source and its streams, and what they say together.

use std::time::Duration;

use mongodb::options::{
    AuthMechanism, ClientOptions, ConnectionString, HostInfo, ReadPreference, ReadPreferenceOptions, SelectionCriteria,
    ServerAddress, Tls as DriverTls, TlsOptions,
};

use super::error;
use crate::config::{Key, Kind, Section, Value};
use crate::error::Result;
use crate::net::credentials;
use crate::net::tls::{self, Mode as TlsMode, Tls};
use crate::source::documents::keys as document_keys;
use crate::source::documents::write::{self, Dialect};
use crate::source::{GENTLE_KEYS, joined};

pub const KIND: Kind = Kind {
    name: "mongodb",
    about: "MongoDB 5.0 and later: collections and views, in chunks by `_id`; what is new by a cursor field; what changes by change streams \
            (replica sets and sharded clusters).",
    keys: &[KEYS, GENTLE_KEYS, tls::KEYS],
    stream_keys: STREAM_KEYS,
    aliases: &[
        ("collection", "table"),
        ("collections", "tables"),
        ("fields", "columns"),
        ("exclude_fields", "exclude_columns"),
        ("filter", "where"),
    ],
};

const KEYS: &[Key] = &[
    Key::new(
        "url",
        Value::Url,
        "A connection string, `mongodb://` or `mongodb+srv://`, with whatever options the driver knows. In its password, @ : / ? # % are \
         percent-encoded; or leave the password out and use `password`.",
    )
    .secret()
    .example("mongodb+srv://reader@cluster0.example.net/shop"),
    Key::new("hostname", Value::Text, "The server's name or address; several of a replica set are separated by commas.")
        .example("db.example.com")
        .shown(),
    Key::new("port", Value::Integer(1, 65535), "The server's port.").default("27017"),
    Key::new("replica_set", Value::Text, "The name that the replica set must have."),
    Key::new("username", Value::Text, "The user to log in as.").example("reader").shown(),
    Key::new("password", Value::Text, "Its password.").secret().example("${SHOP_PASSWORD}").shown(),
    Key::new("auth_source", Value::Text, "The database that has the user. Where it is absent, what the URL says (`authSource`, else its database), else `admin`."),
    Key::new(
        "auth_mechanism",
        Value::OneOf(&["scram-sha-256", "scram-sha-1", "x509"]),
        "How to log in. Where absent, the server says which kind of SCRAM the user has. `x509` logs in as whom the certificate names \
         (`tls_cert`).",
    ),
    Key::new("database", Value::Text, "The database to read.").example("shop").shown(),
    Key::new(
        "read_preference",
        Value::OneOf(&["primary", "primary-preferred", "secondary", "secondary-preferred", "nearest"]),
        "Which members of a replica set are read from. `primary`, where neither this nor the URL says otherwise.",
    ),
    Key::new("application_name", Value::Text, "What the server's log and `currentOp` show of us.").default("tidemark"),
    Key::new("connect_timeout", Value::Duration, "How long connecting may take, and finding a member to read from.")
        .default("10s"),
    Key::new(
        "identity",
        Value::Text,
        "What this database is, in your own words, in place of the replica set's name: for one that moves to another replica set.",
    ),
];

const STREAM_KEYS: &[Key] =
    &joined::<{ document_keys::KEYS.len() + CHANGE_KEYS.len() }>(&[document_keys::KEYS, CHANGE_KEYS]);

const CHANGE_KEYS: &[Key] = &[
    Key::new(
        "full_document",
        Value::OneOf(&["lookup", "after_image", "none"]),
        "Of a change stream (`mode = cdc`): what a row of an update has. `lookup`: the document as it is when the change is read; `after_image`: as the \
         change left it, which the collection must keep (`changeStreamPreAndPostImages`); `none`: what the update set, with the other columns named in \
         `_unchanged`.",
    )
    .default("lookup"),
    Key::new(
        "before_images",
        Value::Flag,
        "Of a change stream: rows of deletions have the document as it was, which the collection must keep (`changeStreamPreAndPostImages`), \
         and not its key alone.",
    )
    .default("no"),
];

/// A checked `[source]` section.
pub struct Settings {
    /// Never shown: it may hold a password.
    url: String,
    /// Where it leads to, for messages.
    pub address: String,
    pub database: String,
    pub identity: Option<String>,
    pub username: Option<String>,
    password: Option<String>,
    replica_set: Option<String>,
    auth_source: Option<String>,
    auth_mechanism: Option<AuthMechanism>,
    selection: Option<SelectionCriteria>,
    application_name: String,
    connect_timeout: Duration,
    /// As the URL says.
    selection_timeout: Option<Duration>,
    /// What the keys say; `None` where the URL does.
    tls: Option<Tls>,
}

impl Settings {
    /// Checks all that can be known without a connection, the TLS files included.
    pub fn of(section: &Section) -> Result<Self> {
        let url = url(section)?;
        let said = parsed(section, &url)?;
        let hosts = match &said.host_info {
            HostInfo::HostIdentifiers(hosts) => hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            HostInfo::DnsRecord(name) => name.clone(),
            _ => String::new(),
        };
        let credential = said.credential.clone().unwrap_or_default();
        let database = match (&said.default_database, section.get("database")) {
            (Some(_), Some(_)) => return Err(section.error("database", "is also in `url`")),
            (Some(database), None) => database.clone(),
            (None, Some(database)) => database.to_owned(),
            (None, None) => return Err(section.error("database", "is missing")),
        };
        if credential.password.is_some() && section.is_set("password") {
            return Err(section.error("password", "is also in `url`"));
        }
        if credential.username.is_some() && section.is_set("username") {
            return Err(section.error("username", "is also in `url`"));
        }
        let username = credential.username.or_else(|| section.get("username").map(str::to_owned));
        let password = section.get("password").map(str::to_owned);
        let mechanism = section.get("auth_mechanism").map(|text| match text {
            "x509" => AuthMechanism::MongoDbX509,
            "scram-sha-1" => AuthMechanism::ScramSha1,
            _ => AuthMechanism::ScramSha256,
        });
        let has_password = password.is_some() || credential.password.is_some();
        let is_scram = mechanism
            .as_ref()
            .or(credential.mechanism.as_ref())
            .is_none_or(|of| matches!(of, AuthMechanism::ScramSha1 | AuthMechanism::ScramSha256));
        if username.is_some() && !has_password && is_scram {
            return Err(section.fault("username", "`password` is missing").hint("Or set `password_file`."));
        }
        Ok(Self {
            tls: tls(section, &url, &said, &hosts)?,
            address: hosts,
            database,
            identity: section.get("identity").map(str::to_owned),
            username,
            password,
            replica_set: section.get("replica_set").map(str::to_owned),
            auth_source: section.get("auth_source").map(str::to_owned),
            auth_mechanism: mechanism,
            selection: section.get("read_preference").map(preference),
            application_name: said_or(section, "application_name", said.app_name.as_ref())?,
            connect_timeout: match said.connect_timeout.filter(|_| !section.is_set("connect_timeout")) {
                Some(said) => said,
                None => section.duration("connect_timeout")?,
            },
            selection_timeout: said.server_selection_timeout,
            url,
        })
    }

    /// What the driver is told. Looks up the members of `mongodb+srv://`.
    pub async fn options(&self) -> Result<ClientOptions> {
        let mut options = ClientOptions::parse(&self.url).await.map_err(|e| error::of(&e, self))?;
        options.app_name = Some(self.application_name.clone());
        options.connect_timeout = Some(self.connect_timeout);
        options.server_selection_timeout = self.selection_timeout.or(Some(self.connect_timeout));
        // The readings are counted elsewhere, and each may have a prefetched reply.
        options.max_pool_size = options.max_pool_size.or(Some(MOST_CONNECTIONS));
        options.selection_criteria = self.selection.clone().or(options.selection_criteria);
        if let Some(name) = &self.replica_set {
            options.repl_set_name = Some(name.clone());
        }
        let says_login = self.username.is_some() || self.auth_mechanism.is_some();
        if says_login {
            let mut credential = options.credential.take().unwrap_or_default();
            credential.username = self.username.clone();
            credential.password = self.password.clone().or(credential.password);
            credential.source = self.auth_source.clone().or(credential.source);
            credential.mechanism = self.auth_mechanism.clone().or(credential.mechanism);
            // What the driver would find out of a whole URL, and does not of its parts.
            let is_x509 = matches!(credential.mechanism, Some(AuthMechanism::MongoDbX509));
            credential.source.get_or_insert_with(|| if is_x509 { "$external" } else { "admin" }.to_owned());
            options.credential = Some(credential);
        }
        if let Some(tls) = &self.tls {
            options.tls = Some(driver_tls(tls));
        }
        Ok(options)
    }
}

/// More connections than this to one member are not made.
const MOST_CONNECTIONS: u32 = 300;

/// What a key says, or else the URL, or else the key's default.
fn said_or(section: &Section, key: &str, said: Option<&String>) -> Result<String> {
    match said.filter(|_| !section.is_set(key)) {
        Some(said) => Ok(said.clone()),
        None => section.text(key).map(str::to_owned),
    }
}

/// The connection string, or what the single keys come to.
fn url(section: &Section) -> Result<String> {
    if let Some(url) = section.get("url") {
        for key in ["hostname", "port"] {
            if section.is_set(key) {
                return Err(section.error(key, "cannot stand with `url`, which says it"));
            }
        }
        credentials::check(url).map_err(|problem| section.error("url", credentials::or_its_keys(problem)))?;
        return Ok(url.to_owned());
    }
    let port = section.text("port")?;
    let hosts = section.text("hostname")?.split(',').map(str::trim).filter(|host| !host.is_empty());
    let host = |host: &str| match host.contains(':') && !host.starts_with('[') && host.matches(':').count() > 1 {
        true => format!("[{host}]:{port}"),
        false if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) => host.to_owned(),
        false => format!("{host}:{port}"),
    };
    let hosts: Vec<_> = hosts.map(host).collect();
    match hosts.is_empty() {
        true => Err(section.error("hostname", "names no host")),
        false => Ok(format!("mongodb://{}/", hosts.join(","))),
    }
}

/// Takes a connection string apart. What the driver says of it may repeat a piece of it, and so of a password.
fn parsed(section: &Section, url: &str) -> Result<ConnectionString> {
    let key = if section.is_set("url") { "url" } else { "hostname" };
    if !url.starts_with("mongodb://") && !url.starts_with("mongodb+srv://") {
        return Err(section.error(key, "must begin with `mongodb://` or `mongodb+srv://`"));
    }
    ConnectionString::parse(url).map_err(|_| {
        section.error(key, "is no connection string that MongoDB's driver reads").hint(
            "It is mongodb://USER@HOST:PORT/DATABASE?OPTION=VALUE, with the password in `password`, and options by the names that MongoDB has for them.",
        )
    })
}

/// What the keys say of TLS. A URL may say it itself; where neither does, it is as with other servers.
fn tls(section: &Section, url: &str, said: &ConnectionString, hosts: &str) -> Result<Option<Tls>> {
    let is_said = tls::KEYS.iter().any(|key| section.is_set(key.name));
    let options = url.split_once('?').map_or("", |(_, options)| options).to_ascii_lowercase();
    let says_itself = options.split('&').any(|option| option.starts_with("tls") || option.starts_with("ssl="));
    // An SRV record means TLS, checked against Mozilla's list, unless the keys say otherwise.
    let is_srv = matches!(said.host_info, HostInfo::DnsRecord(_));
    match says_itself {
        true if is_said => return Err(section.error("tls", "is also in `url`")),
        true => return Ok(None),
        false if is_srv && !is_said => return Ok(None),
        false => {}
    }
    let names = match &said.host_info {
        HostInfo::HostIdentifiers(hosts) => hosts
            .iter()
            .map(|host| match host {
                ServerAddress::Tcp { host, .. } => host.clone(),
                _ => String::new(),
            })
            .collect(),
        _ => vec![hosts.to_owned()],
    };
    // One that is not this machine decides for all.
    let far = names.iter().find(|name| !tls::is_this_machine(name));
    let first = far.or(names.first()).cloned().unwrap_or_default();
    let tls = Tls::of(section, &first)?;
    tls.set_up(section, false)?;
    if tls.client.as_ref().is_some_and(|(cert, key)| cert != key) {
        return Err(section
            .error("tls_key", "is another file than `tls_cert`")
            .hint("MongoDB's driver reads both from one PEM file: put them into one, and name it with both keys."));
    }
    Ok(Some(tls))
}

fn driver_tls(tls: &Tls) -> DriverTls {
    if tls.mode == TlsMode::Off {
        return DriverTls::Disabled;
    }
    let mut options = TlsOptions::default();
    options.allow_invalid_certificates = Some(tls.mode == TlsMode::Require);
    options.ca_file_path = tls.ca.clone();
    options.cert_key_file_path = tls.client.as_ref().map(|(cert, _)| cert.clone());
    DriverTls::Enabled(options)
}

fn preference(text: &str) -> SelectionCriteria {
    let options = Some(ReadPreferenceOptions::default());
    SelectionCriteria::ReadPreference(match text {
        "primary-preferred" => ReadPreference::PrimaryPreferred { options },
        "secondary" => ReadPreference::Secondary { options },
        "secondary-preferred" => ReadPreference::SecondaryPreferred { options },
        "nearest" => ReadPreference::Nearest { options },
        _ => ReadPreference::Primary,
    })
}

/// The document that a key's Extended JSON says; none where the key is absent.
pub fn filter(section: &Section, key: &str) -> Result<Option<Vec<u8>>> {
    let Some(text) = section.get(key) else { return Ok(None) };
    write::document(text, Dialect::Extended).map(Some).map_err(|problem| {
        section.error(key, problem).hint(
            r#"Write it as Extended JSON: {"status": "paid", "at": {"$gte": {"$date": "2024-01-01T00:00:00Z"}}}."#,
        )
    })
}
