//! What a call acted upon: from the record's `resources` and the well-known request parameters.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::query::Event;
use crate::query::event::Target;

/// At most this many targets are listed for one event; the rest is counted in `targets_omitted`
/// and stays in `request_parameters_json`.
pub const MAX_TARGETS: usize = 64;

/// Where the name of a target came from, if not from a parameter.
const RESOURCES: &str = "resources";

/// Parameters that name a target wherever they stand: a text or a list of texts.
const ANYWHERE: &[&str] = &[
    "accessKeyId",
    "allocationId",
    "apiId",
    "bucketName",
    "clusterArn",
    "clusterName",
    "commandId",
    "dBClusterIdentifier",
    "dBClusterSnapshotIdentifier",
    "dBInstanceIdentifier",
    "dBSnapshotIdentifier",
    "detectorId",
    "distributionId",
    "documentName",
    "functionName",
    "groupArn",
    "groupId",
    "groupName",
    "hostedZoneId",
    "imageId",
    "instanceArn",
    "instanceId",
    "instanceIds",
    "instanceProfileName",
    "internetGatewayId",
    "keyArn",
    "keyId",
    "keyName",
    "layerName",
    "loadBalancerArn",
    "loadBalancerName",
    "logGroupName",
    "networkAclId",
    "networkInterfaceId",
    "openIDConnectProviderArn",
    "organizationalUnitId",
    "permissionSetArn",
    "policyArn",
    "policyId",
    "policyName",
    "profileName",
    "queueUrl",
    "repositoryName",
    "resourceArn",
    "roleArn",
    "roleName",
    "routeTableId",
    "ruleName",
    "sAMLProviderArn",
    "secretId",
    "securityGroupId",
    "serialNumber",
    "snapshotId",
    "stackName",
    "stateMachineArn",
    "streamName",
    "subnetId",
    "tableName",
    "targetId",
    "targetPrincipal",
    "topicArn",
    "trailName",
    "trailNameList",
    "userName",
    "volumeId",
    "vpcEndpointId",
    "vpcId",
];

/// Words too common to mean a target anywhere but at the top of the parameters.
const AT_THE_TOP: &[&str] = &[
    "bucket",
    "key",
    "name",
    "names",
    "resourceId",
    "resourceName",
];

/// Lists and sets of targets, each once, in the order in which they were met.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) listed: Vec<Target>,
    pub(super) omitted: u32,
    most: usize,
}

impl Default for Targets {
    fn default() -> Self {
        Self::at_most(MAX_TARGETS)
    }
}

/// Whether any target of the event, listed or omitted, is `wanted`.
#[must_use]
pub fn names_target(event: &Event, wanted: impl Fn(&str) -> bool) -> bool {
    if event.targets.iter().any(|target| wanted(&target.value)) {
        return true;
    }
    if event.targets_omitted == 0 {
        return false;
    }
    let mut all = Targets::at_most(usize::MAX);
    let parameters = event.request_parameters_json.as_deref();
    if let Some(parameters) = parameters.and_then(|json| serde_json::from_str(json).ok()) {
        all.parameters(parameters);
    }
    let arns = event
        .resources
        .iter()
        .filter_map(|resource| resource.arn.as_deref());
    arns.chain(all.listed.iter().map(|target| &*target.value))
        .any(wanted)
}

impl Targets {
    fn at_most(most: usize) -> Self {
        Self {
            listed: Vec::new(),
            omitted: 0,
            most,
        }
    }

    /// Adds one of the record's resources.
    pub(super) fn resource(&mut self, arn: &str) {
        self.add(RESOURCES, arn);
    }

    /// Adds what the request parameters name. Parameters nested too deeply for the parser (128
    /// levels) end the search for targets, not the event.
    pub(super) fn parameters(&mut self, request_parameters: &RawValue) {
        let mut json = serde_json::Deserializer::from_str(request_parameters.get());
        let _nested_too_deeply = Walk {
            targets: self,
            name: None,
            top: true,
        }
        .deserialize(&mut json);
    }

