//! What an error of S3 asks of its reader, by its code, its status, and the types in its chain.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::settings::Settings;
use crate::destination::files::stores::is_untrusted;
use crate::error::{Error, Kind};

/// A request, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// As S3 names it: `PutObject`.
    pub name: &'static str,
    /// The permission that it takes, and whether on the bucket or on objects in it.
    pub needs: Needs,
    /// What it is about: a whole name in the bucket.
    pub object: &'a str,
}

#[derive(Debug, Clone, Copy)]
pub enum Needs {
    OnObjects(&'static str),
    OnBucket(&'static str),
}

pub fn classify<E>(error: &SdkError<E, HttpResponse>, request: Request<'_>, settings: &Settings) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let place = format!("s3://{}/{}: {}", settings.bucket, request.object, request.name);
    match error.raw_response() {
        Some(response) => {
            let meta = error.as_service_error().map(ProvideErrorMetadata::meta);
            let code = meta.and_then(|meta| meta.code()).unwrap_or_default();
            let told = meta.and_then(|meta| meta.message()).unwrap_or("no reason given");
            let status = response.status().as_u16();
            let message = format!("{place}: {status} {code}: {told}");
            let region = response.headers().get("x-amz-bucket-region");
            refused(status, code, message, region, request, settings)
        }
        None => unanswered(error, &place),
    }
}

/// The code of the service's answer, if it gave one.
pub fn code<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<&str> {
    error.as_service_error().and_then(|error| error.meta().code())
}

/// The status of the answer, if there was one.
pub fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn refused(
    status: u16,
    code: &str,
    message: String,
    region: Option<&str>,
    request: Request<'_>,
    settings: &Settings,
) -> Error {
    let error = |kind| Error::new(kind, message.clone());
    match (status, code) {
        (_, "NoSuchBucket") => error(Kind::Config).hint("Make the bucket, or set `bucket` to one that is there."),
        (_, "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
        | (301 | 307, _) => match region {
            Some(region) => error(Kind::Config).hint(format!("The bucket is in {region}: set `region` to that.")),
            None => error(Kind::Config).hint("Set `region` to the bucket's, or `endpoint` to its service."),
        },
        (_, "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "TokenRefreshRequired") => {
            error(Kind::Denied).hint("Check `access_key` and `secret_key`, or what the AWS chain finds in their place.")
        }
        (_, "ExpiredToken") => error(Kind::Denied).hint("The credentials have expired: renew them."),
        (_, "RequestTimeTooSkewed") => error(Kind::Denied).hint("Set this machine's clock."),
        (401 | 403, _) => error(Kind::Denied).hint(grant(request, settings)),
        (408 | 425 | 429 | 500..=599, _) if status != 501 => error(Kind::Unavailable),
        (_, "SlowDown" | "RequestTimeout" | "InternalError" | "OperationAborted" | "ConditionalRequestConflict") => {
            error(Kind::Unavailable)
        }
        // What the way has changed may pass unchanged the next time.
        (_, "BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch" | "IncompleteBody") => {
            error(Kind::Unavailable)
        }
        (501, _) => error(Kind::Config).hint("This service does not offer what is needed here."),
        _ => error(Kind::Config).hint("The service refuses the request as it stands: look at the destination's keys."),
    }
}

/// The missing permission, as a policy names it.
fn grant(request: Request<'_>, settings: &Settings) -> String {
    let bucket = &settings.bucket;
    match request.needs {
        Needs::OnObjects(action) => {
            format!("Grant {action} on arn:aws:s3:::{bucket}/{}* to these credentials.", settings.prefix.as_str())
        }
        Needs::OnBucket(action) => format!("Grant {action} on arn:aws:s3:::{bucket} to these credentials."),
    }
}

/// No answer came: no credentials to ask with, a broken network, or a server that is not trusted.
fn unanswered(error: &(dyn StdError + 'static), place: &str) -> Error {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        chain.push(error);
        next = error.source();
    }
    let message = format!("{place}: {}", sentence(&chain));
    if let Some(error) = chain.iter().find_map(|error| error.downcast_ref::<CredentialsError>()) {
        return credentials(error, &chain, message);
    }
    if chain.iter().any(|error| is_untrusted(*error)) {
        return Error::config(message).hint(
            "The server's certificate is not trusted here: add its authority to the system's, or mend `endpoint`.",
        );
    }
    Error::unavailable(message)
}

fn credentials(error: &CredentialsError, chain: &[&(dyn StdError + 'static)], message: String) -> Error {
    let network = chain.iter().any(|error| {
        let connector = error.downcast_ref::<aws_sdk_s3::error::ConnectorError>();
        connector.is_some_and(|error| error.is_io() || error.is_timeout())
    });
    match error {
        CredentialsError::CredentialsNotLoaded(_) => Error::denied(message).hint(
            "Set `access_key` and `secret_key`, `profile`, or what the AWS tools use: AWS_ACCESS_KEY_ID, ~/.aws, a role.",
        ),
        CredentialsError::InvalidConfiguration(_) => Error::config(message),
        CredentialsError::ProviderTimedOut(_) => Error::unavailable(message),
        _ if network => Error::unavailable(message),
        _ => Error::denied(message).hint("Renew the credentials (`aws sso login`, say), or set others."),
    }
}

/// The chain in one sentence, without its repetitions.
fn sentence(chain: &[&(dyn StdError + 'static)]) -> String {
    let mut said: Vec<String> = Vec::new();
    for error in chain {
        let text = error.to_string();
        if !said.iter().any(|said| said.contains(&text)) {
            said.push(text);
        }
    }
    said.join(": ")
}
