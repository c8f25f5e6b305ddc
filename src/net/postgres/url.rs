//! `postgres://user:password@host:port/database?option=value`.

use percent_encoding::percent_decode_str;

use crate::config::{Key, Section};
use crate::error::Error;
use crate::net::credentials;

/// The parts of a URL.
pub struct Address {
    pub host: String,
    pub port: Option<u16>,
    pub username: String,
    pub password: Option<String>,
    pub database: String,
    /// Its options, as the keys that say the same.
    pub options: Vec<(&'static str, String)>,
}

impl Address {
    /// The section with what the options say: `?sslmode=require` is the key `tls`. `keys` are those that there are.
    pub fn over(&self, section: &Section, keys: Vec<&'static Key>) -> Result<Section, Error> {
        if let Some((key, _)) = self.options.iter().find(|(key, _)| section.is_set(key)) {
            return Err(section.error(key, "is also in `url`"));
        }
        let values: Vec<_> = self.options.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let said = Section::of_keys(section.header(), keys, &values)
            .map_err(|e| Error::config(section.error("url", e.message()).message()))?;
        Ok(section.over(&said))
    }
}

/// Takes a URL apart, or says what is wrong with it. Never repeats the URL, which may hold a password.
pub fn parse(text: &str) -> Result<Address, String> {
    credentials::check(text)?;
    let url = url::Url::parse(text).map_err(|e| format!("is not such a URL: {e}"))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err("must begin with `postgres://`".to_owned());
    }
    let mut host = decode(url.host_str().unwrap_or_default())?;
    if host.contains(',') {
        return Err("must name one host".to_owned());
    }
    let mut options = Vec::new();
    for (name, value) in url.query_pairs() {
        match name.as_ref() {
            "host" if host.is_empty() => host = value.into_owned(),
            "sslmode" => options.push(("tls", tls_mode(&value)?.to_owned())),
            "sslrootcert" => options.push(("tls_ca", value.into_owned())),
            "sslcert" => options.push(("tls_cert", value.into_owned())),
            "sslkey" => options.push(("tls_key", value.into_owned())),
            "application_name" => options.push(("application_name", value.into_owned())),
            "connect_timeout" => options.push(("connect_timeout", value.into_owned())),
            name => {
                return Err(format!(
                    "has an option that is not taken here, `{name}`; there are sslmode, sslrootcert, sslcert, sslkey, \
                     application_name and connect_timeout"
                ));
            }
        }
    }
    if host.is_empty() {
        return Err("names no host".to_owned());
    }
    let username = decode(url.username())?;
    let database = decode(url.path().trim_start_matches('/'))?;
    if username.is_empty() {
        return Err("names no user".to_owned());
    }
    if database.is_empty() {
        return Err("names no database".to_owned());
    }
    let password = url.password().map(decode).transpose()?;
    Ok(Address { host, port: url.port(), username, password, database, options })
}

fn decode(text: &str) -> Result<String, String> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| "is not UTF-8".to_owned())
}

fn tls_mode(sslmode: &str) -> Result<&'static str, String> {
    match sslmode {
        "disable" => Ok("off"),
        "require" => Ok("require"),
        "verify-full" => Ok("verify-full"),
        _ => Err("has a sslmode that is not taken here; there are disable, require and verify-full".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_parts() {
        let address = parse("postgres:///shop?host=/run/postgresql");
        assert_eq!(address.err().as_deref(), Some("names no user"));
        let address = parse("postgres://u@%2Frun%2Fpostgresql/shop?sslmode=disable").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("/run/postgresql", None));
        assert_eq!(address.options, [("tls", "off".to_owned())]);
    }

    #[test]
    fn says_what_is_wrong_without_repeating_it() {
        for text in ["postgres://u:hush@/d", "http://u:hush@h/d", "postgres://u:hush@h", "postgres://:hush@h/d?x=1"] {
            let problem = parse(text).err().unwrap();
            assert!(!problem.contains("hush"), "{problem}");
        }
        assert!(parse("postgres://u@a,b/d").is_err());
        assert!(parse("postgres://u@h/d?pool=3").err().unwrap().contains("`pool`"));
    }
}
