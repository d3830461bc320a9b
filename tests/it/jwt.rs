//! Bearer tokens over real sockets: which are believed, and what becomes of the issuer's keys.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;
use tonic::Code;
use tonic_types::StatusExt;

use crate::guarded::{Files, Guarded, list, reason};

/// A key of the issuer.
pub struct Key {
    id: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
    /// As the key set has it.
    public: Value,
}

impl Key {
    pub fn es256(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let private = EncodingKey::from_ec_der(&pair.serialize_der());
        let public = Jwk::from_encoding_key(&private, Algorithm::ES256).unwrap();
        Self::new(id, Algorithm::ES256, private, json!(public))
    }

    fn rs256(id: &'static str) -> Self {
        let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        // Without the 26 bytes that PKCS #8 puts before a key of this size.
        let private = EncodingKey::from_rsa_der(&pair.serialize_der()[26..]);
        let public = Jwk::from_encoding_key(&private, Algorithm::RS256).unwrap();
        Self::new(id, Algorithm::RS256, private, json!(public))
    }

    fn ed25519(id: &'static str) -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let private = EncodingKey::from_ed_der(&pair.serialize_der());
        let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
        let public = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
        Self::new(id, Algorithm::EdDSA, private, public)
    }

    fn new(
        id: &'static str,
        algorithm: Algorithm,
        private: EncodingKey,
        mut public: Value,
    ) -> Self {
        public["kid"] = json!(id);
        Self {
            id,
            algorithm,
            private,
            public,
        }
    }

    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// A key set of these keys.
pub fn set(keys: &[&Key]) -> String {
    let keys: Vec<Value> = keys.iter().map(|key| key.public.clone()).collect();
    json!({ "keys": keys }).to_string()
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

/// Claims that are believed, with `change`d ones; null takes one away.
pub fn claims(change: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://login.example.com/",
        "aud": ["identity-trail", "another"],
        "sub": "alice",
        "groups": ["soc"],
        "exp": now() + 600,
    });
    let all = claims.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    claims
}

/// A section `auth` with these keys.
pub fn auth(jwks: &str) -> String {
    format!(
        "auth:
  jwt:
    issuer: https://login.example.com/
    audience: identity-trail
    algorithms: [ES256, EdDSA, RS256]
    groups_claim: groups
    jwks: {jwks}
"
    )
}

