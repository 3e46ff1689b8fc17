//! Buckets in Azure and at Google in a configuration, built in or not.

mod support;

use std::fs;

use support::*;

fn refused(configuration: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("archipelago.toml"), configuration).expect("it is written");
    let (code, says) = fails(folder.path(), &["status"]);
    assert_eq!(code, 2, "{configuration}: {says}");
    says
}

fn region(name: &str, bucket: &str) -> String {
    format!("[[region]]\nname = \"{name}\"\nbucket = \"{bucket}\"\n")
}

#[cfg(not(all(feature = "azure", feature = "gcs")))]
#[test]
fn a_cloud_that_is_not_built_in_is_named_with_its_feature() {
    for (is_there, bucket, feature) in [
        (cfg!(feature = "azure"), "az://likes?account=acme&sas=hunter2", "build it with the feature azure"),
        (cfg!(feature = "gcs"), "gs://likes?token=hunter2", "build it with the feature gcs"),
    ] {
        if !is_there {
            let says = refused(&region("a", bucket));
            assert!(says.contains(feature) && !says.contains("hunter2"), "{says}");
        }
    }
}

#[cfg(any(feature = "azure", feature = "gcs"))]
#[test]
fn a_configuration_that_cannot_be_meant_is_refused_at_once() {
    for (is_there, configuration, part) in [
        (cfg!(feature = "azure"), region("a", "az://L"), "3 to 63 letters"),
        (cfg!(feature = "azure"), region("a", "az://likes?sas=hunter2"), "no parameter `sas`"),
        (cfg!(feature = "gcs"), region("a", "gs://likes?endpoint=http://example.com"), "plain HTTP"),
        (
            cfg!(feature = "gcs"),
            region("a", "gs://likes/x") + &region("b", "gs://likes/x/y"),
            "have one bucket, or one lies in the other",
        ),
    ] {
        if is_there {
            let says = refused(&configuration);
            assert!(says.contains(part) && !says.contains("hunter2"), "{configuration}: {says}");
        }
    }
}
