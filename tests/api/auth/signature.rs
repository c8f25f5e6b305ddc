//! AWS Signature Version 4, checked from its specification and not by the library that signs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ring::{digest, hmac};
use url::form_urlencoded;

use super::super::http::Request;

pub struct Keys<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
}

/// Minutes that the clocks may differ by.
const SKEW: i64 = 15;

/// Whether the request is signed with these keys.
///
/// # Errors
///
/// Why not.
pub fn verify(request: &Request, keys: &Keys<'_>, now: Timestamp) -> Result<(), String> {
    let header = request.header("authorization").ok_or("no Authorization header")?;
    let fields = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("not AWS4-HMAC-SHA256")?;
    let fields: BTreeMap<&str, &str> = fields.split(',').filter_map(|field| field.trim().split_once('=')).collect();
    let field = |name: &str| fields.get(name).copied().ok_or(format!("no {name}"));
    let (credential, signed, signature) = (field("Credential")?, field("SignedHeaders")?, field("Signature")?);
    let (access_key, scope) = credential.split_once('/').ok_or("a Credential without a scope")?;
    let [date, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err("a scope that is none".to_owned());
    };
    if access_key != keys.access_key {
        return Err("an access key that is not known".to_owned());
    }
    let at = request.header("x-amz-date").ok_or("no X-Amz-Date")?;
    if !at.starts_with(date) {
        return Err("X-Amz-Date is not of the scope's day".to_owned());
    }
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", at).map_err(|error| error.to_string())?;
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?.timestamp();
    if (now.as_second() - time.as_second()).abs() > SKEW * 60 {
        return Err("X-Amz-Date is too far from now".to_owned());
    }
    let canonical = canonical(request, signed, service)?;
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hash(canonical.as_bytes()));
    let key = [date, region, service, "aws4_request"]
        .iter()
        .fold(format!("AWS4{}", keys.secret_key).into_bytes(), |key, text| sign(&key, text));
    match hex::encode(sign(&key, &to_sign)) == signature {
        true => Ok(()),
        false => Err("the signature does not match".to_owned()),
    }
}

fn canonical(request: &Request, signed: &str, service: &str) -> Result<String, String> {
    let names: Vec<&str> = signed.split(';').collect();
    if !names.contains(&"host") || !names.is_sorted() {
        return Err("SignedHeaders must be sorted and have host".to_owned());
    }
    // Whatever names a date, a token or a hash must be signed, or anybody could change it.
    if let Some((name, _)) =
        request.headers.iter().find(|(name, _)| name.starts_with("x-amz-") && !names.contains(&name.as_str()))
    {
        return Err(format!("{name} is not signed"));
    }
    let mut headers = String::new();
    for name in &names {
        let value = request.header(name).ok_or(format!("{name} is signed, and not there"))?;
        headers.extend([*name, ":", &value.split_ascii_whitespace().collect::<Vec<_>>().join(" "), "\n"]);
    }
    let hashed = hash(&request.body);
    let payload = match request.header("x-amz-content-sha256") {
        Some("UNSIGNED-PAYLOAD") => "UNSIGNED-PAYLOAD",
        Some(given) if given != hashed => return Err("X-Amz-Content-Sha256 is not the body's".to_owned()),
        _ => &hashed,
    };
    // S3 signs the path as it is sent; every other service encodes it once more.
    let path = match service {
        "s3" => request.path.clone(),
        _ => request.path.split('/').map(encode).collect::<Vec<_>>().join("/"),
    };
    let mut query: Vec<_> = form_urlencoded::parse(request.raw_query.as_bytes())
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    query.sort();
    let query: Vec<_> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok(format!("{}\n{path}\n{}\n{headers}\n{signed}\n{payload}", request.method, query.join("&")))
}

fn encode(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string()
}

fn hash(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}
