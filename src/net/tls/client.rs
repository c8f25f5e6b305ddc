//! The rustls configuration of a client, from the keys.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Mode, Tls};
use crate::error::{Error, Result};

/// What a driver needs to speak TLS as `tls` says. Reads the files that the keys name; makes no connection.
///
/// [`Mode::Off`] needs none of it; a driver that asks all the same gets what verifies in full.
pub fn rustls_config(tls: &Tls) -> Result<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::bug(format!("TLS has no protocol version: {e}")))?
        .dangerous();
    let verifier: Arc<dyn ServerCertVerifier> = match tls.mode {
        Mode::Require => Arc::new(AnyCertificate(provider)),
        Mode::VerifyFull | Mode::Off => WebPkiServerVerifier::builder_with_provider(roots(tls)?.into(), provider)
            .build()
            .map_err(|e| Error::config(format!("`tls_ca`: no authority to trust: {e}")))?,
    };
    let builder = builder.with_custom_certificate_verifier(verifier);
    match &tls.client {
        None => Ok(builder.with_no_client_auth()),
        Some((cert, key)) => {
            let chain = certificates("tls_cert", cert)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|e| Error::config(format!("`tls_key`: {}: {e}", key.display())))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|e| Error::config(format!("`tls_cert` and `tls_key` do not match: {e}")))
        }
    }
}

/// The authorities of `tls_ca`, or the system's.
fn roots(tls: &Tls) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(path) = &tls.ca {
        for certificate in certificates("tls_ca", path)? {
            roots
                .add(certificate)
                .map_err(|e| Error::config(format!("`tls_ca`: {}: not an authority: {e}", path.display())))?;
        }
        return Ok(roots);
    }
    let found = rustls_native_certs::load_native_certs();
    // One broken certificate among the system's must not stop the others.
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        false => Ok(roots),
        true => Err(Error::config("this system has no certificate authorities to verify a server with")
            .hint("Install them (Debian: `apt-get install ca-certificates`), or name your own with `tls_ca`.")),
    }
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let unreadable = |e| Error::config(format!("`{key}`: {}: {e}", path.display()));
    let certificates: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect::<Result<_, _>>().map_err(unreadable)?;
    match certificates.is_empty() {
        false => Ok(certificates),
        true => Err(Error::config(format!("`{key}`: {}: no certificate in it", path.display()))),
    }
}

/// Trusts any certificate, as `tls = require` says; the handshake itself is still proved with its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(mode: Mode, ca: Option<&str>) -> Tls {
        Tls { mode, ca: ca.map(Into::into), client: None }
    }

    #[test]
    fn encrypting_alone_needs_no_authority() {
        assert!(rustls_config(&tls(Mode::Require, None)).is_ok());
    }

    #[test]
    fn a_bad_file_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.pem");
        std::fs::write(&path, "no certificate here\n").unwrap();
        for file in [path.to_str().unwrap(), "/nowhere/ca.pem"] {
            let error = rustls_config(&tls(Mode::VerifyFull, Some(file))).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Config);
            assert!(error.message().contains("`tls_ca`") && error.message().contains(file), "{error}");
        }
    }
}
