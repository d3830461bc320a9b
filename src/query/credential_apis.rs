//! Which APIs issue credentials: the one place that says so.
//!
//! An API is one of these if its success hands out, or sets, something that AWS or one of its
//! services then takes as proof of who somebody is: keys, tokens, passwords, certificates, signed
//! sign-ins. Most are read-only to CloudTrail, so that a filter on writes loses them. Left out: URLs
//! that open a single object, a single stream or a single embedded dashboard, tokens of meetings and
//! chats, API keys of an application's callers, and secrets that are only read back.
//!
//! No list of AWS's says which these are. This one was read from the outputs of all operations of
//! AWS's published API models (as in botocore 1.44.5): whatever has a secret key, session token,
//! access token, authorization token or password in it, judged as above. Not in those models, and
//! taken from user guides: `ConsoleLogin`, `GetSigninToken`, `SwitchRole`, `Federate`, `CreateSession`
//! of Roles Anywhere, `AssumeRoleWithCertificate`, `RequestManagedInstanceRoleToken`, and Lake
//! Formation's `GetDataAccess`. `eventSource`s follow the services' prefixes; which of two Identity
//! Center's tokens are recorded under differs by age, so both are here. Nothing was probed against a
//! live account (unverified), and some of these are data events, which need `categories`.

use std::collections::BTreeSet;

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
            "UploadSSHPublicKey",
            "UploadSigningCertificate",
        ],
    ),
    (
        "signin.amazonaws.com",
        &[
            "ConsoleLogin",
            "CreateBearerToken",
            "CreateOAuth2Token",
            "CreateOAuth2TokenWithIAM",
            "CreateOAuth2TokenWithTokenExchange",
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
    ("account-access.amazonaws.com", &["GetRoleCredentials"]),
    (
        "cognito-identity.amazonaws.com",
        &[
            "GetCredentialsForIdentity",
            "GetOpenIdToken",
            "GetOpenIdTokenForDeveloperIdentity",
        ],
    ),
    (
        "cognito-idp.amazonaws.com",
        &[
            "AdminInitiateAuth",
            "AdminRespondToAuthChallenge",
            "AdminSetUserPassword",
            "GetTokensFromRefreshToken",
            "InitiateAuth",
            "RespondToAuthChallenge",
        ],
    ),
    ("rolesanywhere.amazonaws.com", &["CreateSession"]),
    ("acm-pca.amazonaws.com", &["IssueCertificate"]),
    ("eks-auth.amazonaws.com", &["AssumeRoleForPodIdentity"]),
    (
        "iot.amazonaws.com",
        &[
            "AssumeRoleWithCertificate",
            "CreateCertificateFromCsr",
            "CreateKeysAndCertificate",
            "CreateProvisioningClaim",
        ],
    ),
    (
        "ssm.amazonaws.com",
        &[
            "CreateActivation",
            "GetAccessToken",
            "RequestManagedInstanceRoleToken",
        ],
    ),
    ("ec2.amazonaws.com", &["GetPasswordData"]),
    (
        "ec2-instance-connect.amazonaws.com",
        &["SendSSHPublicKey", "SendSerialConsoleSSHPublicKey"],
    ),
    ("s3.amazonaws.com", &["CreateSession", "GetDataAccess"]),
    (
        "lakeformation.amazonaws.com",
        &[
            "AssumeDecoratedRoleWithSAML",
            "GetDataAccess",
            "GetTemporaryDataLocationCredentials",
            "GetTemporaryGlueFunctionCredentials",
            "GetTemporaryGluePartitionCredentials",
            "GetTemporaryGlueTableCredentials",
        ],
    ),
    (
        "datazone.amazonaws.com",
        &["GetConnection", "GetEnvironmentCredentials"],
    ),
    (
        "deadline.amazonaws.com",
        &[
            "AssumeFleetRoleForRead",
            "AssumeFleetRoleForWorker",
            "AssumeQueueRoleForRead",
            "AssumeQueueRoleForUser",
            "AssumeQueueRoleForWorker",
        ],
    ),
    (
        "codepipeline.amazonaws.com",
        &["GetJobDetails", "GetThirdPartyJobDetails", "PollForJobs"],
    ),
    (
        "gamelift.amazonaws.com",
        &[
            "CreateBuild",
            "GetComputeAccess",
            "GetComputeAuthToken",
            "GetInstanceAccess",
            "RequestUploadCredentials",
        ],
    ),
    (
        "license-manager.amazonaws.com",
        &["CreateToken", "GetAccessToken"],
    ),
    (
        "bedrock-agentcore.amazonaws.com",
        &[
            "GetWorkloadAccessToken",
            "GetWorkloadAccessTokenForJWT",
            "GetWorkloadAccessTokenForUserId",
        ],
    ),
    ("ecr.amazonaws.com", &["GetAuthorizationToken"]),
    ("ecr-public.amazonaws.com", &["GetAuthorizationToken"]),
    ("codeartifact.amazonaws.com", &["GetAuthorizationToken"]),
    ("codecatalyst.amazonaws.com", &["CreateAccessToken"]),
    (
        "elasticmapreduce.amazonaws.com",
        &["GetClusterSessionCredentials", "GetSessionEndpoint"],
    ),
    (
        "emr-containers.amazonaws.com",
        &["GetManagedEndpointSessionCredentials"],
    ),
    ("emr-serverless.amazonaws.com", &["GetSessionEndpoint"]),
    (
        "athena.amazonaws.com",
        &["CreatePresignedNotebookUrl", "GetSessionEndpoint"],
    ),
    (
        "sagemaker.amazonaws.com",
        &[
            "CreatePresignedDomainUrl",
            "CreatePresignedMlflowTrackingServerUrl",
            "CreatePresignedNotebookInstanceUrl",
        ],
    ),
    (
        "airflow.amazonaws.com",
        &["CreateCliToken", "CreateWebLoginToken"],
    ),
    (
        "grafana.amazonaws.com",
        &[
            "CreateWorkspaceApiKey",
            "CreateWorkspaceServiceAccountToken",
        ],
    ),
    (
        "redshift.amazonaws.com",
        &[
            "GetClusterCredentials",
            "GetClusterCredentialsWithIAM",
            "GetIdentityCenterAuthToken",
        ],
    ),
    (
        "redshift-serverless.amazonaws.com",
        &["GetCredentials", "GetIdentityCenterAuthToken"],
    ),
    (
        "lightsail.amazonaws.com",
        &[
            "CreateBucketAccessKey",
            "CreateContainerServiceRegistryLogin",
            "DownloadDefaultKeyPair",
            "GetInstanceAccessDetails",
            "GetRelationalDatabaseMasterUserPassword",
        ],
    ),
    ("connect.amazonaws.com", &["GetFederationToken"]),
    ("ds.amazonaws.com", &["ResetUserPassword"]),
    (
        "workmail.amazonaws.com",
        &["AssumeImpersonationRole", "ResetPassword"],
    ),
];

/// The names of these APIs, each once: some belong to several services.
#[must_use]
pub fn names() -> BTreeSet<&'static str> {
    let names = CREDENTIAL_APIS.iter().flat_map(|(_, names)| *names);
    names.copied().collect()
}

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
