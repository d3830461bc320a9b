//! A trail's log streams: `[o-ORGANIZATION_]ACCOUNT_CloudTrail_REGION[_NUMBER]`.

use crate::query::{AccountId, Region};

/// The account and Region whose records a log stream holds; none if it is no trail's.
pub(super) fn holder(stream: &str) -> Option<(AccountId, Region)> {
    let (before, after) = stream.split_once("_CloudTrail_")?;
    let account = before.rsplit('_').next()?;
    let region = after.split('_').next()?;
    Some((account.parse().ok()?, region.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_names_account_and_region() {
        let held = |stream: &str| holder(stream).map(|(id, region)| format!("{id} {region}"));
        let found = Some("111122223333 eu-west-1".to_owned());
        assert_eq!(held("111122223333_CloudTrail_eu-west-1"), found);
        assert_eq!(held("111122223333_CloudTrail_eu-west-1_3"), found);
        assert_eq!(held("o-a1b2c3_111122223333_CloudTrail_eu-west-1"), found);
        for other in ["", "test", "1111_CloudTrail_x", "CloudTrail_eu-west-1"] {
            assert_eq!(held(other), None, "{other}");
        }
    }
}
