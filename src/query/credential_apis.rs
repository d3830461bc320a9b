//! Which APIs issue credentials: the one place that says so.
//!
//! An API is one of these if its success hands out, or sets, something that AWS or one of its
//! services then takes as proof of who somebody is: keys, tokens, passwords, signed sessions. Most
//! are read-only to CloudTrail, so that a filter on writes loses them. `eventName`s are as CloudTrail
//! writes them; no list of AWS's says which these are, and none of this was probed (unverified).

use super::condition::{Condition, Member};

/// The APIs, by `eventSource`.
pub const CREDENTIAL_APIS: &[(&str, &[&str])] = &[
    (
        "sts.amazonaws.com",
        &[
            "AssumeRole",
            "AssumeRoleWithSAML",
            "AssumeRoleWithWebIdentity",
            "AssumeRoot",
            "GetDelegatedAccessToken",
            "GetFederationToken",
            "GetSessionToken",
            "GetWebIdentityToken",
        ],
    ),
    (
        "iam.amazonaws.com",
        &[
            "ChangePassword",
            "CreateAccessKey",
            "CreateLoginProfile",
            "CreateServiceSpecificCredential",
            "ResetServiceSpecificCredential",
            "UpdateLoginProfile",
        ],
    ),
    (
        "signin.amazonaws.com",
        &[
            "ConsoleLogin",
            "CreateOAuth2Token",
            "GetSigninToken",
            "SwitchRole",
        ],
    ),
    (
        "sso.amazonaws.com",
        &[
            "CreateToken",
            "CreateTokenWithIAM",
            "Federate",
            "GetRoleCredentials",
        ],
    ),
    (
        "sso-oauth.amazonaws.com",
        &["CreateToken", "CreateTokenWithIAM"],
    ),
    (
        "cognito-identity.amazonaws.com",
        &[
            "GetCredentialsForIdentity",
            "GetOpenIdToken",
            "GetOpenIdTokenForDeveloperIdentity",
        ],
    ),
    ("rolesanywhere.amazonaws.com", &["CreateSession"]),
    ("eks-auth.amazonaws.com", &["AssumeRoleForPodIdentity"]),
    ("iot.amazonaws.com", &["AssumeRoleWithCertificate"]),
    ("ssm.amazonaws.com", &["RequestManagedInstanceRoleToken"]),
    ("s3.amazonaws.com", &["CreateSession", "GetDataAccess"]),
    (
        "lakeformation.amazonaws.com",
        &[
            "AssumeDecoratedRoleWithSAML",
            "GetDataAccess",
            "GetTemporaryGluePartitionCredentials",
            "GetTemporaryGlueTableCredentials",
        ],
    ),
    ("ecr.amazonaws.com", &["GetAuthorizationToken"]),
    ("ecr-public.amazonaws.com", &["GetAuthorizationToken"]),
    ("codeartifact.amazonaws.com", &["GetAuthorizationToken"]),
    (
        "redshift.amazonaws.com",
        &["GetClusterCredentials", "GetClusterCredentialsWithIAM"],
    ),
    ("redshift-serverless.amazonaws.com", &["GetCredentials"]),
    (
        "lightsail.amazonaws.com",
        &[
            "CreateBucketAccessKey",
            "GetInstanceAccessDetails",
            "GetRelationalDatabaseMasterUserPassword",
        ],
    ),
    ("connect.amazonaws.com", &["GetFederationToken"]),
];

/// The calls of these APIs.
pub(super) fn condition() -> Condition {
    let of_service = |(source, names): &(&str, &[&str])| {
        Condition::All(vec![
            Condition::is(Member::EventSource, *source),
            Condition::among(Member::EventName, names.iter().copied()),
        ])
    };
    Condition::Any(CREDENTIAL_APIS.iter().map(of_service).collect())
}
