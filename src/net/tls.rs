//! TLS as every server is asked for it: the same four keys, the same defaults.

mod client;

use std::net::IpAddr;
use std::path::PathBuf;

use crate::config::{Key, Section, Value};
use crate::error::Result;

pub const KEYS: &[Key] = &[
    Key::new(
        "tls",
        Value::OneOf(&["verify-full", "require", "off"]),
        "`verify-full` checks the server's certificate and name; `require` encrypts and checks neither; `off` sends \
         everything in the clear. The default is `verify-full`, or `off` where the host is this machine.",
    ),
    Key::new("tls_ca", Value::Path, "PEM file of the authorities to trust, in place of the system's."),
    Key::new("tls_cert", Value::Path, "PEM file of the client's certificate chain."),
    Key::new("tls_key", Value::Path, "PEM file of the client's private key."),
];

/// How far the server is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Off,
    Require,
    VerifyFull,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    pub mode: Mode,
    /// In place of the system's authorities.
    pub ca: Option<PathBuf>,
    /// The client's certificate chain and key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Reads [`KEYS`]; `host` decides the default.
    pub fn of(section: &Section, host: &str) -> Result<Self> {
        Self::or(section, if is_this_machine(host) { Mode::Off } else { Mode::VerifyFull })
    }

    /// Reads the [`KEYS`] of a server whose URL says whether it speaks TLS, under the key `url`.
    pub fn of_url(section: &Section, url: &str, is_https: bool) -> Result<Self> {
        let tls = Self::or(section, if is_https { Mode::VerifyFull } else { Mode::Off })?;
        match (tls.mode, is_https) {
            (Mode::Off, true) => Err(section.error("tls", format!("cannot be `off`, since `{url}` begins with https"))),
            (Mode::Require | Mode::VerifyFull, false) => {
                Err(section.error("tls", format!("needs a `{url}` that begins with https")))
            }
            _ => Ok(tls),
        }
    }

    /// Reads [`KEYS`]; without `tls` it is `default`.
    fn or(section: &Section, default: Mode) -> Result<Self> {
        let mode = match section.get("tls") {
            Some("verify-full") => Mode::VerifyFull,
            Some("require") => Mode::Require,
            Some(_) => Mode::Off,
            None => default,
        };
        let client = match (section.path("tls_cert"), section.path("tls_key")) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(section.error("tls_cert", "needs `tls_key` too")),
            (None, Some(_)) => return Err(section.error("tls_key", "needs `tls_cert` too")),
        };
        let ca = section.path("tls_ca");
        if mode != Mode::VerifyFull && ca.is_some() {
            return Err(section.error("tls_ca", "is used only with `tls = verify-full`"));
        }
        if mode == Mode::Off && client.is_some() {
            return Err(section.error("tls_cert", "cannot be used with TLS off"));
        }
        Ok(Self { mode, ca, client })
    }

    /// What a driver needs to speak TLS as the section says; `None` where it is off. Over a Unix socket there is none. Reads
    /// the files that the keys name; makes no connection.
    pub fn set_up(&self, section: &Section, is_socket: bool) -> Result<Option<rustls::ClientConfig>> {
        match self.mode {
            Mode::Off => Ok(None),
            _ if is_socket => Err(section.error("tls", "cannot be used over a Unix socket")),
            _ => match client::rustls_config(self) {
                Ok(config) => Ok(Some(config)),
                Err(e) => Err(section.error("tls", format!("cannot be set up: {e}"))),
            },
        }
    }
}

/// A loopback address, `localhost`, or the path of a socket.
pub fn is_this_machine(host: &str) -> bool {
    host.is_empty()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(values: &[(&str, &str)], host: &str) -> Result<Tls> {
        Tls::of(&Section::of_keys("source t", KEYS.iter().collect(), values).unwrap(), host)
    }

    #[test]
    fn another_machine_is_verified_unless_told_otherwise() {
        assert_eq!(tls(&[], "db.example.com").unwrap().mode, Mode::VerifyFull);
        assert_eq!(tls(&[], "10.0.0.1").unwrap().mode, Mode::VerifyFull);
        for local in ["localhost", "127.0.0.1", "::1", "[::1]", "/run/postgresql"] {
            assert_eq!(tls(&[], local).unwrap().mode, Mode::Off, "{local}");
        }
        assert_eq!(tls(&[("tls", "require")], "db.example.com").unwrap().mode, Mode::Require);
    }

    #[test]
    fn a_url_decides_and_is_not_contradicted() {
        let of = |values: &[(&str, &str)], is_https| {
            let section = Section::of_keys("source t", KEYS.iter().collect(), values).unwrap();
            Tls::of_url(&section, "base_url", is_https).map(|tls| tls.mode)
        };
        assert_eq!(of(&[], true).unwrap(), Mode::VerifyFull);
        assert_eq!(of(&[("tls", "require")], true).unwrap(), Mode::Require);
        assert_eq!(of(&[], false).unwrap(), Mode::Off);
        assert!(of(&[("tls", "off")], true).is_err() && of(&[("tls", "require")], false).is_err());
    }

    #[test]
    fn half_a_client_certificate_is_refused() {
        assert!(tls(&[("tls_cert", "c.pem")], "db.example.com").is_err());
        assert!(tls(&[("tls", "require"), ("tls_ca", "ca.pem")], "db.example.com").is_err());
    }
}
