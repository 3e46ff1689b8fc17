"""The servers of moto, started by tests/with-moto.sh, with those answers put right that the SDK of Rust cannot read.

moto 5.2.5 names the root of some answers after the call, as in GetBucketVersioningResponse, where S3 has
VersioningConfiguration. The SDK of Python does not look; that of Rust refuses it.
"""

from moto.s3.responses import S3Response
from moto.server import main

ROOTS = {
    "GetBucketNotificationResponse": "NotificationConfiguration",
    "GetBucketVersioningResponse": "VersioningConfiguration",
}
serialized = S3Response.serialized


def serialized_as_s3_does(self, result):
    status, headers, body = serialized(self, result)
    text = body.decode() if isinstance(body, bytes) else body
    for wrong, right in ROOTS.items():
        text = text.replace(f"<{wrong}", f"<{right}").replace(f"</{wrong}>", f"</{right}>")
    return status, headers, text


S3Response.serialized = serialized_as_s3_does
main()
