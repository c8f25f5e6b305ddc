//! `mysql://user:password@host:port/database`.

use percent_encoding::percent_decode_str;

use crate::net::credentials;

/// The parts of a URL; what it does not say is `None`.
pub struct Address {
    pub host: String,
    pub port: Option<u16>,
    pub username: Option<String>,
    pub password: Option<String>,
    pub database: Option<String>,
}

/// Takes a URL apart, or says what is wrong with it. Never repeats the URL, which may hold a password.
pub fn parse(text: &str) -> Result<Address, String> {
    credentials::check(text)?;
    let url = url::Url::parse(text).map_err(|e| format!("is not a valid URL: {e}"))?;
    if !matches!(url.scheme(), "mysql" | "mariadb") {
        return Err("must begin with `mysql://` or `mariadb://`".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("takes no options: they are keys of the section, such as `tls` and `tls_ca`".to_owned());
    }
    let host = decode(url.host_str().unwrap_or_default())?;
    if host.is_empty() {
        return Err("names no host".to_owned());
    }
    let said = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(Address {
        host,
        port: url.port(),
        username: said(decode(url.username())?),
        password: url.password().map(decode).transpose()?,
        database: said(decode(url.path().trim_start_matches('/'))?),
    })
}

fn decode(text: &str) -> Result<String, String> {
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| "is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_parts() {
        let address = parse("mysql://u%40x:p%2Fw@db.example.com:3307/my%20db").unwrap();
        assert_eq!((address.host.as_str(), address.port), ("db.example.com", Some(3307)));
        assert_eq!((address.username.as_deref(), address.password.as_deref()), (Some("u@x"), Some("p/w")));
        assert_eq!(address.database.as_deref(), Some("my db"));
        let address = parse("mariadb://[::1]").unwrap();
        assert_eq!((address.host.as_str(), address.port, address.username), ("[::1]", None, None));
        assert_eq!((address.password, address.database), (None, None));
    }

    #[test]
    fn says_what_is_wrong_without_repeating_it() {
        for text in ["mysql://u:hush@", "http://u:hush@h/d", "mysql://u:hush@h/d?ssl-mode=hush", "mysql:u:hush"] {
            let problem = parse(text).err().unwrap();
            assert!(!problem.contains("hush"), "{problem}");
        }
    }
}
