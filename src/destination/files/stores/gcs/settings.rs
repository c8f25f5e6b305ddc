//! The keys of a section, and what they come to.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{Key, Section, Value};
use crate::destination::files::stores::is_plain_endpoint;
use crate::destination::files::stores::prefix::Prefix;
use crate::error::Result;

pub const KEYS: &[Key] = &[
    Key::new("bucket", Value::Text, "The bucket's name.").required().example("my-bucket"),
    Key::new("prefix", Value::Text, "Where in the bucket everything goes; all of it where absent.").example("raw/shop"),
    Key::new(
        "credentials_file",
        Value::Path,
        "The JSON file of a service account, or of a user as gcloud writes it. Where absent, \
         `GOOGLE_APPLICATION_CREDENTIALS`, gcloud's own file or the machine's service account is used.",
    )
    .example("service-account.json"),
    Key::new("endpoint", Value::Url, "Another address than Google's: an emulator, or a private endpoint.")
        .example("http://127.0.0.1:4443"),
    Key::new(
        "anonymous",
        Value::Flag,
        "Whether to ask without credentials. The default is `yes` with an `endpoint` and no `credentials_file`, else \
         `no`.",
    ),
    Key::new(
        "piece_bytes",
        Value::Bytes,
        "Files are uploaded in pieces of this size, a multiple of 256 KiB; smaller files in one request.",
    )
    .default("8 MiB"),
    Key::new("timeout", Value::Duration, "How long a request, with its piece, may take before it is tried again.")
        .default("2m"),
];

/// Google takes pieces in multiples of this only.
const GRAIN: u64 = 256 << 10;
const LARGEST_PIECE: u64 = 1 << 30;

pub struct Settings {
    pub bucket: String,
    pub prefix: Prefix,
    /// `https://storage.googleapis.com`, without a slash at its end.
    pub endpoint: String,
    pub credentials: Credentials,
    pub piece_bytes: usize,
    pub timeout: Duration,
}

/// Where the credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    None,
    File(PathBuf),
    /// Where Google's own tools look.
    Default,
}

impl Settings {
    pub fn of(section: &Section) -> Result<Self> {
        let piece_bytes = section.bytes("piece_bytes")?;
        if !(GRAIN..=LARGEST_PIECE).contains(&piece_bytes) || !piece_bytes.is_multiple_of(GRAIN) {
            return Err(section.error("piece_bytes", "must be a multiple of 256 KiB, 1 GiB at most"));
        }
        if section.duration("timeout")?.is_zero() {
            return Err(section.error("timeout", "must be greater than zero"));
        }
        let endpoint = endpoint(section)?;
        Ok(Self {
            bucket: bucket(section)?,
            prefix: Prefix::of(section)?,
            credentials: credentials(section, endpoint.is_some())?,
            endpoint: endpoint.unwrap_or_else(|| "https://storage.googleapis.com".to_owned()),
            piece_bytes: piece_bytes as usize,
            timeout: section.duration("timeout")?,
        })
    }
}

fn bucket(section: &Section) -> Result<String> {
    let bucket = section.text("bucket")?;
    match bucket.is_empty() || bucket.contains(['/', ':', ' ']) {
        true => Err(section.error("bucket", "must be a bucket's name alone; what follows it goes into `prefix`")),
        false => Ok(bucket.to_owned()),
    }
}

fn endpoint(section: &Section) -> Result<Option<String>> {
    let Some(endpoint) = section.get("endpoint").filter(|endpoint| !endpoint.is_empty()) else { return Ok(None) };
    match is_plain_endpoint(endpoint) {
        true => Ok(Some(endpoint.trim_end_matches('/').to_owned())),
        false => Err(section.error("endpoint", "must be `http://HOST[:PORT]` or `https://HOST[:PORT]` and no more")),
    }
}

fn credentials(section: &Section, elsewhere: bool) -> Result<Credentials> {
    let file = section.path("credentials_file").filter(|_| section.get("credentials_file") != Some(""));
    let anonymous = match section.is_set("anonymous") {
        true => section.flag("anonymous")?,
        false => elsewhere && file.is_none(),
    };
    match (file, anonymous) {
        (Some(_), true) => Err(section.error("anonymous", "cannot stand beside `credentials_file`")),
        (Some(file), false) => Ok(Credentials::File(file)),
        (None, true) => Ok(Credentials::None),
        (None, false) => Ok(Credentials::Default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::files::stores::gcs::MAKER;

    fn settings(values: &[(&str, &str)]) -> Result<Settings> {
        let values: Vec<_> = values.iter().copied().chain([("bucket", "b")]).rev().collect();
        Settings::of(&Section::of_kind(&MAKER.kind, &values).unwrap())
    }

    #[test]
    fn an_endpoint_is_asked_without_credentials_unless_some_are_given() {
        let endpoint = ("endpoint", "http://127.0.0.1:4443/");
        assert_eq!(settings(&[]).unwrap().credentials, Credentials::Default);
        assert_eq!(settings(&[]).unwrap().endpoint, "https://storage.googleapis.com");
        assert_eq!(settings(&[endpoint]).unwrap().credentials, Credentials::None);
        assert_eq!(settings(&[endpoint]).unwrap().endpoint, "http://127.0.0.1:4443");
        assert_eq!(settings(&[endpoint, ("anonymous", "no")]).unwrap().credentials, Credentials::Default);
        let file = ("credentials_file", "/k.json");
        assert_eq!(settings(&[endpoint, file]).unwrap().credentials, Credentials::File("/k.json".into()));
        assert!(settings(&[file, ("anonymous", "yes")]).is_err());
    }

    #[test]
    fn what_cannot_work_is_refused_before_any_request() {
        for (key, value) in
            [("bucket", "gs://b"), ("piece_bytes", "300 KiB"), ("timeout", "0s"), ("endpoint", "http://h/storage")]
        {
            let message = settings(&[(key, value)]).err().expect("an error").to_string();
            assert!(message.contains(&format!("`{key}`")), "{message}");
        }
    }
}
