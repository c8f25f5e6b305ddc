//! The keys of a section, and what they come to.

use std::time::Duration;

use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};

use crate::config::{Key, Section, Value};
use crate::destination::files::stores::is_plain_endpoint;
use crate::destination::files::stores::prefix::Prefix;
use crate::error::Result;

pub const KEYS: &[Key] = &[
    Key::new("bucket", Value::Text, "The bucket's name.").required().example("my-bucket"),
    Key::new("prefix", Value::Text, "Where in the bucket everything goes; all of it where absent.").example("raw/shop"),
    Key::new(
        "region",
        Value::Text,
        "The bucket's region. Where absent, `AWS_REGION`, the profile or the instance says it; with an `endpoint`, \
         `us-east-1` does.",
    )
    .example("eu-west-1"),
    Key::new("endpoint", Value::Url, "Another S3 service than Amazon's.").example("https://minio.example.com:9000"),
    Key::new(
        "path_style",
        Value::Flag,
        "Whether the bucket stands in the path of URLs and not in the host's name. The default is `yes` with an \
         `endpoint`, else `no`.",
    ),
    Key::new(
        "access_key",
        Value::Text,
        "With `secret_key`, the credentials. Where absent, the usual chain finds them: environment, profile, SSO, web \
         identity, container, instance.",
    ),
    Key::new("secret_key", Value::Text, "The secret that belongs to `access_key`.").secret(),
    Key::new("session_token", Value::Text, "The token of temporary credentials.").secret(),
    Key::new("profile", Value::Text, "The profile of `~/.aws/config` to use, in place of `AWS_PROFILE` or `default`.")
        .example("analytics"),
    Key::new("sse", Value::OneOf(&["AES256", "aws:kms"]), "Encryption at rest; the bucket's own where absent."),
    Key::new("sse_kms_key_id", Value::Text, "The key of `sse = aws:kms`; the account's own where absent."),
    Key::new(
        "storage_class",
        Value::OneOf(&[
            "STANDARD",
            "STANDARD_IA",
            "ONEZONE_IA",
            "INTELLIGENT_TIERING",
            "GLACIER_IR",
            "REDUCED_REDUNDANCY",
        ]),
        "The class of data files. The commit log, many small objects, always stays in the bucket's own class.",
    ),
    Key::new(
        "checksums",
        Value::OneOf(&["always", "when_required"]),
        "`when_required` leaves out the checksums that some services other than Amazon's do not understand.",
    )
    .default("always"),
    Key::new(
        "piece_bytes",
        Value::Bytes,
        "Files are uploaded in pieces of this size, 5 MiB at least; smaller files in one request. Beyond 1,250 pieces \
         they grow.",
    )
    .default("8 MiB"),
    Key::new(
        "concurrency",
        Value::Integer(1, 64),
        "How many pieces may be on their way at once, over all uploads to this destination.",
    )
    .default("3"),
    Key::new("timeout", Value::Duration, "How long a request, with its piece, may take before it is tried again.")
        .default("2m"),
];

/// What S3 takes, except as the last piece of an object.
const SMALLEST_PIECE: u64 = 5 << 20;
const LARGEST_PIECE: u64 = 1 << 30;

/// Holds secrets: not to be shown.
pub struct Settings {
    pub bucket: String,
    pub prefix: Prefix,
    pub region: Option<String>,
    pub endpoint: Option<String>,
    pub path_style: bool,
    pub keys: Option<Keys>,
    pub profile: Option<String>,
    pub sse: Option<ServerSideEncryption>,
    pub sse_kms_key_id: Option<String>,
    pub storage_class: Option<StorageClass>,
    pub checksums: bool,
    pub piece_bytes: usize,
    pub concurrency: usize,
    pub timeout: Duration,
}

/// Credentials that the file gives.
pub struct Keys {
    pub access_key: String,
    pub secret_key: String,
    pub session_token: Option<String>,
}

impl Settings {
    pub fn of(section: &Section) -> Result<Self> {
        let text = |key: &str| section.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let endpoint = endpoint(section)?;
        let sse = text("sse").map(|sse| ServerSideEncryption::from(sse.as_str()));
        if text("sse_kms_key_id").is_some() && sse != Some(ServerSideEncryption::AwsKms) {
            return Err(section.error("sse_kms_key_id", "needs `sse = aws:kms`"));
        }
        let piece_bytes = section.bytes("piece_bytes")?;
        if !(SMALLEST_PIECE..=LARGEST_PIECE).contains(&piece_bytes) {
            return Err(section.error("piece_bytes", "must be from 5 MiB to 1 GiB"));
        }
        if section.duration("timeout")?.is_zero() {
            return Err(section.error("timeout", "must be greater than zero"));
        }
        Ok(Self {
            bucket: bucket(section)?,
            prefix: Prefix::of(section)?,
            region: text("region"),
            path_style: match section.is_set("path_style") {
                true => section.flag("path_style")?,
                false => endpoint.is_some(),
            },
            endpoint,
            keys: keys(section)?,
            profile: text("profile"),
            sse,
            sse_kms_key_id: text("sse_kms_key_id"),
            storage_class: text("storage_class").map(|class| StorageClass::from(class.as_str())),
            checksums: section.text("checksums")? == "always",
            piece_bytes: piece_bytes as usize,
            concurrency: section.integer("concurrency")?.max(1) as usize,
            timeout: section.duration("timeout")?,
        })
    }
}

