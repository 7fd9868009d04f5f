"""A download is checked before it counts, told of while it runs, and leaves nothing when it fails."""

import http.server
import threading

import pytest

from rootpainter_rootfm.errors import Cancelled, ModelError


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` on this computer; the first `failures` requests are answered with an error."""

    def __init__(self, content, failures=0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.failures, self.requests = content, failures, 0
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server_port}/lab.safetensors"

    def handle_error(self, request, address):
        """Says nothing: a client that hangs up is what some tests are about."""


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests += 1
        if self.server.requests <= self.server.failures:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(monkeypatch):
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(content, failures=0):
        servers.append(Server(content, failures))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def offered(put_bundled, weights):
    """Puts a card of a model to download, from `url`, into the package."""
    return lambda url: put_bundled(weights / "half.safetensors", name="lab", url=url)


def left(library):
    return [path for path in library.home.rglob("*") if path.is_file()]


def test_a_model_is_downloaded_once_checked_and_told_of(library, offered, serve, weights, tmp_path):
    (usual := tmp_path / "usual").touch()
    server = serve((weights / "half.safetensors").read_bytes(), failures=1)
    card = offered(server.url)
    assert library.origin(card) == "to download"
    with pytest.raises(ModelError, match="not been downloaded"):
        library.verify("lab")
    told = []
    path = library.path(card, lambda *now: told.append(now))
    assert library.origin(card) == "downloaded" and left(library) == [path] and card.sha256 in path.name
    assert told[-1] == (card.size_bytes, card.size_bytes, card.title) and len(told) > 10
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert path.stat().st_mode == usual.stat().st_mode, "others may read it as they may read any new file"
    library.verify("lab")
    assert library.path(card) == path and server.requests == 2
    library.remove("lab")
    assert library.origin(library.get("lab")) == "to download" and not left(library)
    with pytest.raises(ModelError, match="has not been downloaded"):
        library.remove("lab")


def test_a_download_of_other_bytes_is_thrown_away(library, offered, serve):
    server = serve(b"something else")
    with pytest.raises(ModelError, match="not the model lab.*checksum.*rootfm models add"):
        library.path(offered(server.url))
    assert not left(library) and server.requests == 3


def test_a_download_that_breaks_off_is_an_error_and_leaves_nothing(library, offered, serve, weights):
    server = serve((weights / "half.safetensors").read_bytes()[:100_000])
    card = offered(server.url)
    with pytest.raises(ModelError):
        library.path(card)
    assert not left(library)


def test_no_connection_is_an_error_that_says_what_else_to_do(library, offered, serve):
    server = serve(b"")
    server.shutdown()
    server.server_close()
    with pytest.raises(ModelError, match="downloaded from .*: there is no connection to the server. .*models add"):
        library.path(offered(server.url))
    assert not left(library)


def test_a_server_that_has_it_no_more_is_said_to(library, offered, serve):
    server = serve(b"", failures=9)
    with pytest.raises(ModelError, match="the server answers 503 Service Unavailable. .*rootfm models add"):
        library.path(offered(server.url))
    assert not left(library)


def test_a_cancelled_download_leaves_nothing(library, offered, serve, weights):
    server = serve((weights / "half.safetensors").read_bytes())

    def cancel(done, total, current):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        library.path(offered(server.url), cancel)
    assert not left(library) and server.requests == 1
