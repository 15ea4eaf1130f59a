"""A cluster of two real workers finds what this process finds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gridrl.experiments import SweepStopped, sweep
from tests.experiments.laboratory import SETTINGS, deadly, noise, number, slow

distributed: Any = pytest.importorskip("distributed")


@pytest.fixture
def client() -> Iterator[Any]:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it tells of workers that die
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_two_workers_find_the_same(client: Any) -> None:
    assert len(client.scheduler_info()["workers"]) == 2
    executor = client.get_executor(pure=False)
    found = sweep(noise, SETTINGS, seeds=5, executor=executor)
    np.testing.assert_equal(
        found.to_records(), sweep(noise, SETTINGS, seeds=5, executor="serial").to_records()
    )
    half = 0.5  # a function that no worker can import
    local = sweep(lambda seed: half * seed, [{}], seeds=3, executor=executor)
    assert [run.fields for run in local.runs] == [{"value": v} for v in (0.0, 0.5, 1.0)]
    ill = sweep(deadly, {"a": {"bad": (1,)}}, seeds=3, executor=executor)
    assert [run.seed for run in ill.failed] == [1]
    assert "KilledWorker" in (ill.failed[0].error or "")
    assert ill.runs[2].fields == {"value": number(2)}


def test_a_cluster_that_goes_away_is_an_error(client: Any, tmp_path: Any) -> None:
    executor, out = client.get_executor(pure=False), tmp_path / "runs.jsonl"

    def close_after_five() -> None:
        while not out.exists() or out.read_bytes().count(b"\n") < 5:
            time.sleep(0.01)
        client.cluster.close()

    closing = threading.Thread(target=close_after_five)
    closing.start()
    with pytest.raises(SweepStopped, match=r"ClientExecutor object at .* died: ") as stopped:
        sweep(slow, {"a": {"folder": str(tmp_path)}}, seeds=200, executor=executor, out=out)
    closing.join()
    assert 5 <= len(stopped.value.results.runs) < 200
    assert out.read_bytes().count(b"\n") == len(stopped.value.results.runs)
