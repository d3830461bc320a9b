//! The sandbox's STS and signatures, as the real SDK sees them.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use identity_trail::sandbox::{Denial, Sandbox, SandboxConfig};

use crate::sandbox::{HUB, OTHER, REGION, cloudtrail, config, hub, keys, record, sdk, session};

const NOW: &str = "2026-03-01T12:00:00Z";

fn two_accounts() -> SandboxConfig {
    config(&[record(1, "2026-03-01T11:00:00Z", "ada")], NOW)
}

fn sts(sandbox: &Sandbox, credentials: Credentials) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::new(&sdk(sandbox, credentials, REGION))
}

fn code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

fn message<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> &str {
    let error = error.as_service_error().unwrap();
    error.message().unwrap()
}

#[tokio::test]
async fn a_caller_is_whoever_signed() {
    let sandbox = Sandbox::start(two_accounts()).await.unwrap();
    let own = sts(&sandbox, hub(&sandbox));
    let own = own.get_caller_identity().send().await.unwrap();
    assert_eq!(own.account(), Some(HUB));
    assert_eq!(
        own.arn(),
        Some("arn:aws:iam::111111111111:user/identity-trail")
    );

    let session = sts(&sandbox, session(&sandbox, OTHER).await);
    let assumed = session.get_caller_identity().send().await.unwrap();
    assert_eq!(assumed.account(), Some(OTHER));
    assert_eq!(
        assumed.arn(),
        Some("arn:aws:sts::222222222222:assumed-role/identity-trail-reader/tests")
    );
}

#[tokio::test]
async fn wrong_keys_are_refused_in_each_protocols_words() {
    let sandbox = Sandbox::start(two_accounts()).await.unwrap();
    let hub = sandbox.hub_credentials();
    let wrong = keys(&hub.access_key_id, "wrong", None);
    let unknown = keys("AKIAUNKNOWN000000000", "secret", None);
    let session = session(&sandbox, OTHER).await;
    let torn = keys(session.access_key_id(), session.secret_access_key(), None);
    let cases = [
        (wrong, "SignatureDoesNotMatch", "InvalidSignatureException"),
        (
            unknown,
            "InvalidClientTokenId",
            "UnrecognizedClientException",
        ),
        (torn, "InvalidClientTokenId", "UnrecognizedClientException"),
    ];
    for (credentials, query_code, json_code) in cases {
        let error = sts(&sandbox, credentials.clone())
            .get_caller_identity()
            .send()
            .await
            .unwrap_err();
        assert_eq!(code(&error), Some(query_code));
        let client = aws_sdk_cloudtrail::Client::new(&sdk(&sandbox, credentials, REGION));
        let error = client.lookup_events().send().await.unwrap_err();
        assert_eq!(code(&error), Some(json_code));
    }
    assert_eq!(sandbox.stats().unauthenticated, 6);
}

#[tokio::test]
async fn sessions_end_when_they_say() {
    let sandbox = Sandbox::start(two_accounts()).await.unwrap();
    sandbox
        .faults()
        .change(|faults| faults.credential_lifetime = Some(Duration::ZERO));
    let session = session(&sandbox, OTHER).await;
    let error = sts(&sandbox, session.clone())
        .get_caller_identity()
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), Some("ExpiredToken"));
    let client = aws_sdk_cloudtrail::Client::new(&sdk(&sandbox, session, REGION));
    let error = client.lookup_events().send().await.unwrap_err();
    assert_eq!(code(&error), Some("ExpiredTokenException"));
}