    fn add(&mut self, origin: &str, value: &str) {
        let empty = matches!(value, "" | "HIDDEN_DUE_TO_SECURITY_REASONS");
        let known = |t: &Target| t.value == value && (t.origin == origin || t.origin == RESOURCES);
        // Of many thousands only the first are told apart: that the others may be listed twice harms
        // nobody, and comparing each with all would take seconds.
        if empty || self.listed.iter().take(MAX_TARGETS).any(known) {
            return;
        }
        if self.listed.len() == self.most {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        self.listed.push(Target {
            origin: origin.to_owned(),
            value: value.to_owned(),
        });
    }
}

/// Walks the parameters: `name` is the well-known parameter whose value this is.
struct Walk<'t> {
    targets: &'t mut Targets,
    name: Option<&'static str>,
    top: bool,
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        if let Some(name) = self.name {
            self.targets.add(name, value);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        loop {
            let item = Walk {
                targets: self.targets,
                name: self.name,
                top: false,
            };
            if seq.next_element_seed(item)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Known {
            anywhere,
            at_the_top,
        }) = map.next_key()?
        {
            let name = anywhere.or(at_the_top.filter(|_| self.top));
            map.next_value_seed(Walk {
                targets: self.targets,
                name,
                top: false,
            })?;
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A parameter's name, where it is a well-known one.
struct Known {
    anywhere: Option<&'static str>,
    at_the_top: Option<&'static str>,
}

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = Known;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a parameter's name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Known, E> {
                let find =
                    |names: &[&'static str]| names.binary_search(&name).ok().map(|at| names[at]);
                Ok(Known {
                    anywhere: find(ANYWHERE),
                    at_the_top: find(AT_THE_TOP),
                })
            }
        }
        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parameters: &str) -> Targets {
        let raw: &RawValue = serde_json::from_str(parameters).unwrap();
        let mut targets = Targets::default();
        targets.parameters(raw);
        targets
    }

    fn pairs(targets: &Targets) -> Vec<(&str, &str)> {
        targets
            .listed
            .iter()
            .map(|t| (t.origin.as_str(), t.value.as_str()))
            .collect()
    }

    #[test]
    fn the_names_are_sorted_so_that_they_are_found() {
        assert!(ANYWHERE.is_sorted() && AT_THE_TOP.is_sorted());
    }

    #[test]
    fn targets_stand_at_the_top_in_sets_and_in_lists() {
        assert_eq!(
            pairs(&of(
                r#"{"bucketName":"b","key":"k","instancesSet":{"items":[{"instanceId":"i-1"},{"instanceId":"i-2"},{"instanceId":"i-1"}]},
                "instanceIds":["i-3"],"filterSet":{"items":[{"name":"vpc-id","key":"x"}]},"userName":"","maxResults":5}"#
            )),
            [
                ("bucketName", "b"),
                ("key", "k"),
                ("instanceId", "i-1"),
                ("instanceId", "i-2"),
                ("instanceIds", "i-3")
            ]
        );
    }

    #[test]
    fn a_parameter_that_repeats_a_resource_is_not_listed_again() {
        let mut targets = Targets::default();
        targets.resource("arn:aws:iam::111122223333:role/Admin");
        let raw: &RawValue =
            serde_json::from_str(r#"{"roleArn":"arn:aws:iam::111122223333:role/Admin"}"#).unwrap();
        targets.parameters(raw);
        assert_eq!(
            pairs(&targets),
            [("resources", "arn:aws:iam::111122223333:role/Admin")]
        );
    }

    /// As many as a record can hold, each of which is only held against the few that are listed.
    #[test]
    fn the_last_of_very_many_is_found() {
        let ids: Vec<String> = (0..40_000).map(|n| format!("\"{n}\"")).collect();
        let record = format!(
            r#"{{"eventTime":"2026-10-20T00:00:00Z","eventName":"A","eventSource":"b","requestParameters":{{"instanceIds":[{}]}}}}"#,
            ids.join(",")
        );
        let event = crate::query::record::tests::parse(&record).unwrap();
        for (wanted, named) in [("39999", true), ("40000", false)] {
            assert_eq!(names_target(&event, |name| name == wanted), named);
        }
    }

    #[test]
    fn what_is_too_much_is_counted() {
        let ids: Vec<String> = (0..MAX_TARGETS + 3).map(|n| format!("\"i-{n}\"")).collect();
        let targets = of(&format!(r#"{{"instanceIds":[{}]}}"#, ids.join(",")));
        assert_eq!((targets.listed.len(), targets.omitted), (MAX_TARGETS, 3));
    }

    #[test]
    fn odd_parameters_have_no_targets() {
        for odd in ["null", "7", "\"text\"", "[1]", r#"{"key":{"name":"x"}}"#] {
            assert!(of(odd).listed.is_empty(), "{odd}");
        }
    }
}
