//! TLS: a certificate and its key, from files.
//! Layer 0.

use std::{error::Error as StdError, fmt, path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// What a server needs to speak TLS: versions 1.2 and 1.3, with rustls.
#[derive(Clone)]
pub struct Tls(pub(crate) TlsAcceptor);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// Why there is no certificate to be had of two files.
#[derive(Debug)]
pub struct TlsError {
    says: String,
    source: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl StdError for TlsError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

impl Tls {
    /// Reads a chain of certificates, the server's first, and its key, both as PEM.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, holds neither, or the two do not belong together.
    pub fn read(certificates: &Path, key: &Path) -> Result<Self, TlsError> {
        let wrong = |what: &str, file: &Path, source: Box<dyn StdError + Send + Sync>| TlsError {
            says: format!("{what} cannot be read: {}", file.display()),
            source,
        };
        let chain = CertificateDer::pem_file_iter(certificates).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let chain = chain.map_err(|error| wrong("the certificates", certificates, error.into()))?;
        let key_of = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong("the key", key, error.into()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key_of));
        let mut config = config.map_err(|error| wrong("the certificates and the key", certificates, error.into()))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}
