//! Signature version 4, the receiving side: who signed a request, and is the signature right.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use hyper::http::request::Parts;
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};

use super::credentials::{Key, Keyring};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const ALLOWED_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// A request whose signature is right.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key that signed.
    pub key: Arc<Key>,
    /// The Region in the credential's scope: the one that the caller means.
    pub region: String,
}

/// Why a signature is refused. Each protocol has its own codes for these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is not signed at all.
    #[error("Request is missing Authentication Token")]
    Missing,
    /// The Authorization header, or a header that must be signed, is not as it should be.
    #[error("{0}")]
    Incomplete(String),
    /// No such access key, or its session token is not the one issued with it.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// The key has ended.
    #[error("The security token included in the request is expired")]
    Expired,
    /// The signature does not fit the request, its scope or the time.
    #[error("{0}")]
    Wrong(String),
}

/// Checks that `head` and `body` were signed for `service` within five minutes of `now` (real time).
pub fn verify(
    head: &Parts,
    body: &[u8],
    keyring: &Keyring,
    service: &str,
    now: Timestamp,
) -> Result<Caller, Refusal> {
    let header = header(head, "authorization").ok_or(Refusal::Missing)?;
    let authorization = Authorization::parse(&header)?;
    let amz_date = self::header(head, "x-amz-date").ok_or_else(|| {
        incomplete("Authorization header requires existence of an 'X-Amz-Date' header.")
    })?;
    let signed: Vec<&str> = authorization.signed_headers.split(';').collect();
    for needed in ["host", "x-amz-date", "x-amz-security-token", "x-amz-target"] {
        if !signed.contains(&needed) && (needed == "host" || head.headers.contains_key(needed)) {
            return Err(incomplete(&format!("'{needed}' must be a signed header")));
        }
    }

    let key = keyring
        .get(authorization.access_key_id)
        .ok_or(Refusal::UnknownKey)?;
    if self::header(head, "x-amz-security-token") != key.credentials.session_token {
        return Err(Refusal::UnknownKey);
    }
    let Scope { date, region, .. } = authorization.scope;
    if authorization.scope.service != service {
        let message = format!("Credential should be scoped to correct service: '{service}'.");
        return Err(Refusal::Wrong(message));
    }
    check_time(&amz_date, date, now)?;

    let canonical = canonical_request(head, &signed, authorization.signed_headers, body)?;
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let digest = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("{ALGORITHM}\n{amz_date}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", key.credentials.secret_access_key);
    let signing_key = [date, region, service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| {
            mac(&key, part).finalize().into_bytes().to_vec()
        });
    let given = hex::decode(authorization.signature).unwrap_or_default();
    if mac(&signing_key, &to_sign).verify_slice(&given).is_err() {
        return Err(Refusal::Wrong(
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details."
                .to_owned(),
        ));
    }
    // Only whoever holds the secret learns that the key has ended.
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(Refusal::Expired);
    }
    Ok(Caller {
        region: region.to_owned(),
        key,
    })
}

struct Authorization<'a> {
    access_key_id: &'a str,
    scope: Scope<'a>,
    signed_headers: &'a str,
    signature: &'a str,
}

struct Scope<'a> {
    date: &'a str,
    region: &'a str,
    service: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Result<Self, Refusal> {
        let rest = header
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| incomplete("Unsupported AWS 'algorithm' in the Authorization header"))?;
        let member = |name: &str| {
            rest.split(',')
                .find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| {
                    incomplete(&format!(
                        "Authorization header requires '{name}' parameter."
                    ))
                })
        };
        let credential: Vec<&str> = member("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = credential[..] else {
            return Err(incomplete(
                "Credential must have exactly 5 slash-delimited elements",
            ));
        };
        Ok(Self {
            access_key_id,
            scope: Scope {
                date,
                region,
                service,
            },
            signed_headers: member("SignedHeaders")?,
            signature: member("Signature")?,
        })
    }
}

fn check_time(amz_date: &str, scope_date: &str, now: Timestamp) -> Result<(), Refusal> {
    let signed_at = DateTime::strptime("%Y%m%dT%H%M%SZ", amz_date)
        .and_then(|time| time.to_zoned(TimeZone::UTC))
        .map_err(|_| incomplete("Date must be in ISO-8601 'basic format'."))?
        .timestamp();
    if !amz_date.starts_with(scope_date) {
        let message = format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{scope_date}' != '{amz_date}'."
        );
        return Err(Refusal::Wrong(message));
    }
    let print = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let age = now.duration_since(signed_at);
    if age > ALLOWED_SKEW {
        let (earliest, now) = (print(now - ALLOWED_SKEW), print(now));
        let message = format!(
            "Signature expired: {amz_date} is now earlier than {earliest} ({now} - 5 min.)"
        );
        return Err(Refusal::Wrong(message));
    }
    if age < -ALLOWED_SKEW {
        let (latest, now) = (print(now + ALLOWED_SKEW), print(now));
        let message = format!(
            "Signature not yet current: {amz_date} is still later than {latest} ({now} + 5 min.)"
        );
        return Err(Refusal::Wrong(message));
    }
    Ok(())
}

