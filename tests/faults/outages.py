"""Stop or freeze the database under a class that goes on, then ask whether a second is missing or doubled.

    python tests/faults/outages.py --how stop --seconds 60 --learners 200      # the long form, by hand
    python tests/faults/outages.py --how freeze --seconds 20 --learners 60

`stop` is a database that is not there; `freeze` is one that stands still and answers nobody, beyond the leases' time.
Players keep what is not acknowledged; acks must come back by themselves, and memory must stay bounded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.faults.crashes import PROGRAM, node
from tests.support.postgres import Databases, embedded_programs, running

BEFORE_S = 20.0


def run(how: str, seconds: float, learners: int, minutes: float, seed: int) -> dict[str, Any]:
    """Act a class through an outage; returns what came of it, `exit_code` among it."""
    with running(embedded_programs()) as database:
        url = asyncio.run(Databases(database.dsn()).empty())
        with node(DATABASE_URL=url, ROLLCALL_CHECKPOINT_SECONDS="10") as server:
            report = server.directory / "report.json"
            command = [PROGRAM, "simulate", "--url", server.url, "--data-dir", str(server.directory / "data")]
            command += ["--learners", str(learners), "--minutes", str(minutes), "--speed", "1", "--seed", str(seed)]
            command += ["--tolerate-restarts", "--report", str(report)]
            with (server.directory / "simulate.log").open("wb") as log:
                class_ = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                time.sleep(BEFORE_S)
                before = psutil.Process(server.pid).memory_info().rss
                (database.stop if how == "stop" else database.freeze)()
                time.sleep(seconds)
                during = psutil.Process(server.pid).memory_info().rss
                (database.start if how == "stop" else database.thaw)()
                back = time.monotonic()
                server.until_ready()
                back = time.monotonic() - back
                code = class_.wait(minutes * 60 + 240)
            finally:
                class_.kill()
            return {
                "exit_code": code,
                "how": how,
                "outage_s": seconds,
                "ready_again_after_s": round(back, 2),
                "rss_mb_before": round(before / 2**20, 1),
                "rss_mb_at_its_end": round(during / 2**20, 1),
                "said": (server.directory / "simulate.log").read_text(),
                "log": server.log()[-4000:],
                "report": json.loads(report.read_text()) if report.exists() else {},
            }


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--how", choices=["stop", "freeze"], default="stop")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--learners", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    outcome = run(options.how, options.seconds, options.learners, options.minutes, options.seed)
    print(outcome["said"][-6000:])
    print({key: value for key, value in outcome.items() if key not in ("said", "log", "report")})
    return int(outcome["exit_code"])


if __name__ == "__main__":
    sys.exit(main())
