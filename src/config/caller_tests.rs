//! Sections `tls` and `auth`.

use super::*;

const EXAMPLE: &str = include_str!("../../identity-trail.example.yaml");
const REST: &str = "\
hub: {region: us-east-1}
accounts: {list: [{id: \"012345678901\", role_name: reader}]}
regions: [us-east-1]
";
const TLS: &str = "tls: {cert_file: c, key_file: k}\n";
const MUTUAL: &str = "tls: {cert_file: c, key_file: k, client_ca_file: a}\n";

fn parse(sections: &str) -> Result<Config, String> {
    Config::parse(&format!("{REST}{sections}"), "test").map_err(|error| error.to_string())
}

/// A section `auth.jwt` with these keys besides issuer and audience.
fn jwt_section(more: &str) -> String {
    format!("auth: {{jwt: {{issuer: i, audience: a, {more}}}}}\n")
}

#[test]
fn the_examples_sections_are_valid_as_they_stand() {
    let section = |key: &str| {
        let begin = EXAMPLE.find(&format!("\n# {key}:\n")).unwrap() + 1;
        let lines = EXAMPLE[begin..].lines();
        let yaml: Vec<&str> = lines.map_while(|line| line.strip_prefix("# ")).collect();
        yaml.join("\n")
    };
    let config = parse(&format!("{}\n{}", section("tls"), section("auth"))).unwrap();
    let (tls, auth) = (config.tls.unwrap(), config.auth);
    let (ca, client_auth) = tls.client_ca().unwrap();
    assert_eq!(ca, Path::new("/etc/identity-trail/tls/ca.crt"));
    assert_eq!(client_auth, ClientAuth::Optional);
    let (jwt, mtls) = (auth.jwt.unwrap(), auth.mtls.unwrap());
    assert_eq!(mtls.trust_domain.as_deref(), Some("prod.example.com"));
    // The example shows the defaults.
    let shorter = parse(&jwt_section("jwks: {url: https://i.example.com/}")).unwrap();
    let shorter = shorter.auth.jwt.unwrap();
    assert_eq!(shorter.algorithms, jwt.algorithms);
    assert_eq!(shorter.name_claim, jwt.name_claim);
    assert_eq!(shorter.leeway, jwt.leeway);
    assert_eq!(shorter.jwks.refresh(), jwt.jwks.refresh());
}

#[test]
fn certificates_are_required_where_their_authority_is_named() {
    assert_eq!(parse(TLS).unwrap().tls.unwrap().client_ca(), None);
    let tls = parse(MUTUAL).unwrap().tls.unwrap();
    assert_eq!(
        tls.client_ca(),
        Some((Path::new("a"), ClientAuth::Required))
    );
}

#[test]
fn what_would_not_protect_is_refused() {
    let file = "jwks: {file: f}";
    for (sections, told) in [
        ("tls: {cert_file: c}\n".to_owned(), "key_file"),
        (
            TLS.replace('}', ", client_auth: required}"),
            "tls.client_ca_file",
        ),
        (MUTUAL.replace('}', ", client_auth: none}"), "nobody reads"),
        (TLS.replace('}', ", clients: c}"), "clients"),
        ("auth: {mtls: {}}\n".to_owned(), "tls.client_ca_file"),
        (format!("{TLS}auth: {{mtls: {{}}}}\n"), "tls.client_ca_file"),
        (
            format!("{MUTUAL}auth: {{mtls: {{trust_domain: \"spiffe://a\"}}}}\n"),
            "trust domain",
        ),
        (jwt_section("jwks: {}"), "file or url"),
        (
            jwt_section("jwks: {file: f, url: \"https://i.example.com/\"}"),
            "not both",
        ),
        (jwt_section("jwks: {file: f, refresh: 1m}"), "are for a url"),
        (
            jwt_section("jwks: {url: \"http://i.example.com/\"}"),
            "https is wanted",
        ),
        (
            jwt_section("jwks: {url: \"http://127.0.0.1.example.com/\"}"),
            "https is wanted",
        ),
        (
            jwt_section("jwks: {url: \"https://me:secret@i.example.com/\"}"),
            "credentials in it",
        ),
        (jwt_section("jwks: {url: \"file:///f\"}"), "is not"),
        (
            jwt_section("jwks: {url: \"http://127.0.0.1/\", ca_file: c}"),
            "https url",
        ),
        (
            jwt_section(&format!("{file}, algorithms: []")),
            "at least one",
        ),
        (jwt_section(&format!("{file}, algorithms: [none]")), "none"),
        (
            jwt_section(&format!("{file}, algorithms: [RS256, HS256]")),
            "HS256",
        ),
        (jwt_section(&format!("{file}, leeway: 1h")), "out of range"),
        (jwt_section(&format!("{file}, name_claim: \"\"")), "empty"),
        (
            "auth: {jwt: {issuer: i, audience: [], jwks: {file: f}}}\n".to_owned(),
            "at least one",
        ),
        (
            "auth: {jwt: {audience: a, jwks: {file: f}}}\n".to_owned(),
            "issuer",
        ),
    ] {
        let refused = parse(&sections).unwrap_err();
        assert!(refused.contains(told), "{sections}: {refused}");
    }
    for loopback in [
        "http://localhost:8080/k",
        "http://[::1]/k",
        "http://127.0.0.1:1/k",
    ] {
        parse(&jwt_section(&format!("jwks: {{url: \"{loopback}\"}}"))).unwrap();
    }
}
