//! Which identities are read by their sessions in event history, and how these are sought.

use super::*;
use crate::plan::role_sessions::{ASSUME_ROLE, IssuedBy};
use crate::plan::{Lookups, ScanTarget, plan};

#[test]
fn the_sessions_of_roles_are_sought_as_far_as_their_origin_is_surely_recorded() {
    let sought = |identity: Identity| {
        let mut query = ask(identity, 24, 12);
        query.account_ids = vec![account(1)];
        match &plan(&query, &facts(), now()).scans[..] {
            [scan] => match &scan.target {
                ScanTarget::EventHistory { lookups, .. } => lookups.clone(),
                _ => panic!("nothing else is configured"),
            },
            scans => panic!("{scans:?}"),
        }
    };
    let issued_by = |identity: Identity| match sought(identity) {
        Lookups::RoleSessions(by) => {
            assert_eq!(by.assumed_in, TimeRange::new(ago(36), ago(12)).unwrap());
            by.roles[0].issued_by.clone()
        }
        other => panic!("{other:?}"),
    };
    let arn = |arn: &str| Identity::Arn(arn.parse().unwrap());
    let with_path = "arn:aws:iam::111122223333:role/ci/team/deploy";
    assert_eq!(
        issued_by(arn(with_path)),
        IssuedBy::Role {
            arn: with_path.into()
        }
    );
    let id = account(1);
    assert_eq!(
        issued_by(role("deploy")),
        IssuedBy::RoleOfUnknownPath {
            without_path: format!("arn:aws:iam::{id}:role/deploy")
        }
    );
    assert_eq!(issued_by(role("dep*")), IssuedBy::Apis(ASSUME_ROLE));
    let set = Identity::PermissionSet("AdministratorAccess".parse().unwrap());
    assert_eq!(issued_by(set), IssuedBy::Apis(&["AssumeRoleWithSAML"]));
    // A service does not always record how it comes by a session of a role that is linked to it.
    let linked =
        "arn:aws:iam::111122223333:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX";
    for identity in [
        role("AWSServiceRoleForX"),
        role("*"),
        role("AWS*"),
        arn(linked),
        arn("arn:aws:iam::111122223333:role/dep*"),
    ] {
        assert_eq!(sought(identity), Lookups::Whole);
    }
}
