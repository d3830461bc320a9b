//! Which members a CloudTrail record has, by their own names: a table's columns are these in lower case.

use std::collections::HashMap;
use std::sync::LazyLock;

/// How a member's text becomes JSON again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    /// A string.
    Text,
    /// A boolean, which tables hold as text.
    Flag,
    /// An object (or whatever else) that tables hold as JSON text.
    Json,
    /// `resources`: an array of rows, which the statement prints as JSON.
    Rows,
}

use MemberKind::{Flag, Json, Rows, Text};

/// Every member that can be read from a table, by its path in the record and in CloudTrail's order.
pub(super) const MEMBERS: &[(&str, MemberKind)] = &[
    ("eventVersion", Text),
    ("userIdentity.type", Text),
    ("userIdentity.principalId", Text),
    ("userIdentity.arn", Text),
    ("userIdentity.accountId", Text),
    ("userIdentity.accessKeyId", Text),
    ("userIdentity.userName", Text),
    ("userIdentity.invokedBy", Text),
    ("userIdentity.invokedByDelegate.accountId", Text),
    ("userIdentity.credentialId", Text),
    ("userIdentity.identityProvider", Text),
    ("userIdentity.onBehalfOf.userId", Text),
    ("userIdentity.onBehalfOf.identityStoreArn", Text),
    ("userIdentity.inScopeOf.sourceArn", Text),
    ("userIdentity.inScopeOf.sourceAccount", Text),
    ("userIdentity.inScopeOf.issuerType", Text),
    ("userIdentity.inScopeOf.credentialsIssuedTo", Text),
    ("userIdentity.sessionContext.sessionIssuer.type", Text),
    (
        "userIdentity.sessionContext.sessionIssuer.principalId",
        Text,
    ),
    ("userIdentity.sessionContext.sessionIssuer.arn", Text),
    ("userIdentity.sessionContext.sessionIssuer.accountId", Text),
    ("userIdentity.sessionContext.sessionIssuer.userName", Text),
    (
        "userIdentity.sessionContext.webIdFederationData.federatedProvider",
        Text,
    ),
    (
        "userIdentity.sessionContext.webIdFederationData.attributes",
        Json,
    ),
    ("userIdentity.sessionContext.attributes.creationDate", Text),
    (
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
        Text,
    ),
    ("userIdentity.sessionContext.sourceIdentity", Text),
    ("userIdentity.sessionContext.ec2RoleDelivery", Text),
    ("userIdentity.sessionContext.assumedRoot", Text),
    ("userIdentity.sessionContext.signInSessionArn", Text),
    ("eventTime", Text),
    ("eventSource", Text),
    ("eventName", Text),
    ("awsRegion", Text),
    ("sourceIPAddress", Text),
    ("userAgent", Text),
    ("errorCode", Text),
    ("errorMessage", Text),
    ("requestParameters", Json),
    ("responseElements", Json),
    ("additionalEventData", Json),
    ("requestID", Text),
    ("eventID", Text),
    ("readOnly", Flag),
    ("resources", Rows),
    ("eventType", Text),
    ("apiVersion", Text),
    ("managementEvent", Flag),
    ("recipientAccountId", Text),
    ("serviceEventDetails", Json),
    ("sharedEventID", Text),
    ("vpcEndpointId", Text),
    ("vpcEndpointAccountId", Text),
    ("eventCategory", Text),
    ("addendum.reason", Text),
    ("addendum.updatedFields", Text),
    ("addendum.originalRequestID", Text),
    ("addendum.originalEventID", Text),
    ("sessionCredentialFromConsole", Text),
    ("edgeDeviceDetails", Json),
    ("tlsDetails.tlsVersion", Text),
    ("tlsDetails.cipherSuite", Text),
    ("tlsDetails.clientProvidedHostHeader", Text),
    ("tlsDetails.keyExchange", Text),
    ("eventContext", Json),
];

/// Each member and each object that holds members, by its path in lower case: its path as recorded
/// and, for a member, its kind.
static BY_COLUMN: LazyLock<HashMap<String, (&'static str, Option<MemberKind>)>> =
    LazyLock::new(|| {
        let mut known = HashMap::from([
            ("resources.arn".to_owned(), ("resources.ARN", Some(Text))),
            (
                "resources.accountid".to_owned(),
                ("resources.accountId", Some(Text)),
            ),
            ("resources.type".to_owned(), ("resources.type", Some(Text))),
        ]);
        for (member, kind) in MEMBERS {
            for (dot, _) in member.match_indices('.') {
                known.insert(member[..dot].to_lowercase(), (&member[..dot], None));
            }
            known.insert(member.to_lowercase(), (member, Some(*kind)));
        }
        known
    });

/// The objects that hold members, by their paths in the record, outer ones first.
pub(super) fn objects() -> Vec<&'static str> {
    let mut objects: Vec<_> = BY_COLUMN
        .values()
        .filter(|(_, kind)| kind.is_none())
        .map(|(path, _)| *path)
        .collect();
    objects.sort_unstable();
    objects
}

/// The member or object whose path in lower case is `column`.
pub(super) fn by_column(column: &str) -> Option<(&'static str, Option<MemberKind>)> {
    BY_COLUMN.get(column).copied()
}

/// A path's last part: the member's own name.
pub(super) fn name_of(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_depth_with_cloudtrails_own_casing() {
        assert_eq!(by_column("requestid"), Some(("requestID", Some(Text))));
        assert_eq!(
            by_column("resources.arn"),
            Some(("resources.ARN", Some(Text)))
        );
        assert_eq!(by_column("tlsdetails"), Some(("tlsDetails", None)));
        assert_eq!(by_column("nosuch"), None);
        assert_eq!(objects()[0], "addendum");
    }
}