fn canonical_request(
    head: &Parts,
    signed: &[&str],
    signed_headers: &str,
    body: &[u8],
) -> Result<String, Refusal> {
    use std::fmt::Write as _;

    let mut query: Vec<&str> = head.uri.query().unwrap_or_default().split('&').collect();
    query.sort_unstable();
    let mut canonical = format!(
        "{}\n{}\n{}\n",
        head.method,
        head.uri.path(),
        query.join("&")
    );
    for name in signed {
        let value = header(head, name)
            .ok_or_else(|| incomplete(&format!("signed header '{name}' is not in the request")))?;
        let value: Vec<&str> = value.split_ascii_whitespace().collect();
        let _infallible = writeln!(canonical, "{name}:{}", value.join(" "));
    }
    let payload = hex::encode(Sha256::digest(body));
    let _infallible = write!(canonical, "\n{signed_headers}\n{payload}");
    Ok(canonical)
}

/// All values of a header in order, as they are signed; none where it is absent or not text.
fn header(head: &Parts, name: &str) -> Option<String> {
    let values = head.headers.get_all(name).iter();
    let values: Result<Vec<&str>, _> = values.map(|value| value.to_str()).collect();
    values
        .ok()
        .filter(|values| !values.is_empty())
        .map(|values| values.join(","))
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    Hmac::new_from_slice(key)
        .expect("HMAC takes keys of any length")
        .chain_update(text)
}

fn incomplete(message: &str) -> Refusal {
    Refusal::Incomplete(message.to_owned())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::super::credentials::{Credentials, Principal};
    use super::*;

    /// The example request of AWS's own documentation, with its keys and its signature.
    fn example() -> Parts {
        let request = Request::get("/?Action=ListUsers&Version=2010-05-08")
            .header(
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            )
            .header("host", "iam.amazonaws.com")
            .header("x-amz-date", "20150830T123600Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date, \
                 Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
            );
        request.body(()).unwrap().into_parts().0
    }

    fn keyring(expires_at: Option<Timestamp>) -> Keyring {
        let keyring = Keyring::new(0);
        keyring.insert(Key {
            credentials: Credentials {
                access_key_id: "AKIDEXAMPLE".to_owned(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
                session_token: None,
            },
            principal: Principal {
                account_id: "111122223333".to_owned(),
                arn: String::new(),
                user_id: String::new(),
                is_session: false,
            },
            expires_at,
        });
        keyring
    }

    fn at(time: &str) -> Timestamp {
        format!("2015-08-30T{time}Z").parse().unwrap()
    }

    #[test]
    fn the_documented_example_is_right_for_five_minutes() {
        let verify = |time| verify(&example(), b"", &keyring(None), "iam", at(time));
        for good in ["12:31:00", "12:36:00", "12:41:00"] {
            assert_eq!(verify(good).unwrap().region, "us-east-1");
        }
        for (bad, message) in [
            (
                "12:41:01",
                "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z \
                 (20150830T124101Z - 5 min.)",
            ),
            (
                "12:30:59",
                "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z \
                 (20150830T123059Z + 5 min.)",
            ),
        ] {
            assert_eq!(verify(bad).unwrap_err(), Refusal::Wrong(message.to_owned()));
        }
    }

    #[test]
    fn whatever_was_signed_cannot_be_changed() {
        let check = |head: &Parts, body: &[u8], service| {
            verify(head, body, &keyring(None), service, at("12:36:00")).unwrap_err()
        };
        let wrong = |refusal| matches!(refusal, Refusal::Wrong(_));
        assert!(wrong(check(&example(), b"x", "iam")));
        assert!(wrong(check(&example(), b"", "sts")));
        let mut head = example();
        head.uri = "/?Action=ListRoles&Version=2010-05-08".parse().unwrap();
        assert!(wrong(check(&head, b"", "iam")));
        let mut head = example();
        head.headers
            .insert("host", "sts.amazonaws.com".parse().unwrap());
        assert!(wrong(check(&head, b"", "iam")));
        let elsewhere = |head: &Parts| {
            let value = head.headers["authorization"].to_str().unwrap();
            value.replace("us-east-1", "eu-west-1").parse().unwrap()
        };
        let mut head = example();
        let value = elsewhere(&head);
        head.headers.insert("authorization", value);
        assert!(wrong(check(&head, b"", "iam")));
        // What says which call this is must be signed too.
        let mut head = example();
        head.headers
            .insert("x-amz-target", "Service.Operation".parse().unwrap());
        assert!(matches!(check(&head, b"", "iam"), Refusal::Incomplete(_)));
    }

    #[test]
    fn a_key_that_has_ended_is_expired_only_to_its_holder() {
        let ended = keyring(Some(at("12:36:00")));
        let now = at("12:36:00");
        assert_eq!(
            verify(&example(), b"", &ended, "iam", now).unwrap_err(),
            Refusal::Expired
        );
        let stranger = verify(&example(), b"x", &ended, "iam", now).unwrap_err();
        assert!(matches!(stranger, Refusal::Wrong(_)));
        let unknown = verify(&example(), b"", &Keyring::new(0), "iam", now).unwrap_err();
        assert_eq!(unknown, Refusal::UnknownKey);
    }
}
