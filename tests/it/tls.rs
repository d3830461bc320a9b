//! TLS and mutual TLS over real sockets: whose certificate counts, and until when.

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::guarded::{
    Authorities, Authority, EXPIRED, Guarded, Issued, NOT_YET, VALID, list, reason,
};

const TLS: &str = "tls: {cert_file: DIR/server.crt, key_file: DIR/server.key}\n";
const MUTUAL: &str =
    "tls: {cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/clients.crt}
auth: {mtls: {}}\n";
const OPTIONAL: &str = "tls:
  {cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/clients.crt, client_auth: optional}
auth: {mtls: {trust_domain: prod.example.com}}\n";
const SPIFFE: &str = "spiffe://prod.example.com/ns/soc/sa/console";

/// TLS 1.3 tells a client that its certificate is refused only when it asks something.
async fn asks(service: &Guarded, ca: &str, identity: Option<&Issued>) -> Result<(), String> {
    let channel = service.tls(ca, identity).await?;
    let answer = list(channel, None).await;
    answer.map(drop).map_err(|status| format!("{status:?}"))
}

#[tokio::test]
async fn a_client_knows_the_service_by_its_authority_and_nobody_talks_without_tls() {
    let authorities = Authorities::new();
    let service = Guarded::start(authorities.files(), TLS).await;
    let servers = authorities.servers.pem();
    asks(&service, &servers, None).await.unwrap();
    let stranger = Authority::new("servers").pem();
    let refused = asks(&service, &stranger, None).await.unwrap_err();
    assert!(refused.contains("InvalidCertificate"), "{refused}");
    // Nor does a connection that says nothing keep another from being served.
    let _silent = std::net::TcpStream::connect(service.server.local_addr()).unwrap();
    list(service.plain(), None).await.unwrap_err();
    asks(&service, &servers, None).await.unwrap();
}

#[tokio::test]
async fn a_caller_needs_a_certificate_of_the_right_authority_that_is_valid_now() {
    let authorities = Authorities::new();
    let service = Guarded::start(authorities.files(), MUTUAL).await;
    let servers = authorities.servers.pem();
    let known = authorities.clients.client(&["soc.example.com"], VALID);
    asks(&service, &servers, Some(&known)).await.unwrap();
    for (wrong, what) in [
        (None, "no certificate"),
        (
            Some(Authority::new("clients").client(&["soc.example.com"], VALID)),
            "wrong authority",
        ),
        (
            Some(authorities.clients.client(&["soc.example.com"], EXPIRED)),
            "expired",
        ),
        (
            Some(authorities.clients.client(&["soc.example.com"], NOT_YET)),
            "not yet valid",
        ),
        (
            Some(authorities.clients.server(VALID)),
            "a server's certificate",
        ),
    ] {
        let refused = asks(&service, &servers, wrong.as_ref()).await;
        assert!(refused.is_err(), "{what}");
    }
    asks(&service, &servers, Some(&known)).await.unwrap();
}

#[tokio::test]
async fn the_caller_has_its_certificates_name() {
    let authorities = Authorities::new();
    let service = Guarded::start(authorities.files(), OPTIONAL).await;
    let servers = authorities.servers.pem();
    let ask = async |identity: Option<Issued>| {
        let channel = service.tls(&servers, identity.as_ref()).await.unwrap();
        list(channel, None).await
    };
    let of = |names: &[&str]| Some(authorities.clients.client(names, VALID));
    ask(of(&[SPIFFE])).await.unwrap();
    assert_eq!(reason(ask(None).await), "CERTIFICATE_MISSING");
    for wrong in [
        &["spiffe://test.example.com/ns/soc/sa/console"][..],
        &["soc.example.com"],
        &[SPIFFE, "https://example.com/"],
    ] {
        assert_eq!(
            reason(ask(of(wrong)).await),
            "CERTIFICATE_NAMELESS",
            "{wrong:?}"
        );
    }
    // A token that nobody can check is not passed over.
    let channel = service.tls(&servers, of(&[SPIFFE]).as_ref()).await.unwrap();
    assert_eq!(
        reason(list(channel, Some("eyJ")).await),
        "TOKEN_NOT_ACCEPTED"
    );
    // Kubelets have no certificates.
    let channel = service.tls(&servers, None).await.unwrap();
    let mut health = HealthClient::new(channel);
    let asked = HealthCheckRequest {
        service: "live".into(),
    };
    health.check(asked).await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_and_new_authorities_count_without_a_restart() {
    let authorities = Authorities::new();
    let service = Guarded::start(authorities.files(), MUTUAL).await;
    let (old, known) = (
        authorities.servers.pem(),
        authorities.clients.client(&["soc.example.com"], VALID),
    );
    let open = service.tls(&old, Some(&known)).await.unwrap();
    list(open.clone(), None).await.unwrap();

    let later = Authority::new("later");
    service.files.write_issued("server", &later.server(VALID));
    while asks(&service, &later.pem(), Some(&known)).await.is_err() {}
    assert!(asks(&service, &old, Some(&known)).await.is_err());
    // Connections that are open stay…
    list(open.clone(), None).await.unwrap();
    // …until their own certificate's authority is trusted no more.
    let clients = Authority::new("new clients");
    service.files.write("clients.crt", &clients.pem());
    let refused = loop {
        if let Err(status) = list(open.clone(), None).await {
            break status;
        }
    };
    assert_eq!(reason(Err(refused)), "CERTIFICATE_INVALID");
    let known = clients.client(&["soc.example.com"], VALID);
    asks(&service, &later.pem(), Some(&known)).await.unwrap();
}
