"""SageMaker's runtime on this machine: its REST form of InvokeEndpoint over a container that `serve` runs.

As in AWS, only some headers pass, whatever the container answers but 2xx is wrapped in a ModelError, and an endpoint
that is not there is a ValidationError. The signature is looked at, not checked.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY_BYTES = 6_291_456
_PASSED = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes")


@contextmanager
def sagemaker_runtime(
    endpoints: Mapping[str, str], *, before: Callable[[bytes], None] = lambda body: None
) -> Iterator[str]:
    """`endpoints`: host:port of the container behind each name, read at each call. `before`: called with each body,
    and waited for. Yields the runtime's address.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found = re.fullmatch(r"/endpoints/([\w-]+)/invocations", self.path)
            if "Credential=" not in self.headers.get("Authorization", ""):
                self._error(403, "MissingAuthenticationTokenException", {"Message": "Missing Authentication Token"})
            elif found is None or found[1] not in endpoints:
                name = found[1] if found else "?"
                message = f"Endpoint {name} of account 123456789012 not found."
                self._error(400, "ValidationError", {"Message": message})
            elif len(body) > MAX_BODY_BYTES:
                self._error(413, "ValidationError", {"Message": "Request body is too large"})
            else:
                before(body)
                self._invoke(endpoints[found[1]], body)

        def _invoke(self, container: str, body: bytes) -> None:
            connection = HTTPConnection(container, timeout=60)
            headers = {name: self.headers[name] for name in _PASSED if name in self.headers}
            try:
                connection.request("POST", "/invocations", body, headers)
                answer = connection.getresponse()
                data = answer.read()
            except OSError as error:
                self._error(500, "InternalFailure", {"Message": f"container: {error}"})
                return
            finally:
                connection.close()
            if answer.status >= 300:
                message = f'Received client error ({answer.status}) from primary with message "{data.decode()}".'
                original = {"OriginalStatusCode": answer.status, "OriginalMessage": data.decode(), "Message": message}
                self._error(424, "ModelError", original)
                return
            passed = [
                (name, answer.headers[name])
                for name in ("Content-Type", "X-Amzn-SageMaker-Custom-Attributes")
                if name in answer.headers
            ]
            self._answer(200, data, [*passed, ("x-Amzn-Invoked-Production-Variant", "AllTraffic")])

        def _error(self, status: int, kind: str, told: Mapping[str, object]) -> None:
            headers = [("Content-Type", "application/json"), ("x-amzn-errortype", kind)]
            self._answer(status, json.dumps(told).encode(), headers)

        def _answer(self, status: int, data: bytes, headers: list[tuple[str, str]]) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def aws_environment(address: str) -> dict[str, str]:
    """What makes boto3 call it, and nobody else."""
    return {
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": address,
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