/// A service that reads these keys out of the file `keys.json`.
async fn with_file(keys: &str) -> Guarded {
    let files = Files::new();
    files.write("keys.json", keys);
    Guarded::start(files, &auth("{file: DIR/keys.json}")).await
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn tokens_of_the_issuer_are_believed_and_no_others() {
    let (ec, ed, rsa) = (Key::es256("ec"), Key::ed25519("ed"), Key::rs256("rsa"));
    let mut keys: Value = serde_json::from_str(&set(&[&ec, &ed, &rsa])).unwrap();
    // What the set has besides is no key: one that could sign, one for encryption, one of another kind.
    let secret = json!({"kty": "oct", "kid": "shared", "k": URL_SAFE_NO_PAD.encode("secret")});
    let mut encrypts = Key::es256("enc").public;
    encrypts["use"] = json!("enc");
    let others = [secret, encrypts, json!({"kty": "AKP", "kid": "new"})];
    keys["keys"].as_array_mut().unwrap().extend(others);
    let service = with_file(&keys.to_string()).await;
    let channel = service.plain();
    let ask = async |token: &str| list(channel.clone(), Some(token)).await;

    let good = claims(&json!({}));
    for key in [&ec, &ed, &rsa] {
        let listed = ask(&key.sign(&good)).await.unwrap();
        assert_eq!(listed.accounts.len(), 1);
    }
    assert_eq!(reason(list(channel.clone(), None).await), "TOKEN_MISSING");

    for (change, expected) in [
        (json!({"exp": now() - 60}), "TOKEN_EXPIRED"),
        (json!({"exp": null}), "TOKEN_INVALID"),
        (json!({"exp": "never"}), "TOKEN_INVALID"),
        (json!({"nbf": now() + 60}), "TOKEN_NOT_YET_VALID"),
        (
            json!({"iss": "https://evil.example.com/"}),
            "TOKEN_WRONG_ISSUER",
        ),
        (
            json!({"iss": ["https://login.example.com/"]}),
            "TOKEN_WRONG_ISSUER",
        ),
        (json!({"iss": null}), "TOKEN_WRONG_ISSUER"),
        (json!({"aud": "another"}), "TOKEN_WRONG_AUDIENCE"),
        (json!({"aud": null}), "TOKEN_WRONG_AUDIENCE"),
        (json!({"sub": null}), "TOKEN_INVALID"),
        (json!({"sub": ""}), "TOKEN_INVALID"),
        (json!({"sub": "alice\nroot"}), "TOKEN_INVALID"),
        (json!({"groups": {"soc": true}}), "TOKEN_INVALID"),
    ] {
        let refused = ask(&ec.sign(&claims(&change))).await;
        assert_eq!(reason(refused), expected, "{change}");
    }
    // Within the leeway.
    ask(&ec.sign(&claims(&json!({"exp": now() - 5, "nbf": now() + 5}))))
        .await
        .unwrap();

    let unsigned = |algorithm: &str| {
        let header = part(&json!({"alg": algorithm, "kid": "ec"}));
        format!("{header}.{}.", part(&good))
    };
    // Signed with what everybody knows, as if it were a secret.
    let shared = |bytes: &[u8], id: &str| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(id.to_owned());
        jsonwebtoken::encode(&header, &good, &EncodingKey::from_secret(bytes)).unwrap()
    };
    let public = &ec.public;
    let mut demanding = Header::new(Algorithm::ES256);
    demanding.kid = Some("ec".to_owned());
    demanding.crit = Some(vec!["b64".to_owned()]);
    let tampered = {
        let token = ec.sign(&good);
        let mut parts: Vec<&str> = token.split('.').collect();
        let root = part(&claims(&json!({"sub": "root"})));
        parts[1] = &root;
        parts.join(".")
    };
    for (token, what) in [
        (unsigned("none"), "alg: none"),
        (unsigned("None"), "alg: None"),
        (unsigned("ES256"), "no signature"),
        (
            shared(public["x"].as_str().unwrap().as_bytes(), "ec"),
            "HS256 with the public key",
        ),
        (
            shared(public.to_string().as_bytes(), "ec"),
            "HS256 with the public key's text",
        ),
        (shared(b"secret", "shared"), "HS256 with a key of the set"),
        (
            Key::es256("ec").sign(&good),
            "somebody else's key of that name",
        ),
        (
            jsonwebtoken::encode(&demanding, &good, &ec.private).unwrap(),
            "crit",
        ),
        (tampered, "other claims"),
        ("eyJ".to_owned(), "no token"),
        (String::new(), "nothing"),
    ] {
        assert_eq!(reason(ask(&token).await), "TOKEN_INVALID", "{what}");
    }
}

#[tokio::test]
async fn a_token_without_a_key_id_needs_a_set_with_one_key_for_it() {
    let (ec, ed) = (Key::es256("ec"), Key::ed25519("ed"));
    let nameless = |key: &Key| {
        let header = Header::new(key.algorithm);
        jsonwebtoken::encode(&header, &claims(&json!({})), &key.private).unwrap()
    };
    let service = with_file(&set(&[&ec, &ed])).await;
    list(service.plain(), Some(&nameless(&ec))).await.unwrap();
    let another = Key::es256("another");
    let service = with_file(&set(&[&ec, &ed, &another])).await;
    let refused = list(service.plain(), Some(&nameless(&ec))).await;
    assert_eq!(reason(refused), "TOKEN_INVALID");
    list(service.plain(), Some(&nameless(&ed))).await.unwrap();
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_when_a_token_names_a_new_one() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let service = with_file(&set(&[&old])).await;
    let channel = service.plain();
    let token = |key: &Key| key.sign(&claims(&json!({})));
    list(channel.clone(), Some(&token(&old))).await.unwrap();
    service.files.write("keys.json", &set(&[&new]));
    list(channel.clone(), Some(&token(&new))).await.unwrap();
    assert_eq!(
        reason(list(channel, Some(&token(&old))).await),
        "TOKEN_INVALID"
    );
}

