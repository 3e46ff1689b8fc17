//! The settings of a bucket: what a new one has, and that each comes back as it was put.

use servers::{Cloud, Keys, S3Server};

use crate::client::{Reply, Request};

struct Stage {
    server: S3Server,
    admin: Keys,
}

impl Stage {
    fn new() -> Self {
        let cloud = Cloud::new();
        let server = S3Server::start(&cloud).expect("a port is free");
        let stage = Self { server, admin: cloud.admin() };
        assert_eq!(stage.create().status, 200);
        stage
    }

    fn create(&self) -> Reply {
        let region = "<LocationConstraint>eu-west-1</LocationConstraint>";
        let body = format!("<CreateBucketConfiguration>{region}</CreateBucketConfiguration>");
        self.send(&Request::s3("PUT", "/europe").body(body))
    }

    fn send(&self, request: &Request) -> Reply {
        request.send(self.server.address(), &self.admin).expect("it answers")
    }

    fn get(&self, setting: &str) -> Reply {
        self.send(&Request::s3("GET", &format!("/europe?{setting}")))
    }
}

#[test]
fn a_new_bucket_has_what_s3_gives_it() {
    let stage = Stage::new();
    assert_eq!(stage.get("location").xml("LocationConstraint"), None, "it is the root element, with a namespace");
    assert!(stage.get("location").text().contains(">eu-west-1</LocationConstraint>"));
    assert_eq!(stage.get("versioning").xml("Status"), None);
    assert_eq!(stage.get("publicAccessBlock").xml("BlockPublicPolicy").as_deref(), Some("true"));
    assert_eq!(stage.get("encryption").xml("SSEAlgorithm").as_deref(), Some("AES256"));
    assert_eq!(stage.get("notification").status, 200);
    for (setting, code) in [
        ("policy", "NoSuchBucketPolicy"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("ownershipControls", "OwnershipControlsNotFoundError"),
        ("tagging", "NoSuchTagSet"),
    ] {
        let reply = stage.get(setting);
        assert_eq!((reply.status, reply.xml("Code").as_deref()), (404, Some(code)));
    }
    let again = stage.create();
    assert_eq!((again.status, again.xml("Code").as_deref()), (409, Some("BucketAlreadyOwnedByYou")));
    let elsewhere = stage.send(&Request::s3("PUT", "/elsewhere"));
    let code = elsewhere.xml("Code");
    assert_eq!((elsewhere.status, code.as_deref()), (400, Some("IllegalLocationConstraintException")));
    assert!(stage.send(&Request::s3("GET", "/")).text().contains("<Name>europe</Name>"));
}

/// Setting, what is put, the element that must come back, and what it holds.
#[test]
fn settings_come_back_as_they_were_put() {
    let stage = Stage::new();
    let rule =
        "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm></ApplyServerSideEncryptionByDefault>";
    let encryption =
        format!("<ServerSideEncryptionConfiguration><Rule>{rule}</Rule></ServerSideEncryptionConfiguration>");
    let lifecycle = "<LifecycleConfiguration><Rule><ID>tidy</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
        <NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays></NoncurrentVersionExpiration>\
        <AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
        </Rule></LifecycleConfiguration>";
    let table = [
        (
            "versioning",
            "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
            "Status",
            "Enabled",
        ),
        (
            "publicAccessBlock",
            "<PublicAccessBlockConfiguration><BlockPublicPolicy>false</BlockPublicPolicy></PublicAccessBlockConfiguration>",
            "BlockPublicPolicy",
            "false",
        ),
        ("encryption", encryption.as_str(), "SSEAlgorithm", "aws:kms"),
        ("lifecycle", lifecycle, "NoncurrentDays", "7"),
        ("lifecycle", lifecycle, "DaysAfterInitiation", "1"),
        (
            "ownershipControls",
            "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
            "ObjectOwnership",
            "BucketOwnerEnforced",
        ),
        ("tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>", "Value", "b"),
    ];
    for (setting, body, element, value) in table {
        let put = stage.send(&Request::s3("PUT", &format!("/europe?{setting}")).body(body));
        assert_eq!(put.status / 100, 2, "{setting}: {}", put.text());
        assert_eq!(stage.get(setting).xml(element).as_deref(), Some(value), "{setting}");
    }
    stage.send(&Request::s3("PUT", "/europe/k").body("x"));
    let head = stage.send(&Request::s3("HEAD", "/europe/k"));
    assert_eq!(head.header("x-amz-server-side-encryption"), Some("aws:kms"), "the default of the bucket applies");
    assert_eq!(stage.send(&Request::s3("DELETE", "/europe")).xml("Code").as_deref(), Some("BucketNotEmpty"));
}

#[test]
fn what_is_not_served_says_so() {
    let stage = Stage::new();
    for request in [
        Request::s3("GET", "/europe?cors"),
        Request::s3("POST", "/europe/k?uploads"),
        Request::s3("GET", "/europe"),
        Request::s3("PUT", "/europe/k").header("x-amz-copy-source", "/europe/l"),
    ] {
        let reply = stage.send(&request);
        assert_eq!((reply.status, reply.xml("Code").as_deref()), (501, Some("NotImplemented")), "{request:?}");
    }
}
