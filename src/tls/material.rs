//! Certificates and keys out of PEM files. What a file has too little, too much or wrong is told
//! with its name, never what is in it.

use std::io::{self, Read};
use std::path::Path;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{Error, InconsistentKeys, RootCertStore};

/// No file of certificates or keys is larger.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why a file cannot be used for TLS or for checking tokens.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}")]
pub struct MaterialError {
    /// The file.
    pub file: String,
    /// What is wrong with it, without its content.
    pub why: String,
}

impl MaterialError {
    /// `why` the file at `path` cannot be used.
    pub fn new(path: &Path, why: impl Into<String>) -> Self {
        Self {
            file: path.display().to_string(),
            why: why.into(),
        }
    }
}

/// The whole file, which is small, or it is the wrong one.
pub fn read_file(path: &Path) -> Result<Vec<u8>, MaterialError> {
    let read = || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let bytes = read().map_err(|error| MaterialError::new(path, error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let why = format!("more than {MAX_FILE_BYTES} bytes: is this the right file?");
        return Err(MaterialError::new(path, why));
    }
    Ok(bytes)
}

/// The certificates in `pem`, at least one, in their order.
pub fn certificates(
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| MaterialError::new(path, error.to_string()))?;
    if certificates.is_empty() {
        return Err(MaterialError::new(
            path,
            "no CERTIFICATE in it; PEM is wanted",
        ));
    }
    Ok(certificates)
}

/// The first private key in `pem`.
pub fn private_key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, MaterialError> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| MaterialError::new(path, "no unencrypted private key in it; PEM is wanted"))
}

/// The authorities in `pem`, every one of which can be read.
pub fn roots(path: &Path, pem: &[u8]) -> Result<RootCertStore, MaterialError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        let added = roots.add(certificate);
        added.map_err(|error| MaterialError::new(path, error.to_string()))?;
    }
    Ok(roots)
}

/// A certificate chain and its key, which belong together.
pub fn identity(
    (cert_file, cert_pem): (&Path, &[u8]),
    (key_file, key_pem): (&Path, &[u8]),
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), MaterialError> {
    let chain = certificates(cert_file, cert_pem)?;
    let key = private_key(key_file, key_pem)?;
    let key_provider = super::provider().key_provider;
    let signing = (key_provider.load_private_key(key.clone_key()))
        .map_err(|error| MaterialError::new(key_file, error.to_string()))?;
    let own = CertifiedKey::new(chain.clone(), signing);
    match own.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok((chain, key)),
        Err(Error::InconsistentKeys(_)) => {
            let certificate = cert_file.display();
            let why = format!("is not the key of the certificate in {certificate}");
            Err(MaterialError::new(key_file, why))
        }
        Err(error) => Err(MaterialError::new(cert_file, error.to_string())),
    }
}
