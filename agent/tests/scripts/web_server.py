"""A web server for downloads: plain files, passwords, slow and large answers, a git repository.

Usage: web_server.py <folder>. Prints its port. Files of the folder lie below /files/, and after a password below
/basic/ and /digest/ (user "me", password "s3cret word"); /git/ is `git http-backend` for the folder, with Basic authentication,
and /hub/ the same for everybody.
Passwords are checked here by the standard library alone.
"""

import base64
import hashlib
import os
import subprocess
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FOLDER = sys.argv[1]
USER, PASSWORD = "me", "s3cret word"
NONCE = "dcd98b7102dd2f0e8b11d0f600bfb0c0"


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        parts = self.path.split("?")[0].split("/", 2)
        place, rest = parts[1], parts[2] if len(parts) > 2 else ""
        if place == "files":
            self.file(rest)
        elif place == "basic":
            self.file(rest) if self.is_basic() else self.refuse('Basic realm="x"')
        elif place == "digest":
            realm = 'Digest realm="x", qop="auth", algorithm=MD5, nonce="%s", opaque="5ccc"' % NONCE
            self.file(rest) if self.is_digest() else self.refuse(realm)
        elif place == "redirect":
            self.send_response(302)
            self.send_header("Location", "/files/" + rest)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif place == "large":
            # Without a length, so that only counting shows it.
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            try:
                for _ in range(64):
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        elif place == "slow":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"begun")
            self.wfile.flush()
            open(os.path.join(FOLDER, "slow-began"), "w").close()
            self.rfile.read(1)
        elif place == "git":
            self.git(rest) if self.is_basic() else self.refuse('Basic realm="git"')
        elif place == "hub":
            self.git(rest)
        else:
            self.answer(404, b"")

    def do_POST(self):
        parts = self.path.split("?")[0].split("/", 2)
        if parts[1] == "hub" or (parts[1] == "git" and self.is_basic()):
            self.git(parts[2])
        else:
            self.answer(404, b"") if parts[1] != "git" else self.refuse('Basic realm="git"')

    def is_basic(self):
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == "Basic " + expected

    def is_digest(self):
        header = self.headers.get("Authorization", "")
        if not header.startswith("Digest "):
            return False
        fields = {}
        for pair in header[len("Digest "):].split(","):
            name, _, value = pair.strip().partition("=")
            fields[name] = value.strip('"')
        first = md5(f"{USER}:x:{PASSWORD}")
        second = md5(f"GET:{self.path}")
        middle = ":".join([NONCE, fields["nc"], fields["cnonce"], "auth"])
        return fields["response"] == md5(f"{first}:{middle}:{second}") and fields["uri"] == self.path

    def refuse(self, challenge):
        self.send_response(401)
        self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def file(self, name):
        try:
            with open(os.path.join(FOLDER, name), "rb") as file:
                self.answer(200, file.read())
        except OSError:
            self.answer(404, b"")

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def git(self, path):
        length = int(self.headers.get("Content-Length", "0"))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        else:
            body = self.rfile.read(length)
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": FOLDER,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": "/" + path,
            "QUERY_STRING": urllib.parse.urlsplit(self.path).query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        result = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE)
        head, _, body = result.stdout.partition(b"\r\n\r\n")
        status, headers = 200, []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
