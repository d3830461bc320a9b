//! The tables: AWS's documented CloudTrail table over four partition layouts and of two ages.

use std::sync::LazyLock;

use super::hive::HiveType;

/// The database that holds all tables.
pub const DATABASE: &str = "cloudtrail_logs";

/// The only data catalog, as Athena names its default one.
pub const CATALOG: &str = "AwsDataCatalog";

/// One column of a table's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Lower case.
    pub name: &'static str,
    /// The type as the DDL writes it.
    pub ddl_type: &'static str,
    /// The same, parsed.
    pub hive_type: HiveType,
}

/// By what a table's files are partitioned: one folder each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionKey {
    /// The account folder.
    Account,
    /// The Region folder: where the file was delivered.
    Region,
    /// The year of delivery, four digits.
    Year,
    /// The month of delivery, two digits.
    Month,
    /// The day of delivery, two digits.
    Day,
    /// The day of delivery as `yyyy/MM/dd`, which partition projection makes of three folders.
    Timestamp,
}

impl PartitionKey {
    /// All keys of all layouts.
    pub const ALL: [Self; 6] = [
        Self::Account,
        Self::Region,
        Self::Year,
        Self::Month,
        Self::Day,
        Self::Timestamp,
    ];

    /// The column's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Region => "region",
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Timestamp => "timestamp",
        }
    }
}

/// How old a table's DDL is, and so which columns it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// The columns that AWS documents today.
    Documented,
    /// An older DDL: no columns for members that came after event version 1.05, and
    /// `webidfederationdata` as a map.
    Legacy,
}

impl Generation {
    /// The columns in DDL order, without partition keys.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        static DOCUMENTED: LazyLock<Vec<Column>> = LazyLock::new(|| columns(DOCUMENTED_DDL));
        static LEGACY: LazyLock<Vec<Column>> = LazyLock::new(|| columns(LEGACY_DDL));
        match self {
            Self::Documented => &DOCUMENTED,
            Self::Legacy => &LEGACY,
        }
    }
}

/// One table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Its name in [`DATABASE`].
    pub name: &'static str,
    /// Which columns it has.
    pub generation: Generation,
    /// Its partition keys, outermost first.
    pub partition_keys: &'static [PartitionKey],
    /// Whether partitions are computed from properties instead of registered. Then `account` is
    /// `injected`: a query must name accounts.
    pub projected: bool,
}

/// Every table, all over the same files.
pub const TABLES: [Table; 4] = [
    Table {
        name: "cloudtrail_by_region",
        generation: Generation::Documented,
        partition_keys: &[
            PartitionKey::Region,
            PartitionKey::Year,
            PartitionKey::Month,
            PartitionKey::Day,
        ],
        projected: false,
    },
    Table {
        name: "cloudtrail_by_account",
        generation: Generation::Documented,
        partition_keys: &[
            PartitionKey::Account,
            PartitionKey::Region,
            PartitionKey::Year,
            PartitionKey::Month,
            PartitionKey::Day,
        ],
        projected: false,
    },
    Table {
        name: "cloudtrail_projected",
        generation: Generation::Documented,
        partition_keys: &[
            PartitionKey::Account,
            PartitionKey::Region,
            PartitionKey::Timestamp,
        ],
        projected: true,
    },
    Table {
        name: "cloudtrail_legacy",
        generation: Generation::Legacy,
        partition_keys: &[
            PartitionKey::Region,
            PartitionKey::Year,
            PartitionKey::Month,
            PartitionKey::Day,
        ],
        projected: false,
    },
];

fn columns(ddl: &[(&'static str, &'static str)]) -> Vec<Column> {
    ddl.iter()
        .map(|&(name, ddl_type)| Column {
            name,
            ddl_type,
            hive_type: HiveType::parse(ddl_type).expect("the tables' own DDL is well formed"),
        })
        .collect()
}

const DOCUMENTED_DDL: &[(&str, &str)] = &[
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

const LEGACY_DDL: &[(&str, &str)] = &[
    ("eventversion", "string"),
    (
        "useridentity",
        "struct<type:string,principalid:string,arn:string,accountid:string,invokedby:string,\
         accesskeyid:string,username:string,sessioncontext:struct<attributes:struct<\
         mfaauthenticated:string,creationdate:string>,sessionissuer:struct<type:string,\
         principalid:string,arn:string,accountid:string,username:string>,\
         ec2roledelivery:string,webidfederationdata:map<string,string>>>",
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
    (
        "resources",
        "array<struct<arn:string,accountid:string,type:string>>",
    ),
    ("eventtype", "string"),
    ("apiversion", "string"),
    ("readonly", "string"),
    ("recipientaccountid", "string"),
    ("serviceeventdetails", "string"),
    ("sharedeventid", "string"),
    ("vpcendpointid", "string"),
];
