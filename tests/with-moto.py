"""The servers of moto, started by tests/with-moto.sh, with one answer put right that the SDK of Rust cannot read.

moto 5.2.5 answers GetBucketVersioning with the element GetBucketVersioningResponse, where S3 has VersioningConfiguration;
the SDK of Python does not look, that of Rust refuses it.
"""

from moto.s3.responses import S3Response
from moto.server import main


def get_bucket_versioning(self):
    status = self.backend.get_bucket_versioning(self.bucket_name)
    inner = f"<Status>{status}</Status>" if status else ""
    root = '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    return 200, {"content-type": "application/xml"}, f"{root}{inner}</VersioningConfiguration>"


S3Response.get_bucket_versioning = get_bucket_versioning
main()
