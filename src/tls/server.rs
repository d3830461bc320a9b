//! The service's side of TLS: one configuration at a time, replaced when its files change.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{Error, ServerConfig};
use tokio_util::sync::CancellationToken;

use super::material::{self, MaterialError};
use crate::config::{ClientAuth, Tls};

/// The service's certificate and the authorities of its callers', as their files have them.
#[derive(Debug)]
pub struct ServerTls {
    config: Tls,
    /// Replaced as a whole by [`Self::follow_files`], read by every handshake and every call.
    current: ArcSwap<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    server: Arc<ServerConfig>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// Of all files.
    digest: [u8; 32],
}

impl ServerTls {
    /// Reads and checks the files.
    pub fn load(config: &Tls) -> Result<Arc<Self>, MaterialError> {
        let files = Files::read(config)?;
        let loaded = files.load(config)?;
        Ok(Arc::new(Self {
            config: config.clone(),
            current: ArcSwap::from_pointee(loaded),
        }))
    }

    /// What the next handshake uses.
    #[must_use]
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().server)
    }

    /// Checks a caller's certificate as of now, with the authorities of now: a connection outlives
    /// what was true at its handshake.
    pub fn verify_client(&self, chain: &[CertificateDer<'_>]) -> Result<(), Error> {
        let loaded = self.current.load();
        let (Some(verifier), Some((end_entity, intermediates))) =
            (&loaded.clients, chain.split_first())
        else {
            return Err(Error::NoCertificatesPresented);
        };
        (verifier.verify_client_cert(end_entity, intermediates, UnixTime::now())).map(drop)
    }

    /// Reads the files again every `interval` until `drain` is cancelled. What cannot be used is
    /// logged once, and what was there before stays.
    pub async fn follow_files(self: &Arc<Self>, interval: Duration, drain: &CancellationToken) {
        let mut refused = None;
        while let Some(()) = drain
            .run_until_cancelled(tokio::time::sleep(interval))
            .await
        {
            let tls = Arc::clone(self);
            let reloaded = tokio::task::spawn_blocking(move || tls.reload()).await;
            let told = match reloaded {
                Ok(Ok(false)) => None,
                Ok(Ok(true)) => {
                    tracing::info!("the TLS files have changed: new connections use them");
                    None
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(died) => Some(died.to_string()),
            };
            if told != refused {
                if let Some(why) = &told {
                    tracing::error!("the TLS files cannot be used, the former ones stay: {why}");
                }
                refused = told;
            }
        }
    }

    /// Whether there was something new.
    fn reload(&self) -> Result<bool, MaterialError> {
        let files = Files::read(&self.config)?;
        if files.digest() == self.current.load().digest {
            return Ok(false);
        }
        self.current.store(Arc::new(files.load(&self.config)?));
        Ok(true)
    }
}

/// What is in the files.
struct Files {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Files {
    fn read(config: &Tls) -> Result<Self, MaterialError> {
        Ok(Self {
            cert: material::read_file(&config.cert_file)?,
            key: material::read_file(&config.key_file)?,
            client_ca: (config.client_ca())
                .map(|(file, _)| material::read_file(file))
                .transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for file in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()] {
            let bytes = file.map_or(&[][..], Vec::as_slice);
            digest.update(Sha256::digest(bytes));
        }
        digest.finalize().into()
    }

    fn load(&self, config: &Tls) -> Result<Loaded, MaterialError> {
        let (chain, key) = material::identity(
            (&config.cert_file, &self.cert),
            (&config.key_file, &self.key),
        )?;
        check_usable(&chain[0]).map_err(|why| MaterialError::new(&config.cert_file, why))?;
        let clients = match (config.client_ca(), &self.client_ca) {
            (Some((file, auth)), Some(pem)) => {
                let roots = Arc::new(material::roots(file, pem)?);
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots, super::provider());
                let verifier = match auth {
                    ClientAuth::Required => verifier,
                    ClientAuth::Optional | ClientAuth::None => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build();
                Some(verifier.map_err(|error| MaterialError::new(file, error.to_string()))?)
            }
            _ => None,
        };
        let verifier = clients
            .clone()
            .unwrap_or_else(WebPkiClientVerifier::no_client_auth);
        let refused = |error: Error| MaterialError::new(&config.cert_file, error.to_string());
        let mut server = ServerConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(refused)?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would keep a certificate that is checked no more; gRPC's connections are few
        // and long.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Loaded {
            server: Arc::new(server),
            clients,
            digest: self.digest(),
        })
    }
}

/// Whether a caller could accept the certificate today, as far as it says so itself: its times and what
/// it is for. Who issued it is for callers to judge.
fn check_usable(certificate: &CertificateDer<'_>) -> Result<(), String> {
    let parsed = webpki::EndEntityCert::try_from(certificate).map_err(|error| error.to_string())?;
    let verified = parsed.verify_for_usage(
        super::provider().signature_verification_algorithms.all,
        &[],
        &[],
        UnixTime::now(),
        webpki::KeyUsage::server_auth(),
        None,
        None,
    );
    let at = |time: UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
    };
    match verified.err() {
        Some(webpki::Error::CertExpired { not_after, .. }) => {
            Err(format!("the certificate expired at {}", at(not_after)))
        }
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => Err(format!(
            "the certificate is valid only from {} on",
            at(not_before)
        )),
        Some(webpki::Error::RequiredEkuNotFoundContext(_)) => {
            Err("the certificate is not one for servers (extended key usage)".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tempfile::TempDir;

    use super::*;

    fn write(dir: &Path, name: &str, text: &str) {
        std::fs::write(dir.join(name), text).unwrap();
    }

    /// A certificate that was valid until the beginning of `until`, and its key.
    fn issued(until: i32) -> (String, String) {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn what_cannot_be_used_is_told_by_file_and_leaves_what_was_there() {
        let dir = TempDir::new().unwrap();
        let dir = dir.path();
        let config = serde_json::json!({"cert_file": dir.join("c"), "key_file": dir.join("k")});
        let config: Tls = serde_json::from_value(config).unwrap();
        let (cert, key) = issued(4000);
        let (expired, its_key) = issued(2020);
        assert!(ServerTls::load(&config).is_err(), "there are no files yet");
        write(dir, "c", &cert);
        write(dir, "k", &key);
        let tls = ServerTls::load(&config).unwrap();
        let before = tls.server_config();
        assert!(!tls.reload().unwrap(), "nothing has changed");
        for (cert, key, told) in [
            (&cert, &its_key, "not the key of the certificate"),
            (&expired, &its_key, "expired at 2020-01-01"),
            (&key, &key, "no CERTIFICATE in it"),
            (&cert, &cert, "no unencrypted private key"),
            (&"x".repeat(2 * 1024 * 1024), &key, "more than"),
        ] {
            write(dir, "c", cert);
            write(dir, "k", key);
            let refused = tls.reload().unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
            assert!(Arc::ptr_eq(&before, &tls.server_config()));
            assert!(ServerTls::load(&config).is_err());
        }
        let (cert, key) = issued(3000);
        write(dir, "c", &cert);
        write(dir, "k", &key);
        assert!(tls.reload().unwrap());
        assert!(!Arc::ptr_eq(&before, &tls.server_config()));
    }
}
