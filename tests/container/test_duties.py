"""What the program promises wherever it runs, asked from outside; inside an image too, where there is no pytest.

Nothing but the standard library: `python -m unittest test_duties` in the image, with APP_UNDER_TEST naming its folder.
"""

import base64
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path

APP = Path(os.environ.get("APP_UNDER_TEST") or Path(__file__).parents[2])
STARTS_WITHIN_S = 60.0


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def red_png(px: int) -> bytes:
    header = struct.pack(">IIBBBBB", px, px, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\xff\0\0" * px) * px)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


PICTURE = red_png(32)


class Server:
    """`python app.py DUTY` on a free port, over a data folder of its own unless one is given."""

    def __init__(self, duty: str, data_dir: str, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = int(probe.getsockname()[1])
        self.process = subprocess.Popen(
            [sys.executable, "app.py", duty],
            cwd=APP,
            env={**os.environ, "PORT": str(self.port), "SIGHTLINE_DATA_DIR": data_dir, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def ask(
        self, method: str, path: str, body: bytes | None = None, type: str = "application/json", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"content-type": type, **headers})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        until, pause = time.monotonic() + STARTS_WITHIN_S, threading.Event()
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.ask("GET", "/ping")[0] == 200:
                    return
            except (OSError, HTTPException):  # it does not listen yet
                pass
            pause.wait(0.05)
        raise AssertionError(f"not ready; exit code {self.process.poll()}")

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def end(self) -> None:
        self.process.kill()
        self.process.wait(30)


class Duty(unittest.TestCase):
    def start(self, duty: str, **environment: str) -> Server:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        server = Server(duty, folder.name, **environment)
        self.addCleanup(server.end)
        server.wait_until_ready()
        return server

    def run_command(self, *arguments: str, data_dir: str) -> str:
        ran = subprocess.run(
            [sys.executable, "app.py", *arguments],
            cwd=APP,
            env={**os.environ, "SIGHTLINE_DATA_DIR": data_dir},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def found(self, server: Server, path: str, body: bytes, type: str = "application/json") -> list[dict[str, object]]:
        status, _, answer = server.ask("POST", path, body, type)
        self.assertEqual(status, 200, answer)
        hits = json.loads(answer)["hits"]
        assert isinstance(hits, list)
        return hits


class Ui(Duty):
    def test_the_page_and_the_api_answer_and_sigterm_ends_it_with_0(self) -> None:
        ui = self.start("ui")
        self.assertEqual(ui.ask("GET", "/healthz")[0], 200)
        status, headers, page = ui.ask("GET", "/")
        self.assertEqual((status, headers["content-type"].split(";")[0]), (200, "text/html"))
        self.assertIn(b"<title>Sightline", page)
        hits = self.found(ui, "/api/search", b'{"query": "a pig", "top_k": 3}')
        self.assertEqual([hit["rank"] for hit in hits], [1, 2, 3])
        status, headers, thumbnail = ui.ask("GET", str(hits[0]["thumb"]))
        self.assertEqual((status, headers["content-type"], thumbnail[8:12]), (200, "image/webp", b"WEBP"))
        self.assertEqual(ui.stop(), 0)

    def test_an_image_that_is_indexed_is_found_and_still_there_after_a_restart(self) -> None:
        with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as images:
            (Path(images) / "red.png").write_bytes(PICTURE)
            self.run_command("index", images, "--collection", "mine", data_dir=data)
            for _ in range(2):
                ui = Server("ui", data)
                self.addCleanup(ui.end)
                ui.wait_until_ready()
                hits = self.found(ui, "/api/search", b'{"query": "red", "collection": "mine"}')
                self.assertEqual([str(hit["uri"]).rpartition("/")[2] for hit in hits], ["red.png"])
                self.assertEqual(ui.stop(), 0)


class Serve(Duty):
    def test_every_kind_of_body_is_answered_and_nothing_else_is_there(self) -> None:
        serve = self.start("serve")
        by_words = self.found(serve, "/invocations", b'{"query": "a pig", "top_k": 5}')
        self.assertEqual(self.found(serve, "/invocations?top_k=5", b"a pig", "text/plain"), by_words)
        self.assertEqual(len(self.found(serve, "/invocations?top_k=2", PICTURE, "image/png")), 2)
        mixed = [{"text": "a pig"}, {"image": base64.b64encode(PICTURE).decode(), "weight": -0.1}]
        self.assertEqual(len(self.found(serve, "/invocations", json.dumps({"query": mixed, "top_k": 4}).encode())), 4)
        embed = {"embed": {"texts": ["a pig"], "images": [base64.b64encode(PICTURE).decode()]}}
        answer = json.loads(serve.ask("POST", "/invocations", json.dumps(embed).encode())[2])
        self.assertEqual({kind: len(rows) for kind, rows in answer["embeddings"].items()}, {"texts": 1, "images": 1})
        for vector in (answer["embeddings"]["texts"][0], answer["embeddings"]["images"][0]):
            self.assertAlmostEqual(sum(x * x for x in vector), 1, places=3)
        self.assertEqual(serve.ask("GET", "/execution-parameters")[0], 200)
        for path in ("/", "/docs", "/api/collections", "/thumb/1"):
            self.assertEqual(serve.ask("GET", path)[0], 404)

    def test_bad_bodies_get_typed_errors_and_attributes_come_back(self) -> None:
        serve = self.start("serve")
        for body, type, status, code in (
            (b'{"query": ""}', "application/json", 422, "empty_query"),
            (b"{", "application/json", 400, "not_json"),
            (b"not a picture", "image/png", 422, "unsupported_format"),
            (b"a pig", "application/pdf", 415, "unsupported_type"),
        ):
            with self.subTest(code=code):
                given, _, answer = serve.ask("POST", "/invocations", body, type)
                self.assertEqual((given, json.loads(answer)["error"]["code"]), (status, code))
        _, headers, _ = serve.ask(
            "POST", "/invocations", b"a pig", "text/plain", **{"X-Amzn-SageMaker-Custom-Attributes": "trace=7"}
        )
        self.assertEqual(headers["x-amzn-sagemaker-custom-attributes"], "trace=7")

    def test_the_platforms_port_is_used(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        with tempfile.TemporaryDirectory() as data:
            serve = Server("serve", data, SAGEMAKER_BIND_TO_PORT=str(port))
            self.addCleanup(serve.end)
            serve.port = port
            serve.wait_until_ready()
            self.assertEqual(serve.stop(), 0)

    def test_sigterm_under_load_leaves_no_accepted_request_unanswered(self) -> None:
        serve = self.start("serve")
        stopping = threading.Event()

        def ask_until_refused(number: int) -> list[int]:
            answers = []
            for turn in range(10_000):
                try:
                    body = json.dumps({"query": f"{number} pigs and {turn} boats", "top_k": 1}).encode()
                    answers.append(serve.ask("POST", "/invocations", body)[0])
                except ConnectionRefusedError:
                    return answers
                except (ConnectionResetError, HTTPException):  # accepted by the kernel, never by the server
                    self.assertTrue(stopping.is_set())
                    return answers
                if turn == 5:
                    warm.wait(30)
            return answers

        warm = threading.Barrier(9)
        with ThreadPoolExecutor(8) as clients:
            asked = [clients.submit(ask_until_refused, number) for number in range(8)]
            warm.wait(30)
            stopping.set()
            self.assertEqual(serve.stop(), 0)
            statuses = {status for each in asked for status in each.result(30)}
        self.assertLessEqual(statuses, {200, 503})
        self.assertIn(200, statuses)


class Release(Duty):
    def test_a_release_that_is_built_here_says_of_which_code_and_is_checked_and_served(self) -> None:
        with tempfile.TemporaryDirectory() as data:
            release = str(Path(data) / "release")
            self.run_command("release", "build", "gallery", release, data_dir=data)
            told = json.loads((Path(release) / "manifest.json").read_text(encoding="utf-8"))
            self.assertRegex(told["code"]["version"], r"^\d+\.\d+\.\d+$")
            self.assertRegex(told["code"]["commit"], r"^([0-9a-f]{40}|unknown)$")  # unknown: no build argument, no git
            texts = sorted(path.name for path in (Path(release) / "licences").iterdir())
            self.assertEqual(texts, ["LICENSE", "NOTO-OFL.txt"])
            self.assertIn("32 thumbnails", self.run_command("release", "verify", release, data_dir=data))
            serve = self.start("serve", SIGHTLINE_RELEASE=release)
            self.assertEqual(len(self.found(serve, "/invocations", b'{"query": "a pig", "top_k": 3}')), 3)
            self.assertEqual(serve.stop(), 0)


if __name__ == "__main__":
    unittest.main()
