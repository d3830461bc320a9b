//! How a subcommand shows itself to a service, and knows that it is the right one.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, Uri};
use tonic::{Request, Status};

use crate::config::is_loopback;
use crate::tls::{self, MaterialError};

/// Flags of every subcommand that asks a service.
#[derive(Debug, Clone, Default, Args)]
pub struct CredentialArgs {
    /// The authorities that the service's certificate must come from (PEM) [default: the system's]
    #[arg(
        long,
        value_name = "FILE",
        env = "IDENTITY_TRAIL_TLS_CA",
        help_heading = "Service"
    )]
    pub tls_ca: Option<PathBuf>,
    /// The certificate to show to the service (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "IDENTITY_TRAIL_TLS_CERT",
        help_heading = "Service",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "IDENTITY_TRAIL_TLS_KEY",
        help_heading = "Service",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// A file with the bearer token to show to the service; read for every call
    #[arg(
        long,
        value_name = "FILE",
        env = "IDENTITY_TRAIL_TOKEN_FILE",
        help_heading = "Service"
    )]
    pub token_file: Option<PathBuf>,
}

/// Why these flags cannot be used with this service.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] MaterialError),
    /// There is no TLS that they could be for.
    #[error("{flag} is for TLS, and {url} has none: use https://")]
    NoTls {
        /// The flag.
        flag: &'static str,
        /// The endpoint.
        url: Uri,
    },
    /// The token would be seen by whoever is on the way.
    #[error(
        "--token-file: {0} has no TLS, and the token would be readable on the way: use https://"
    )]
    Readable(Uri),
}

impl CredentialArgs {
    /// How to speak TLS with the service at `url`; `None` if it has none.
    pub(super) fn tls(&self, url: &Uri) -> Result<Option<ClientTlsConfig>, CredentialError> {
        if url.scheme_str() != Some("https") {
            let flags = [
                ("--tls-ca", &self.tls_ca),
                ("--tls-cert", &self.tls_cert),
                ("--tls-key", &self.tls_key),
            ];
            return match flags.into_iter().find(|(_, file)| file.is_some()) {
                Some((flag, _)) => Err(CredentialError::NoTls {
                    flag,
                    url: url.clone(),
                }),
                None => Ok(None),
            };
        }
        let mut config = ClientTlsConfig::new();
        config = match &self.tls_ca {
            Some(file) => {
                let pem = tls::read_file(file)?;
                // tonic would leave out what it cannot read.
                tls::roots(file, &pem)?;
                config.ca_certificate(Certificate::from_pem(pem))
            }
            None => config.with_native_roots(),
        };
        if let (Some(cert_file), Some(key_file)) = (&self.tls_cert, &self.tls_key) {
            let (cert, key) = (tls::read_file(cert_file)?, tls::read_file(key_file)?);
            tls::identity((cert_file, &cert), (key_file, &key))?;
            config = config.identity(Identity::from_pem(cert, key));
        }
        Ok(Some(config))
    }

    /// What shows the token to the service at `url`. The file is read once, so that a wrong one is
    /// told before anything is connected.
    pub(super) fn bearer(&self, url: &Uri) -> Result<Bearer, CredentialError> {
        let bearer = Bearer {
            token_file: self.token_file.clone(),
        };
        if bearer.token_file.is_some() && url.scheme_str() != Some("https") && !is_loopback(url) {
            return Err(CredentialError::Readable(url.clone()));
        }
        bearer.header()?;
        Ok(bearer)
    }
}

/// Shows the token of a file with every call, if there is one.
#[derive(Debug, Clone, Default)]
pub struct Bearer {
    token_file: Option<PathBuf>,
}

impl Bearer {
    fn header(&self) -> Result<Option<MetadataValue<Ascii>>, MaterialError> {
        let Some(file) = &self.token_file else {
            return Ok(None);
        };
        let bytes = tls::read_file(file)?;
        let token = std::str::from_utf8(&bytes).map_or("", str::trim);
        let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let header = visible.then(|| MetadataValue::from_str(&format!("Bearer {token}")).ok());
        let Some(mut header) = header.flatten() else {
            return Err(MaterialError::new(file, "no token in it, or more than one"));
        };
        header.set_sensitive(true);
        Ok(Some(header))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let header = self.header();
        let header = header.map_err(|error| Status::unauthenticated(error.to_string()))?;
        if let Some(header) = header {
            request.metadata_mut().insert("authorization", header);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(file: &std::path::Path) -> CredentialArgs {
        CredentialArgs {
            token_file: Some(file.to_owned()),
            ..CredentialArgs::default()
        }
    }

    #[test]
    fn a_token_is_read_for_every_call_and_marked_as_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "first\n").unwrap();
        let url = Uri::from_static("https://service.example.com");
        let mut bearer = token_of(&file).bearer(&url).unwrap();
        for token in ["first", "second"] {
            std::fs::write(&file, format!("{token}\n")).unwrap();
            let request = bearer.call(Request::new(())).unwrap();
            let header = request.metadata().get("authorization").unwrap();
            assert_eq!(header, format!("Bearer {token}").as_str());
            assert!(header.is_sensitive());
        }
        for wrong in ["", "\n", "two words", "tok\u{e9}n"] {
            std::fs::write(&file, wrong).unwrap();
            let refused = bearer.call(Request::new(())).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::Unauthenticated);
            assert!(token_of(&file).bearer(&url).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_goes_over_tls_or_stays_on_this_machine() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "token").unwrap();
        for (url, sent) in [
            ("https://service.example.com", true),
            ("http://127.0.0.1:50051", true),
            ("http://localhost:50051", true),
            ("http://[::1]:50051", true),
            ("http://service.example.com", false),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1:50051", false),
        ] {
            let url: Uri = url.parse().unwrap();
            assert_eq!(token_of(&file).bearer(&url).is_ok(), sent, "{url}");
        }
    }
}
