//! A small service with TLS or authentication, and those who issue certificates and tokens for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use identity_trail::assembly::Assembly;
use identity_trail::clock::Clock;
use identity_trail::config::Config;
use identity_trail::federation::HubCredentials;
use identity_trail::grpc::Server;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::{ListAccountsRequest, ListAccountsResponse};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType, date_time_ymd,
};
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Request, Status};
use tonic_types::StatusExt;

/// A service of one account, with no AWS behind it: enough to list accounts.
pub struct Guarded {
    pub server: Server,
    pub files: Files,
    pub _assembly: Assembly,
}

impl Guarded {
    /// `sections` are lines of the configuration; `DIR` in them is the directory of `files`.
    pub async fn start(files: Files, sections: &str) -> Self {
        let sections = sections.replace("DIR", files.path("").to_str().unwrap());
        let yaml = format!(
            "hub: {{region: eu-west-1, endpoint_url: \"http://127.0.0.1:9\"}}
accounts: {{list: [{{id: \"111122223333\", credentials: hub}}]}}
regions: [eu-west-1]
{sections}"
        );
        let config = Config::parse(&yaml, "test").unwrap_or_else(|error| panic!("{error}"));
        let hub = HubCredentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: "secret".into(),
        };
        let assembly = Assembly::of(&config, Some(hub), Clock::system())
            .await
            .unwrap();
        let mut parts = assembly.server_parts().unwrap();
        parts.protection.follow_files = Duration::from_millis(20);
        let server = Server::start(([127, 0, 0, 1], 0).into(), parts).await;
        Self {
            server: server.unwrap(),
            files,
            _assembly: assembly,
        }
    }

    pub fn port(&self) -> u16 {
        self.server.local_addr().port()
    }

    /// A channel without TLS.
    pub fn plain(&self) -> Channel {
        let url = format!("http://127.0.0.1:{}", self.port());
        Channel::from_shared(url).unwrap().connect_lazy()
    }

    /// A channel with TLS, or why there is none.
    pub async fn tls(&self, ca: &str, identity: Option<&Issued>) -> Result<Channel, String> {
        connect(self.port(), ca, identity).await
    }
}

/// A channel with TLS to a service on this machine, or why there is none.
pub async fn connect(port: u16, ca: &str, identity: Option<&Issued>) -> Result<Channel, String> {
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    if let Some(identity) = identity {
        tls = tls.identity(Identity::from_pem(&identity.cert, &identity.key));
    }
    let url = format!("https://localhost:{port}");
    let endpoint = Channel::from_shared(url).unwrap().tls_config(tls).unwrap();
    let connected = endpoint.connect().await;
    connected.map_err(|error| format!("{error:?}"))
}

/// Asks for the accounts, with a token if there is one.
pub async fn list(channel: Channel, token: Option<&str>) -> Result<ListAccountsResponse, Status> {
    let mut request = Request::new(ListAccountsRequest::default());
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let mut client = IdentityTrailServiceClient::new(channel);
    client
        .list_accounts(request)
        .await
        .map(tonic::Response::into_inner)
}

/// The reason code of a refusal that is UNAUTHENTICATED, and does not repeat the token.
pub fn reason(answer: Result<ListAccountsResponse, Status>) -> String {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated, "{status:?}");
    assert!(!status.message().contains("eyJ"), "{status:?}");
    status.get_details_error_info().unwrap().reason
}

/// Files of a test, gone with it.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces the file as a whole, as Kubernetes does.
    pub fn write(&self, name: &str, text: &str) {
        let new = self.path(".new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    /// A certificate and its key.
    pub fn write_issued(&self, name: &str, issued: &Issued) {
        self.write(&format!("{name}.key"), &issued.key);
        self.write(&format!("{name}.crt"), &issued.cert);
    }
}

impl AsRef<Path> for Files {
    fn as_ref(&self) -> &Path {
        self.0.path()
    }
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

/// Who issues the server's certificates, and who the clients'.
pub struct Authorities {
    pub servers: Authority,
    pub clients: Authority,
}

impl Authorities {
    pub fn new() -> Self {
        Self {
            servers: Authority::new("servers"),
            clients: Authority::new("clients"),
        }
    }

    /// The server's certificate, and who issues the clients'.
    pub fn files(&self) -> Files {
        let files = Files::new();
        files.write_issued("server", &self.servers.server(VALID));
        files.write("clients.crt", &self.clients.pem());
        files
    }
}

/// Between which days (years at their first day) a certificate is valid.
pub const VALID: (i32, i32) = (2020, 4000);
pub const EXPIRED: (i32, i32) = (2019, 2020);
pub const NOT_YET: (i32, i32) = (3000, 4000);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's certificate for `localhost`.
    pub fn server(&self, valid: (i32, i32)) -> Issued {
        let name = SanType::DnsName("localhost".try_into().unwrap());
        self.issue(vec![name], ExtendedKeyUsagePurpose::ServerAuth, valid)
    }

    /// A client's certificate with these names: URIs, else DNS names.
    pub fn client(&self, names: &[&str], valid: (i32, i32)) -> Issued {
        let name = |name: &&str| {
            if name.contains("://") {
                SanType::URI((*name).try_into().unwrap())
            } else {
                SanType::DnsName((*name).try_into().unwrap())
            }
        };
        let names = names.iter().map(name).collect();
        self.issue(names, ExtendedKeyUsagePurpose::ClientAuth, valid)
    }

    fn issue(
        &self,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        (from, until): (i32, i32),
    ) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        Issued {
            cert: params.signed_by(&key, &self.0).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}