#[tokio::test]
async fn only_the_hub_with_the_external_id_assumes_a_role() {
    let mut config = two_accounts();
    config.external_id = Some("shared/secret:1".to_owned());
    let sandbox = Sandbox::start(config).await.unwrap();
    let role = sandbox.role_arn(OTHER);
    let hub = sts(&sandbox, hub(&sandbox));
    let assume = |client: &aws_sdk_sts::Client| client.assume_role().role_session_name("tests");

    let error = assume(&hub).role_arn(&role).send().await.unwrap_err();
    assert_eq!(code(&error), Some("AccessDenied"));
    assert_eq!(
        message(&error),
        "User: arn:aws:iam::111111111111:user/identity-trail is not authorized to perform: \
         sts:AssumeRole on resource: arn:aws:iam::222222222222:role/identity-trail-reader"
    );
    let right = assume(&hub).external_id("shared/secret:1").role_arn(&role);
    right.send().await.unwrap();
    for nowhere in [
        sandbox.role_arn("333333333333"),
        "arn:aws:iam::222222222222:role/admin".to_owned(),
    ] {
        let nobody = assume(&hub)
            .external_id("shared/secret:1")
            .role_arn(nowhere);
        assert_eq!(
            code(&nobody.send().await.unwrap_err()),
            Some("AccessDenied")
        );
    }

    let other = sts(&sandbox, session(&sandbox, OTHER).await);
    let own_role = assume(&other)
        .external_id("shared/secret:1")
        .role_arn(&role);
    assert_eq!(
        code(&own_role.send().await.unwrap_err()),
        Some("AccessDenied")
    );
}

#[tokio::test]
async fn a_denied_account_says_who_denies_it() {
    let sandbox = Sandbox::start(two_accounts()).await.unwrap();
    let hub = sts(&sandbox, hub(&sandbox));
    let reader = cloudtrail(&sandbox, OTHER, REGION).await;
    let deny = |denial| {
        sandbox.faults().change(|faults| {
            faults.denied_accounts.insert(OTHER.to_owned(), denial);
        });
    };
    let assume = || {
        hub.assume_role()
            .role_session_name("tests")
            .role_arn(sandbox.role_arn(OTHER))
            .send()
    };

    deny(Denial::ServiceControlPolicy);
    let error = assume().await.unwrap_err();
    assert_eq!(code(&error), Some("AccessDenied"));
    assert!(message(&error).ends_with("with an explicit deny in a service control policy"));
    deny(Denial::NotAllowed);
    assert!(!message(&assume().await.unwrap_err()).contains("explicit deny"));
    let error = reader.lookup_events().send().await.unwrap_err();
    assert_eq!(code(&error), Some("AccessDeniedException"));

    sandbox
        .faults()
        .change(|faults| faults.denied_accounts.clear());
    assume().await.unwrap();
    reader.lookup_events().send().await.unwrap();
}

#[tokio::test]
async fn durations_are_checked_and_chained_sessions_last_an_hour_at_most() {
    let sandbox = Sandbox::start(two_accounts()).await.unwrap();
    let own = sts(&sandbox, hub(&sandbox));
    let chained = sts(&sandbox, session(&sandbox, HUB).await);
    let assume = |client: &aws_sdk_sts::Client, seconds| {
        let call = client
            .assume_role()
            .role_session_name("tests")
            .role_arn(sandbox.role_arn(OTHER));
        call.duration_seconds(seconds).send()
    };
    assume(&own, 43_200).await.unwrap();
    assume(&chained, 3600).await.unwrap();
    for (client, seconds) in [(&own, 899), (&own, 43_201), (&chained, 3601)] {
        let error = assume(client, seconds).await.unwrap_err();
        assert_eq!(code(&error), Some("ValidationError"), "{seconds}");
    }
    let short = own
        .assume_role()
        .role_session_name("x")
        .role_arn(sandbox.role_arn(OTHER));
    let error = short.send().await.unwrap_err();
    assert!(message(&error).contains("'roleSessionName' failed to satisfy constraint"));
}

#[tokio::test]
async fn the_owner_of_a_key_comes_from_the_records_and_from_what_was_issued() {
    let sandbox = Sandbox::start(two_accounts()).await.unwrap();
    let client = sts(&sandbox, hub(&sandbox));
    let owner = |key: &str| client.get_access_key_info().access_key_id(key).send();
    let of_record = owner("AKIA0000000000000ADA").await.unwrap();
    assert_eq!(of_record.account(), Some(OTHER));
    let issued = owner(session(&sandbox, OTHER).await.access_key_id())
        .await
        .unwrap();
    assert_eq!(issued.account(), Some(OTHER));
    assert!(owner("AKIA00000000000NOBODY").await.is_err());
    assert!(owner("AKIA****************").await.is_err());
}