#[tokio::test]
async fn keys_that_cannot_be_read_any_more_leave_the_old_ones() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    for broken in [
        "{",
        "{\"keys\": []}",
        "{\"keys\": [{\"kty\": \"oct\", \"k\": \"AAAA\"}]}",
    ] {
        let service = with_file(&set(&[&old])).await;
        let channel = service.plain();
        let token = |key: &Key| key.sign(&claims(&json!({})));
        service.files.write("keys.json", broken);
        // This one makes the file be read.
        assert_eq!(
            reason(list(channel.clone(), Some(&token(&new))).await),
            "TOKEN_INVALID"
        );
        list(channel, Some(&token(&old))).await.unwrap();
    }
}

/// An issuer's web server on loopback.
struct Issuer {
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicU32>,
    url: String,
    _serving: AbortOnDropHandle<()>,
}

impl Issuer {
    async fn start(status: StatusCode, keys: &str) -> Self {
        let answer = Arc::new(Mutex::new((status, keys.to_owned())));
        let asked = Arc::new(AtomicU32::new(0));
        let (told, counted) = (Arc::clone(&answer), Arc::clone(&asked));
        let keys = move || async move {
            counted.fetch_add(1, Ordering::SeqCst);
            told.lock().unwrap().clone()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let router = Router::new().route("/keys", get(keys));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            answer,
            asked,
            url,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    fn answers(&self, status: StatusCode, keys: &str) {
        *self.answer.lock().unwrap() = (status, keys.to_owned());
    }

    async fn service(&self) -> Guarded {
        let jwks = format!("{{url: \"{}\", refresh: 1h}}", self.url);
        Guarded::start(Files::new(), &auth(&jwks)).await
    }
}

#[tokio::test]
async fn keys_at_a_url_are_read_again_when_a_token_names_a_new_one_but_not_for_every_such_token() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let issuer = Issuer::start(StatusCode::OK, &set(&[&old])).await;
    let service = issuer.service().await;
    let channel = service.plain();
    let token = |key: &Key| key.sign(&claims(&json!({})));
    list(channel.clone(), Some(&token(&old))).await.unwrap();
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1);
    issuer.answers(StatusCode::OK, &set(&[&old, &new]));
    // Many at once, and all of them find it.
    let tokens = [token(&new), token(&new), token(&new)];
    let asked = tokens
        .iter()
        .map(|token| list(channel.clone(), Some(token)));
    for answer in futures::future::join_all(asked).await {
        answer.unwrap();
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    let made_up = Key::es256("made-up");
    for _ in 0..3 {
        let refused = list(channel.clone(), Some(&token(&made_up))).await;
        assert_eq!(reason(refused), "TOKEN_INVALID");
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_issuer_that_fails_leaves_the_keys_that_were_read() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    for (status, answer) in [
        (StatusCode::INTERNAL_SERVER_ERROR, set(&[&new])),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, " ".repeat(600 * 1024)),
    ] {
        let issuer = Issuer::start(StatusCode::OK, &set(&[&old])).await;
        let service = issuer.service().await;
        let channel = service.plain();
        let token = |key: &Key| key.sign(&claims(&json!({})));
        list(channel.clone(), Some(&token(&old))).await.unwrap();
        issuer.answers(status, &answer);
        assert_eq!(
            reason(list(channel.clone(), Some(&token(&new))).await),
            "TOKEN_INVALID"
        );
        assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
        list(channel, Some(&token(&old))).await.unwrap();
    }
}

#[tokio::test]
async fn without_any_keys_it_is_the_service_that_cannot() {
    let key = Key::es256("key");
    let issuer = Issuer::start(StatusCode::NOT_FOUND, "").await;
    let service = issuer.service().await;
    let token = key.sign(&claims(&json!({})));
    let refused = list(service.plain(), Some(&token)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let details = refused.get_error_details();
    assert_eq!(details.error_info().unwrap().reason, "KEYS_NOT_LOADED");
    assert!(details.retry_info().is_some());
}
