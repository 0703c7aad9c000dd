from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.web.asgi import Client

from lastack.app.options import TrackOptions
from lastack.app.overview import Keep, survey_inputs
from lastack.web.server import make_app

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "samples/closes.pcapng"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "closes"
    survey_inputs([str(SAMPLE)], keep=Keep(folder), options=TrackOptions(threads=1))
    return folder


@pytest.fixture(scope="session")
def client(dataset: Path) -> Client:
    return Client(make_app([str(dataset)]))
