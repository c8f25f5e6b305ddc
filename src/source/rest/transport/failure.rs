//! Why a request came to nothing, in words without its URL, but for host and port.

use std::error::Error as StdError;
use std::io;

use rustls::CertificateError;

use super::{Broken, What};
use crate::error::Kind;

impl Broken {
    /// What the client says of a request that it sent, or of a body that it read.
    pub fn of(error: reqwest::Error) -> Self {
        // It may have a secret in its query.
        let error = error.without_url();
        let what = match certificate(&error) {
            Some(why) => distrust(why),
            None if error.is_timeout() => What::Timeout,
            None if error.is_connect() => What::Connect,
            None if error.is_builder() => What::Refused,
            None => What::CutOff,
        };
        match (what, error.is_connect()) {
            (What::Timeout, true) => Broken::new(what, "no connection in time"),
            (What::Timeout, false) => Broken::new(what, "nothing has come for too long"),
            // Its words may name a value.
            (What::Refused, _) => Broken::new(what, "the request cannot be sent as it is"),
            _ => Broken::new(what, reason(&error)),
        }
    }

    /// As [`Broken::of`], of a request that is sent: `way` tells where a connection was to lead.
    pub fn on_its_way(error: reqwest::Error, way: impl FnOnce() -> String) -> Self {
        let is_connect = error.is_connect();
        let Self { what, message } = Self::of(error);
        let message = match what {
            What::Untrusted | What::Expired | What::Misnamed => {
                format!("the server's certificate is refused ({}): {message}", way())
            }
            What::Connect => format!("cannot reach {}: {message}", way()),
            What::Timeout if is_connect => format!("cannot reach {}: {message}", way()),
            _ => message,
        };
        Self { what, message }
    }

    /// What is to be done about it: by the kind, and in words where they help.
    pub fn remedy(&self) -> (Kind, Option<&'static str>) {
        match self.what {
            What::Connect | What::Timeout | What::CutOff | What::Encoding => (Kind::Unavailable, None),
            What::Untrusted => {
                (Kind::Config, Some("Set `tls_ca` to the authority that signed the server's certificate."))
            }
            What::Expired => (
                Kind::Config,
                Some("Whoever runs the server has to renew it; if it is still good, set this machine's clock."),
            ),
            What::Misnamed => (Kind::Config, Some("Set the URL (`base_url`) to a name that the certificate is for.")),
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
    // Its kind is known: `client error (Connect)`.
    if error.is_connect() && next.is_some_and(|outer| outer.source().is_some()) {
        next = next.and_then(StdError::source);
    }
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

/// Why a certificate was refused, if one was.
fn certificate<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e CertificateError> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return match error {
            rustls::Error::InvalidCertificate(why) => Some(why),
            _ => None,
        };
    }
    // An error within an I/O error is not among its sources.
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    inner.and_then(|inner| certificate(inner)).or_else(|| error.source().and_then(certificate))
}

fn distrust(why: &CertificateError) -> What {
    use CertificateError as Bad;
    match why {
        Bad::Expired | Bad::ExpiredContext { .. } | Bad::NotValidYet | Bad::NotValidYetContext { .. } => What::Expired,
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => What::Misnamed,
        _ => What::Untrusted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_about_a_certificate_is_by_its_reason() {
        for (why, hint) in [
            (CertificateError::Expired, "renew it"),
            (CertificateError::NotValidYet, "clock"),
            (CertificateError::NotValidForName, "`base_url`"),
            (CertificateError::UnknownIssuer, "`tls_ca`"),
        ] {
            // As it comes from the client: within an I/O error, which is within others.
            let error = io::Error::other(io::Error::other(rustls::Error::InvalidCertificate(why.clone())));
            assert_eq!(certificate(&error), Some(&why));
            let (kind, advice) = Broken::new(distrust(&why), "").remedy();
            assert!(kind == Kind::Config && advice.is_some_and(|advice| advice.contains(hint)), "{why:?}: {advice:?}");
        }
        assert_eq!(certificate(&io::Error::other(rustls::Error::DecryptError)), None);
    }
}