fn bucket(section: &Section) -> Result<String> {
    let bucket = section.text("bucket")?;
    if bucket.is_empty() || bucket.contains(['/', ':', ' ']) {
        return Err(section.error("bucket", "must be a bucket's name alone; what follows it goes into `prefix`"));
    }
    if bucket.ends_with("--x-s3") {
        return Err(section.error("bucket", "names a directory bucket, whose listings are in no order: use another"));
    }
    Ok(bucket.to_owned())
}

fn endpoint(section: &Section) -> Result<Option<String>> {
    let Some(endpoint) = section.get("endpoint").filter(|endpoint| !endpoint.is_empty()) else { return Ok(None) };
    match is_plain_endpoint(endpoint) {
        true => Ok(Some(endpoint.trim_end_matches('/').to_owned())),
        false => Err(section.error("endpoint", "must be `http://HOST[:PORT]` or `https://HOST[:PORT]` and no more")),
    }
}

fn keys(section: &Section) -> Result<Option<Keys>> {
    let text = |key: &str| section.get(key).filter(|text| !text.is_empty()).map(str::to_owned);
    match (text("access_key"), text("secret_key"), text("session_token")) {
        (Some(_), Some(_), _) if text("profile").is_some() => {
            Err(section.error("profile", "cannot stand beside `access_key`"))
        }
        (Some(access_key), Some(secret_key), session_token) => Ok(Some(Keys { access_key, secret_key, session_token })),
        (None, None, None) => Ok(None),
        (Some(_), None, _) => Err(section.error("access_key", "needs `secret_key` too")),
        (None, Some(_), _) => Err(section.error("secret_key", "needs `access_key` too")),
        (None, None, Some(_)) => Err(section.error("session_token", "needs `access_key` and `secret_key` too")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::files::stores::s3::MAKER;

    fn settings(values: &[(&str, &str)]) -> Result<Settings> {
        let values: Vec<_> = values.iter().copied().chain([("bucket", "b")]).rev().collect();
        Settings::of(&Section::of_kind(&MAKER.kind, &values).unwrap())
    }

    fn refusal(values: &[(&str, &str)]) -> String {
        settings(values).err().expect("an error").to_string()
    }

    #[test]
    fn defaults_are_amazons() {
        let settings = settings(&[]).unwrap();
        assert!(!settings.path_style && settings.checksums && settings.keys.is_none() && settings.endpoint.is_none());
        assert_eq!((settings.piece_bytes, settings.concurrency), (8 << 20, 3));
    }

    #[test]
    fn an_endpoint_brings_path_style() {
        let endpoint = ("endpoint", "http://127.0.0.1:9000/");
        assert!(settings(&[endpoint]).unwrap().path_style);
        assert_eq!(settings(&[endpoint]).unwrap().endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert!(!settings(&[endpoint, ("path_style", "no")]).unwrap().path_style);
        for wrong in ["ftp://h", "http://h/path", "http://user:secret@h", "https://", "http://h?x=1"] {
            let message = refusal(&[("endpoint", wrong)]);
            assert!(message.contains("`endpoint`") && !message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn keys_come_in_pairs() {
        assert!(refusal(&[("access_key", "a")]).contains("`secret_key`"));
        assert!(refusal(&[("secret_key", "a")]).contains("`access_key`"));
        assert!(refusal(&[("session_token", "a")]).contains("`access_key`"));
        assert!(refusal(&[("access_key", "a"), ("secret_key", "b"), ("profile", "p")]).contains("`profile`"));
        assert!(settings(&[("access_key", "a"), ("secret_key", "b"), ("session_token", "c")]).is_ok());
    }

    #[test]
    fn what_cannot_work_is_refused_before_any_request() {
        assert!(refusal(&[("bucket", "s3://b")]).contains("`bucket`"));
        assert!(refusal(&[("bucket", "b--use1-az4--x-s3")]).contains("directory bucket"));
        assert!(refusal(&[("piece_bytes", "4 MiB")]).contains("5 MiB"));
        assert!(refusal(&[("sse", "AES256"), ("sse_kms_key_id", "k")]).contains("aws:kms"));
        assert!(refusal(&[("timeout", "0s")]).contains("`timeout`"));
        assert!(refusal(&[("prefix", "a/../b")]).contains("`prefix`"));
    }
}
