//! What an archive's table has, from `GetTableMetadata`.

use aws_sdk_athena::types::TableMetadata;

use super::hive_type::HiveType;
use crate::plan::facts::TableFacts;

/// The table's columns and partition columns, as paths in lower case. A column whose type cannot be
/// read is as good as absent: it is logged, and whoever needs it says so.
pub(super) fn table_facts(archive: &str, metadata: &TableMetadata) -> TableFacts {
    let mut facts = TableFacts {
        bytes: size(metadata),
        ..TableFacts::default()
    };
    for column in metadata.columns().iter().chain(metadata.partition_keys()) {
        let path = column.name().to_lowercase();
        match HiveType::parse(column.r#type().unwrap_or_default()) {
            Ok(hive_type) => add(&mut facts, path, hive_type),
            Err(error) => {
                tracing::warn!(archive, column = path, %error, "left out a column of the table");
            }
        }
    }
    facts
}

/// The size that whoever analysed (`totalSize`) or crawled (`sizeKey`) the table left in its
/// parameters.
fn size(metadata: &TableMetadata) -> Option<u64> {
    let parameters = metadata.parameters()?;
    let sizes = ["totalSize", "sizeKey"].into_iter();
    let mut sizes = sizes.filter_map(|name| parameters.get(name)?.parse().ok());
    sizes.find(|bytes| *bytes > 0)
}

fn add(facts: &mut TableFacts, path: String, hive_type: HiveType) {
    match hive_type {
        HiveType::Text => {
            facts.columns.insert(path);
        }
        HiveType::Scalar => {
            facts.not_text.insert(path.clone());
            facts.columns.insert(path);
        }
        HiveType::Collection => {
            facts.composites.insert(path);
        }
        HiveType::Struct(fields) => {
            for (name, field) in fields {
                add(facts, format!("{path}.{name}"), field);
            }
            facts.composites.insert(path);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use aws_sdk_athena::types::Column;

    use super::*;

    /// The columns of the DDL that AWS documents, without partitions.
    pub const DOCUMENTED: &[(&str, &str)] = &[
        ("eventversion", "string"),
        (
            "useridentity",
            "struct<type:string,principalid:string,arn:string,accountid:string,invokedby:string,\
             accesskeyid:string,username:string,onbehalfof:struct<userid:string,\
             identitystorearn:string>,sessioncontext:struct<attributes:struct<\
             mfaauthenticated:string,creationdate:string>,sessionissuer:struct<type:string,\
             principalid:string,arn:string,accountid:string,username:string>,\
             ec2roledelivery:string,webidfederationdata:struct<federatedprovider:string,\
             attributes:map<string,string>>>>",
        ),
        ("eventtime", "string"),
        ("eventsource", "string"),
        ("eventname", "string"),
        ("awsregion", "string"),
        ("sourceipaddress", "string"),
        ("useragent", "string"),
        ("errorcode", "string"),
        ("errormessage", "string"),
        ("requestparameters", "string"),
        ("responseelements", "string"),
        ("additionaleventdata", "string"),
        ("requestid", "string"),
        ("eventid", "string"),
        ("readonly", "string"),
        (
            "resources",
            "array<struct<arn:string,accountid:string,type:string>>",
        ),
        ("eventtype", "string"),
        ("apiversion", "string"),
        ("recipientaccountid", "string"),
        ("serviceeventdetails", "string"),
        ("sharedeventid", "string"),
        ("vpcendpointid", "string"),
        ("vpcendpointaccountid", "string"),
        ("eventcategory", "string"),
        (
            "addendum",
            "struct<reason:string,updatedfields:string,originalrequestid:string,\
             originaleventid:string>",
        ),
        ("sessioncredentialfromconsole", "string"),
        ("edgedevicedetails", "string"),
        (
            "tlsdetails",
            "struct<tlsversion:string,ciphersuite:string,clientprovidedhostheader:string>",
        ),
    ];

    /// What `GetTableMetadata` would say of a table with these columns.
    pub fn metadata(columns: &[(&str, &str)], partitions: &[(&str, &str)]) -> TableMetadata {
        let of = |columns: &[(&str, &str)]| {
            columns
                .iter()
                .map(|(name, r#type)| {
                    Column::builder()
                        .name(*name)
                        .r#type(*r#type)
                        .build()
                        .unwrap()
                })
                .collect::<Vec<_>>()
        };
        TableMetadata::builder()
            .name("cloudtrail")
            .set_columns(Some(of(columns)))
            .set_partition_keys(Some(of(partitions)))
            .build()
            .unwrap()
    }

    #[test]
    fn the_documented_table_is_read_in_full() {
        let facts = table_facts(
            "all",
            &metadata(DOCUMENTED, &[("Region", "string"), ("year", "int")]),
        );
        for path in [
            "eventtime",
            "useridentity.sessioncontext.sessionissuer.arn",
            "useridentity.onbehalfof.identitystorearn",
            "tlsdetails.ciphersuite",
            "region",
            "year",
        ] {
            assert!(facts.columns.contains(path), "{path}");
        }
        let composites: Vec<_> = facts.composites.iter().map(String::as_str).collect();
        assert_eq!(
            composites,
            [
                "addendum",
                "resources",
                "tlsdetails",
                "useridentity",
                "useridentity.onbehalfof",
                "useridentity.sessioncontext",
                "useridentity.sessioncontext.attributes",
                "useridentity.sessioncontext.sessionissuer",
                "useridentity.sessioncontext.webidfederationdata",
                "useridentity.sessioncontext.webidfederationdata.attributes",
            ]
        );
        assert_eq!(facts.not_text.iter().collect::<Vec<_>>(), ["year"]);
    }

    #[test]
    fn the_size_is_that_of_the_catalog_if_it_has_one() {
        let sized = |parameters: &[(&str, &str)]| {
            let parameters = parameters
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            let metadata = TableMetadata::builder()
                .name("t")
                .set_parameters(Some(parameters.collect()));
            table_facts("all", &metadata.build().unwrap()).bytes
        };
        assert_eq!(sized(&[("sizeKey", "123456789012")]), Some(123_456_789_012));
        assert_eq!(sized(&[("totalSize", "7"), ("sizeKey", "8")]), Some(7));
        for unknown in ["-1", "0", "much"] {
            assert_eq!(sized(&[("totalSize", unknown)]), None, "{unknown}");
        }
        assert_eq!(sized(&[]), None);
    }

    #[test]
    fn an_older_table_has_a_map_and_a_broken_column_is_left_out() {
        let facts = table_facts(
            "old",
            &metadata(
                &[
                    (
                        "useridentity",
                        "struct<sessioncontext:struct<webidfederationdata:map<string,string>>>",
                    ),
                    ("readonly", "boolean"),
                    ("broken", "struct<"),
                ],
                &[],
            ),
        );
        let map = "useridentity.sessioncontext.webidfederationdata";
        assert!(facts.composites.contains(map));
        assert_eq!(facts.columns.iter().collect::<Vec<_>>(), ["readonly"]);
        assert!(facts.not_text.contains("readonly"));
    }
}
