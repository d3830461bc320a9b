//! The credentials that a call issued, without their secrets.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Object, Text};
use crate::query::event::IssuedSession;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResponseElements {
    credentials: Object<Credentials>,
    access_key: Object<Credentials>,
    assumed_role_user: Object<Principal>,
    federated_user: Object<Principal>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Credentials {
    access_key_id: Text,
    expiration: Text,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Principal {
    assumed_role_id: Text,
    federated_user_id: Text,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RequestParameters {
    role_arn: Text,
    role_session_name: Text,
}

/// What a call issued: `responseElements.credentials` of `AssumeRole*`, `AssumeRoot`,
/// `GetFederationToken`, `GetSessionToken` and of the services that do alike; the
/// `responseElements.accessKey` of `CreateAccessKey`. None where neither has a key.
pub(super) fn issued_session(
    request_parameters: Option<&RawValue>,
    response_elements: &RawValue,
) -> Option<IssuedSession> {
    let Object(response) = serde_json::from_str(response_elements.get()).ok()?;
    let response: ResponseElements = response?;
    let credentials = response.credentials.0.or(response.access_key.0)?;
    let access_key_id = credentials.access_key_id.non_empty()?;
    let request: RequestParameters = request_parameters
        .and_then(|json| serde_json::from_str::<Object<_>>(json.get()).ok()?.0)
        .unwrap_or_default();
    let assumed = response
        .assumed_role_user
        .0
        .unwrap_or_default()
        .assumed_role_id;
    let federated = response
        .federated_user
        .0
        .unwrap_or_default()
        .federated_user_id;
    let principal_id = assumed.non_empty().or(federated.non_empty());
    // Both `AROA…:session` and a federated user's `ACCOUNT:name` end in the session's name.
    let named = principal_id.as_deref().and_then(|id| id.split_once(':'));
    let session_name = request.role_session_name.non_empty();
    Some(IssuedSession {
        access_key_id: Some(access_key_id),
        role_arn: request.role_arn.non_empty(),
        session_name: session_name.or_else(|| named.map(|(_, name)| name.to_owned())),
        expire_time: credentials.expiration.0.as_deref().and_then(expiration),
        principal_id,
    })
}

/// `Jul 18, 2023, 4:07:39 PM` (UTC; newer runtimes write U+202F before the PM), RFC 3339, or
/// epoch seconds.
fn expiration(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if let Ok(seconds) = text.parse() {
        return Timestamp::from_second(seconds).ok();
    }
    let text = text.replace(['\u{202f}', '\u{a0}'], " ");
    let local = DateTime::strptime("%b %d, %Y, %I:%M:%S %p", text).ok()?;
    Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issued(request: &str, response: &str) -> Option<IssuedSession> {
        let request: &RawValue = serde_json::from_str(request).unwrap();
        issued_session(Some(request), serde_json::from_str(response).unwrap())
    }

    #[test]
    fn an_assumed_role() {
        assert_eq!(
            issued(
                r#"{"roleArn":"arn:aws:iam::111122223333:role/team/Admin","roleSessionName":"alice"}"#,
                r#"{"credentials":{"accessKeyId":"ASIAEXAMPLE","sessionToken":"x","expiration":"Jul 18, 2023, 4:07:39 PM"},
                    "assumedRoleUser":{"assumedRoleId":"AROAEXAMPLE:alice","arn":"arn:aws:sts::111122223333:assumed-role/Admin/alice"}}"#,
            ),
            Some(IssuedSession {
                access_key_id: Some("ASIAEXAMPLE".into()),
                principal_id: Some("AROAEXAMPLE:alice".into()),
                role_arn: Some("arn:aws:iam::111122223333:role/team/Admin".into()),
                session_name: Some("alice".into()),
                expire_time: Some("2023-07-18T16:07:39Z".parse().unwrap()),
            })
        );
    }

    #[test]
    fn a_federated_user_and_a_users_own_session() {
        let federated = issued(
            r#"{"name":"bob","durationSeconds":900}"#,
            r#"{"credentials":{"accessKeyId":"ASIAEXAMPLE"},"federatedUser":{"federatedUserId":"111122223333:bob"}}"#,
        )
        .unwrap();
        assert_eq!(federated.session_name.as_deref(), Some("bob"));
        assert_eq!(federated.principal_id.as_deref(), Some("111122223333:bob"));
        let own = issued(
            "null",
            r#"{"credentials":{"accessKeyId":"ASIAEXAMPLE","expiration":null}}"#,
        )
        .unwrap();
        assert_eq!((own.session_name, own.expire_time), (None, None));
    }

    #[test]
    fn a_new_access_key_is_a_credential_too() {
        let key = issued(
            "{}",
            r#"{"accessKey":{"accessKeyId":"AKIAEXAMPLE","userName":"eve"}}"#,
        );
        assert_eq!(key.unwrap().access_key_id.as_deref(), Some("AKIAEXAMPLE"));
    }

    #[test]
    fn nothing_issued() {
        for response in [
            "null",
            "\"x\"",
            "{}",
            r#"{"credentials":null}"#,
            r#"{"credentials":{"accessKeyId":""}}"#,
        ] {
            assert_eq!(issued("null", response), None, "{response}");
        }
    }

    #[test]
    fn an_expiration_has_many_shapes() {
        let at = Some("2023-07-08T00:07:39Z".parse().unwrap());
        for text in [
            "Jul 8, 2023, 12:07:39 AM",
            "Jul 08, 2023, 12:07:39\u{202f}AM",
            "2023-07-08T00:07:39Z",
            "1688774859",
        ] {
            assert_eq!(expiration(text), at, "{text}");
        }
        assert_eq!(expiration("soon"), None);
    }
}
