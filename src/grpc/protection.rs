//! What stands between the port and the RPCs: TLS and the authentication of callers.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::authentication::Authenticator;
use crate::config::{Auth, Tls};
use crate::plan::Reason;
use crate::tls::{MaterialError, ServerTls};

/// How often the TLS files are looked at.
const FOLLOW_FILES: Duration = Duration::from_secs(5);

/// TLS and authentication, each as far as it is configured.
#[derive(Debug, Clone)]
pub struct Protection {
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) authenticator: Option<Arc<Authenticator>>,
    /// How often the TLS files are looked at.
    pub follow_files: Duration,
}

impl Protection {
    /// Reads and checks the files that sections `tls` and `auth` name. Asks nobody.
    pub fn load(tls: Option<&Tls>, auth: &Auth) -> Result<Self, MaterialError> {
        let tls = tls.map(ServerTls::load).transpose()?;
        let authenticator = Authenticator::load(auth, tls.as_ref())?.map(Arc::new);
        Ok(Self {
            tls,
            authenticator,
            follow_files: FOLLOW_FILES,
        })
    }

    /// Whether callers can be told apart.
    pub fn ready(&self) -> Result<(), Reason> {
        self.authenticator.as_ref().map_or(Ok(()), |it| it.ready())
    }

    /// Follows files and the issuer's keys until `drain` is cancelled.
    pub(super) async fn keep_current(self, drain: CancellationToken) {
        let files = async {
            if let Some(tls) = &self.tls {
                tls.follow_files(self.follow_files, &drain).await;
            }
        };
        let keys = async {
            if let Some(authenticator) = &self.authenticator {
                authenticator.keep_current(&drain).await;
            }
        };
        tokio::join!(files, keys);
    }
}
