"""The pages, served by a local nginx."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from urllib.parse import quote
from urllib.request import urlopen

from tests.benchmarks.pages.corpus import DEFAULT_FOLDERS, DEFAULT_PACKAGES, pages
from tests.support.server import free_port
from tests.support.waiting import eventually

CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
  types {{ text/html html htm; }} default_type text/plain; charset utf-8;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port}; root {folder}/pages; }}
}}
"""


NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
"""Debian puts it where only root looks."""

LARGEST = 1 << 20
"""Bytes of a page. The service takes no more by default, and all are to read the same pages."""


def missing() -> list[str]:
    """The Debian packages that have to be installed first."""
    packages = dict(zip(DEFAULT_FOLDERS, DEFAULT_PACKAGES, strict=True))
    absent = [package for folder, package in packages.items() if not folder.is_dir()]
    return absent if NGINX else ["nginx-light", *absent]


class DocumentationSite:
    """Debian's documentation pages on ``url``; ``urls`` are those of the first so many."""

    def __init__(self, count: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="jobspool-bench-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        served = self._folder / "pages"
        served.mkdir()
        folders = [folder for folder in DEFAULT_FOLDERS if folder.is_dir()]
        found = [page for page in pages(folders) if page.stat().st_size <= LARGEST]
        for n, page in enumerate(found[:count]):
            shutil.copyfile(page, served / f"{n}.html")
        self._folder.chmod(0o755)
        self.urls = [f"{self.url}/{quote(f'{n}.html')}" for n in range(min(count, len(found)))]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> DocumentationSite:
        config = self._folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=self._folder, port=self.port))
        self._process = subprocess.Popen([NGINX or "nginx", "-c", str(config), "-e", "stderr"])
        eventually(self._answers, "nginx answers")
        return self

    def _answers(self) -> bool:
        try:
            with urlopen(self.urls[0], timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(10)
        shutil.rmtree(self._folder)
