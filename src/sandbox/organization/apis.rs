//! The calls of ordinary days, with the parameters that records show of them.

use serde_json::{Value, json};

use super::Account;
use super::dice::Dice;
use super::record::Region;

/// Where a call is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub account: &'a Account,
    pub region: Region,
}

impl Place<'_> {
    /// The ARN of something of this account and Region.
    pub(super) fn arn(&self, service: &str, what: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{what}",
            self.region, self.account.id
        )
    }

    /// One of the account's buckets.
    pub(super) fn bucket(&self) -> String {
        format!("example-{}-{}", self.account.name, self.region)
    }
}

type Members = fn(&mut Dice, &Place<'_>) -> Value;

/// An API and what a typical call of it looks like.
pub(super) struct Call {
    pub service: &'static str,
    pub name: &'static str,
    pub request: Members,
    /// Only for calls that change something: reads have no response in the record.
    pub response: Members,
}

impl Call {
    const fn new(service: &'static str, name: &'static str, request: Members) -> Self {
        Self {
            service,
            name,
            request,
            response: |_, _| Value::Null,
        }
    }

    const fn returns(mut self, response: Members) -> Self {
        self.response = response;
        self
    }

    /// What an error message names.
    pub(super) fn resource_arn(&self, place: &Place<'_>) -> String {
        match self.service {
            "s3" => format!("arn:aws:s3:::{}", place.bucket()),
            "iam" => format!("arn:aws:iam::{}:*", place.account.id),
            service => place.arn(service, "*"),
        }
    }
}

const NOTHING: Members = |_, _| Value::Null;

/// What a page of the console loads, and what people list by hand.
pub(super) const LOOKING: &[Call] = &[
    Call::new("ec2", "DescribeInstances", |_, _| json!({"maxResults": 100, "instancesSet": {}, "filterSet": {}})),
    Call::new("ec2", "DescribeSecurityGroups", |_, _| json!({"maxResults": 200, "securityGroupSet": {}, "securityGroupIdSet": {}, "filterSet": {}})),
    Call::new("ec2", "DescribeVolumes", |_, _| json!({"volumeSet": {}, "filterSet": {}})),
    Call::new("ec2", "DescribeVpcs", |_, _| json!({"vpcSet": {}, "filterSet": {}})),
    Call::new("ec2", "DescribeSubnets", |dice, _| json!({"subnetSet": {"items": [{"subnetId": format!("subnet-0{}", dice.hex(16))}]}, "filterSet": {}})),
    Call::new("monitoring", "DescribeAlarms", |_, _| json!({"maxRecords": 100, "stateValue": "ALARM"})),
    Call::new("monitoring", "GetMetricData", NOTHING),
    Call::new("logs", "DescribeLogGroups", |_, _| json!({"limit": 50, "logGroupNamePrefix": "/aws/lambda/"})),
    Call::new("logs", "StartQuery", |dice, place| json!({"logGroupName": format!("/app/{}", place.account.name), "queryString": "fields @timestamp, @message | limit 100", "limit": 100, "startTime": dice.between(1_700_000_000, 1_800_000_000)}))
        .returns(|dice, _| json!({"queryId": dice.uuid()})),
    Call::new("rds", "DescribeDBInstances", NOTHING),
    Call::new("lambda", "ListFunctions20150331", NOTHING),
    Call::new("lambda", "GetFunction20150331v2", |_, place| json!({"functionName": place.arn("lambda", &format!("function:{}-worker", place.account.name))})),
    Call::new("s3", "ListBuckets", |_, place| json!({"Host": format!("s3.{}.amazonaws.com", place.region)})),
    Call::new("s3", "GetBucketPolicy", |_, place| json!({"bucketName": place.bucket(), "Host": format!("{}.s3.amazonaws.com", place.bucket()), "policy": ""})),
    Call::new("iam", "ListRoles", |_, _| json!({"maxItems": 1000})),
    Call::new("iam", "GetRole", |_, _| json!({"roleName": "app-server"})),
    Call::new("iam", "ListUsers", NOTHING),
    Call::new("ssm", "DescribeInstanceInformation", |_, _| json!({"maxResults": 50})),
    Call::new("secretsmanager", "ListSecrets", |_, _| json!({"maxResults": 100})),
    Call::new("health", "DescribeEventAggregates", |_, _| json!({"filter": {"eventStatusCodes": ["open", "upcoming"]}, "aggregateField": "eventTypeCategory"})),
    Call::new("ce", "GetCostAndUsage", |_, _| json!({"granularity": "DAILY", "metrics": ["UnblendedCost"]})),
    Call::new("cloudtrail", "LookupEvents", |_, _| json!({"maxResults": 50, "lookupAttributes": [{"attributeKey": "ReadOnly", "attributeValue": "false"}]})),
];

/// What people change, now and then.
pub(super) const CHANGING: &[Call] = &[
    Call::new("ec2", "AuthorizeSecurityGroupIngress", |dice, _| json!({"groupId": format!("sg-0{}", dice.hex(16)), "ipPermissions": {"items": [{"ipProtocol": "tcp", "fromPort": 443, "toPort": 443, "groups": {}, "ipRanges": {"items": [{"cidrIp": "192.0.2.0/24"}]}}]}}))
        .returns(|dice, _| json!({"requestId": dice.uuid(), "_return": true})),
    Call::new("ec2", "CreateTags", |dice, _| json!({"resourcesSet": {"items": [{"resourceId": format!("i-0{}", dice.hex(16))}]}, "tagSet": {"items": [{"key": "owner", "value": "platform"}]}}))
        .returns(|dice, _| json!({"requestId": dice.uuid(), "_return": true})),
    Call::new("ssm", "PutParameter", |_, place| json!({"name": format!("/{}/feature-flags", place.account.name), "type": "String", "overwrite": true, "value": "HIDDEN_DUE_TO_SECURITY_REASONS"}))
        .returns(|dice, _| json!({"version": dice.between(2, 90), "tier": "Standard"})),
    Call::new("lambda", "UpdateFunctionConfiguration20150331v2", |_, place| json!({"functionName": format!("{}-worker", place.account.name), "memorySize": 512, "environment": {}}))
        .returns(|dice, place| json!({"functionName": format!("{}-worker", place.account.name), "memorySize": 512, "revisionId": dice.uuid()})),
    Call::new("s3", "PutBucketTagging", |_, place| json!({"bucketName": place.bucket(), "Host": format!("{}.s3.amazonaws.com", place.bucket()), "tagging": "", "Tagging": {"TagSet": {"Tag": {"Key": "owner", "Value": "platform"}}}})),
    Call::new("monitoring", "PutMetricAlarm", |_, place| json!({"alarmName": format!("{}-errors", place.account.name), "metricName": "Errors", "namespace": "AWS/Lambda", "threshold": 1, "period": 300, "evaluationPeriods": 1, "comparisonOperator": "GreaterThanThreshold", "statistic": "Sum"})),
    Call::new("iam", "UpdateAssumeRolePolicy", |_, _| json!({"roleName": "app-server", "policyDocument": "{\"Version\":\"2012-10-17\",\"Statement\":[]}"})),
];

/// A deployment in its target account.
pub(super) const DEPLOYING: &[Call] = &[
    Call::new("ecr", "GetAuthorizationToken", NOTHING),
    Call::new("ecs", "DescribeServices", |_, place| json!({"cluster": place.account.name, "services": ["web"]})),
    Call::new("ecs", "RegisterTaskDefinition", |dice, place| json!({"family": "web", "networkMode": "awsvpc", "containerDefinitions": [{"name": "web", "image": format!("{}/web:{}", place.account.name, dice.hex(7)), "cpu": 256, "memory": 512}]}))
        .returns(|dice, place| json!({"taskDefinition": {"taskDefinitionArn": place.arn("ecs", &format!("task-definition/web:{}", dice.between(10, 900))), "status": "ACTIVE"}})),
    Call::new("ecs", "UpdateService", |_, place| json!({"cluster": place.account.name, "service": "web", "taskDefinition": "web", "forceNewDeployment": true}))
        .returns(|_, place| json!({"service": {"serviceArn": place.arn("ecs", "service/web"), "status": "ACTIVE", "desiredCount": 4}})),
    Call::new("lambda", "UpdateFunctionCode20150331v2", |_, place| json!({"functionName": format!("{}-worker", place.account.name), "publish": true, "dryRun": false}))
        .returns(|dice, place| json!({"functionName": format!("{}-worker", place.account.name), "codeSize": dice.between(90_000, 9_000_000), "revisionId": dice.uuid()})),
    Call::new("cloudformation", "DescribeStacks", |_, place| json!({"stackName": format!("{}-stack", place.account.name)})),
    Call::new("cloudformation", "CreateChangeSet", |dice, place| json!({"stackName": format!("{}-stack", place.account.name), "changeSetName": format!("change-{}", dice.hex(8))}))
        .returns(|dice, place| json!({"id": place.arn("cloudformation", &format!("changeSet/{}", dice.uuid()))})),
    Call::new("cloudformation", "ExecuteChangeSet", |dice, place| json!({"stackName": format!("{}-stack", place.account.name), "changeSetName": format!("change-{}", dice.hex(8))})),
];

/// What a server asks for while it runs.
pub(super) const SERVING: &[Call] = &[
    Call::new(
        "ssm",
        "UpdateInstanceInformation",
        |_, _| json!({"agentVersion": "3.3.1611.0", "platformType": "Linux", "platformName": "Amazon Linux", "agentStatus": "Active"}),
    ),
    Call::new(
        "ssm",
        "GetParametersByPath",
        |_, place| json!({"path": format!("/{}/", place.account.name), "recursive": true, "withDecryption": true}),
    ),
    Call::new(
        "ec2",
        "DescribeInstances",
        |_, place| json!({"instancesSet": {}, "filterSet": {"items": [{"name": "tag:service", "valueSet": {"items": [{"value": place.account.name}]}}]}}),
    ),
    Call::new(
        "ec2",
        "DescribeTags",
        |_, _| json!({"filterSet": {"items": [{"name": "resource-type", "valueSet": {"items": [{"value": "instance"}]}}]}}),
    ),
    Call::new(
        "sqs",
        "GetQueueAttributes",
        |_, place| json!({"queueUrl": format!("https://sqs.{}.amazonaws.com/{}/jobs", place.region, place.account.id), "attributeNames": ["ApproximateNumberOfMessages"]}),
    ),
    Call::new(
        "logs",
        "CreateLogStream",
        |dice, place| json!({"logGroupName": format!("/app/{}", place.account.name), "logStreamName": dice.hex(32)}),
    ),
];

/// What an auditor's tool reads everywhere.
pub(super) const AUDITING: &[Call] = &[
    Call::new("iam", "GetAccountSummary", NOTHING),
    Call::new("iam", "GetAccountPasswordPolicy", NOTHING),
    Call::new("iam", "ListUsers", |_, _| json!({"maxItems": 1000})),
    Call::new(
        "iam",
        "ListPolicies",
        |_, _| json!({"scope": "Local", "onlyAttached": true}),
    ),
    Call::new("iam", "GetCredentialReport", NOTHING),
    Call::new(
        "cloudtrail",
        "DescribeTrails",
        |_, _| json!({"trailNameList": [], "includeShadowTrails": true}),
    ),
    Call::new(
        "cloudtrail",
        "GetTrailStatus",
        |_, _| json!({"name": "organization-trail"}),
    ),
    Call::new(
        "s3",
        "GetBucketAcl",
        |_, place| json!({"bucketName": place.bucket(), "Host": format!("{}.s3.amazonaws.com", place.bucket()), "acl": ""}),
    ),
    Call::new(
        "s3",
        "GetBucketEncryption",
        |_, place| json!({"bucketName": place.bucket(), "Host": format!("{}.s3.amazonaws.com", place.bucket()), "encryption": ""}),
    ),
    Call::new(
        "ec2",
        "DescribeSecurityGroups",
        |_, _| json!({"securityGroupSet": {}, "securityGroupIdSet": {}, "filterSet": {}}),
    ),
    Call::new("ec2", "DescribeFlowLogs", NOTHING),
    Call::new("kms", "ListKeys", |_, _| json!({"limit": 1000})),
    Call::new(
        "rds",
        "DescribeDBSnapshots",
        |_, _| json!({"snapshotType": "manual", "includeShared": false, "includePublic": false}),
    ),
    Call::new("config", "DescribeConfigurationRecorderStatus", NOTHING),
];
