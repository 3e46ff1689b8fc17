"""What tests/with-emulators.sh needs beside the emulators: who makes their buckets, and who speaks XML for one of them.

    containers ENDPOINT NAME...   makes containers in Azurite
    buckets ENDPOINT NAME...      makes buckets in fake-gcs-server
    translate PORT UPSTREAM       serves Google's XML API on 127.0.0.1, over the JSON API of the server at UPSTREAM

The crate object_store speaks to Google in XML. fake-gcs-server 1.54 has a part of that API: no uploads but signed ones, no
conditions, lists that begin at the beginning and have no pages, and plain text where Google gives a code. Its JSON API has all
of that. The translation keeps nothing and decides nothing: each request becomes one of the emulator's, and each answer one of
Google's reference (https://cloud.google.com/storage/docs/xml-api/reference-status).
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import sys
import threading
import urllib.parse
import urllib.request
from email.utils import formatdate
from xml.sax.saxutils import escape

# The account and the key that every Azurite has; both are in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
TOKEN = "Bearer the-token"


def make_container(endpoint, name):
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2023-11-03"}
    signed = "PUT" + "\n" * 12 + "".join(f"{header}:{value}\n" for header, value in sorted(headers.items()))
    signed += f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    digest = hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    url = f"{endpoint}/{ACCOUNT}/{name}?restype=container"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), timeout=20).read()


def make_bucket(endpoint, name):
    body, kind = json.dumps({"name": name}).encode(), {"Content-Type": "application/json"}
    url = f"{endpoint}/storage/v1/b?project=test"
    urllib.request.urlopen(urllib.request.Request(url, body, kind), timeout=20).read()


class Translator(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream = None
    local = threading.local()

    def asks(self, method, path, body=None, headers=None):
        """One request to the emulator, over a connection of this thread's own."""
        if getattr(self.local, "connection", None) is None:
            self.local.connection = http.client.HTTPConnection(self.upstream, timeout=60)
        self.local.connection.request(method, path, body, headers or {})
        answer = self.local.connection.getresponse()
        body = answer.read()
        if answer.status >= 400:
            # After some of these the emulator hangs up without saying so.
            self.local.connection.close()
        return answer.status, answer.headers, body

    def answers(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {"Content-Type": "application/xml"}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def fails(self, status, code):
        self.answers(status, f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>".encode())

    def is_missing(self):
        """The emulator says the same of a missing bucket and a missing object."""
        status, _, _ = self.asks("GET", f"/storage/v1/b/{self.bucket}")
        return self.fails(404, "NoSuchBucket" if status == 404 else "NoSuchKey")

    def translated(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != TOKEN:
            return self.fails(401, "AuthenticationRequired")
        path, _, query = self.path.partition("?")
        self.bucket, _, name = path[1:].partition("/")
        query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
        name = urllib.parse.unquote(name)
        method = {"PUT": self.put, "GET": self.get, "DELETE": self.delete}[self.command]
        return method(name, body) if name else self.list(query)

    do_PUT = do_GET = do_DELETE = translated

    def put(self, name, body):
        if self.headers.get("x-goog-if-generation-match") != "0":
            return self.fails(501, "NotImplemented")
        boundary = "----------archipelago-" + hashlib.sha256(body).hexdigest()
        about = json.dumps({"name": name, "contentType": "application/octet-stream"})
        head = f"--{boundary}\r\nContent-Type: application/json\r\n\r\n{about}\r\n--{boundary}\r\n"
        head += "Content-Type: application/octet-stream\r\n\r\n"
        parts = head.encode() + body + f"\r\n--{boundary}--\r\n".encode()
        url = f"/upload/storage/v1/b/{self.bucket}/o?uploadType=multipart&ifGenerationMatch=0"
        kind = {"Content-Type": f"multipart/related; boundary={boundary}"}
        status, _, answer = self.asks("POST", url, parts, kind)
        if status == 200:
            made = json.loads(answer)
            return self.answers(200, b"", {"ETag": f'"{made["etag"]}"', "x-goog-generation": made["generation"]})
        if status == 412:
            return self.fails(412, "PreconditionFailed")
        return self.fails(404, "NoSuchBucket") if status == 404 else self.fails(status, "InternalError")

    def get(self, name, _):
        asked = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
        url = f"/download/storage/v1/b/{self.bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media"
        status, headers, body = self.asks("GET", url, headers=asked)
        if status == 404:
            return self.is_missing()
        if status == 416:
            return self.fails(416, "InvalidRange")
        kept = ["Content-Range", "Content-Type", "ETag", "Last-Modified", "x-goog-generation"]
        return self.answers(status, body, {key: headers[key] for key in kept if key in headers})

    def delete(self, name, _):
        url = f"/storage/v1/b/{self.bucket}/o/{urllib.parse.quote(name, safe='')}"
        status, _, _ = self.asks("DELETE", url)
        if status == 404:
            return self.is_missing()
        return self.answers(204) if status in (200, 204) else self.fails(status, "InternalError")

    def list(self, query):
        asked = {"maxResults": min(int(query.get("max-keys", 1000)), 1000)}
        for ours, theirs in [("prefix", "prefix"), ("delimiter", "delimiter"), ("continuation-token", "pageToken")]:
            if ours in query:
                asked[theirs] = query[ours]
        if "start-after" in query:
            # In JSON a list begins at a name; the next one that there could be is this.
            asked["startOffset"] = query["start-after"] + "\0"
        status, _, body = self.asks("GET", f"/storage/v1/b/{self.bucket}/o?{urllib.parse.urlencode(asked)}")
        if status != 200:
            return self.fails(404, "NoSuchBucket") if status == 404 else self.fails(status, "InternalError")
        found = json.loads(body)
        rows = [
            f"<Contents><Key>{escape(item['name'])}</Key><Generation>{item['generation']}</Generation>"
            f"<LastModified>{item['updated']}</LastModified><ETag>\"{item['etag']}\"</ETag>"
            f"<Size>{item['size']}</Size></Contents>"
            for item in found.get("items") or []
        ]
        rows += [
            f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
            for prefix in found.get("prefixes") or []
        ]
        if found.get("nextPageToken"):
            rows.append(f"<NextContinuationToken>{escape(found['nextPageToken'])}</NextContinuationToken>")
        truncated = str(bool(found.get("nextPageToken"))).lower()
        text = (
            "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult xmlns='http://doc.s3.amazonaws.com/2006-03-01'>"
            f"<Name>{self.bucket}</Name><IsTruncated>{truncated}</IsTruncated>{''.join(rows)}</ListBucketResult>"
        )
        return self.answers(200, text.encode())

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def main(what, where, *more):
    if what == "translate":
        Translator.upstream = more[0]
        Server(("127.0.0.1", int(where)), Translator).serve_forever()
    make = {"containers": make_container, "buckets": make_bucket}[what]
    for name in more:
        make(where, name)


main(*sys.argv[1:])
