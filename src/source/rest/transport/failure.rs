//! Why a request came to nothing, in words without its URL.

use std::error::Error as StdError;
use std::io;

use super::{Broken, What};
use crate::error::Kind;

impl Broken {
    /// What the client says of a request that it sent, or of a body that it read.
    pub fn of(error: reqwest::Error) -> Self {
        // It may have a secret in its query.
        let error = error.without_url();
        let what = match () {
            () if is_untrusted(&error) => What::Untrusted,
            () if error.is_timeout() => What::Timeout,
            () if error.is_connect() => What::Connect,
            () if error.is_builder() => What::Refused,
            () => What::CutOff,
        };
        match (what, error.is_connect()) {
            (What::Timeout, true) => Broken::new(what, "no connection in time"),
            (What::Timeout, false) => Broken::new(what, "nothing has come for too long"),
            // Its words may name a value.
            (What::Refused, _) => Broken::new(what, "the request cannot be sent as it is"),
            _ => Broken::new(what, reason(&error)),
        }
    }

    /// What is to be done about it: by the kind, and in words where they help.
    pub fn remedy(&self) -> (Kind, Option<&'static str>) {
        match self.what {
            What::Connect | What::Timeout | What::CutOff | What::Encoding => (Kind::Unavailable, None),
            What::Untrusted => {
                (Kind::Config, Some("Set `tls_ca` to the authority that signed the server's certificate."))
            }
            What::NoRoom => (Kind::Unavailable, Some("Make room in the folder for temporary files (`TMPDIR`).")),
            What::Refused | What::Cut => (Kind::Config, None),
        }
    }

    /// A large body cannot be kept.
    pub fn no_room(error: &io::Error) -> Self {
        let folder = std::env::temp_dir();
        Broken::new(What::NoRoom, format!("a large answer cannot be kept in {}: {error}", folder.display()))
    }
}

/// What is behind an error, in one sentence. Its own words say what is known anyway: that a request was sent.
fn reason(error: &reqwest::Error) -> String {
    let mut next = error.source();
    let mut reasons: Vec<String> = Vec::new();
    while let Some(error) = next {
        let more = error.to_string();
        if !reasons.iter().any(|known| known.contains(&more)) {
            reasons.push(more);
        }
        next = error.source();
    }
    match reasons.is_empty() {
        true => error.to_string(),
        false => reasons.join(": "),
    }
}

/// Whether a certificate was refused.
fn is_untrusted(error: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return matches!(error, rustls::Error::InvalidCertificate(_));
    }
    // An error within an I/O error is not among its sources.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.is_some_and(|inner| is_untrusted(inner)) || error.source().is_some_and(is_untrusted)
}
