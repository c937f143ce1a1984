"""Makes docs/images/status-page.png: a real connector over the simulator, seen in a real browser.

``python -m tools.screenshot [SECONDS]``: how long it runs before the picture; the plots show as much.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from connector.simulator import Behaviour, Changes, Late, Simulator, running
from tests.support.browser import browser
from tests.support.process import ACCOUNT, TOKEN, command, daemon, environment, until
from tests.support.receivers import http_receiver, line_receiver

PICTURE = Path(__file__).parent.parent / "docs" / "images" / "status-page.png"
_CONFIG = """\
accounts:
  prod: {{account_id: {account}, api_token: "${{env:TOKEN}}", base_url: "{url}"}}
searches:
  detections: {{every: 5s, start: 2h}}
  clean_mail: {{every: 15s, start: 2h, filters: {{detections_only: false, final_disposition: NONE}}}}
outputs:
  siem: {{type: syslog, address: "tcp://127.0.0.1:{port}", mapping: cef, from: beginning}}
  lake: {{type: http, url: "{lake}", body: ndjson, mapping: ecs, from: beginning}}
  soar: {{type: http, url: "http://127.0.0.1:9/hook", body: single, mapping: ecs, when: {{$severity: {{gte: 8}}}}}}
state: {{directory: state}}
server: {{listen: "127.0.0.1:0"}}
"""
_EVERY = 10.0
"""Seconds after which the rate of new mail changes."""


def main(seconds: float) -> None:
    """Run, wait, take the picture."""
    simulator = Simulator(
        seed=7,
        backlog=4000,
        rate=4.0,
        late=Late(share=0.02),
        changes=Changes(share=0.05),
        behaviour=Behaviour(quota=None),
    )
    with (
        tempfile.TemporaryDirectory() as directory,
        running(simulator) as url,
        line_receiver() as siem,
        http_receiver() as lake,
    ):
        work = Path(directory)
        text = _CONFIG.format(account=ACCOUNT, url=url, port=siem.port, lake=lake.url)
        (work / "connector.yaml").write_text(text)
        environ = environment(TOKEN=TOKEN)
        with daemon(work, environ) as connector:
            until(lambda: connector.status()["outputs"][1]["sent"] > 0, "events")
            _live(simulator, seconds)
            command("backfill", "detections", "--from", "30d", "--detach", "--yes", environ=environ, cwd=work)
            with browser(work, width=1280, height=1320) as window:
                window.open(connector.url + "/")
                window.until("return document.querySelectorAll('#outputs tr').length === 3")
                PICTURE.parent.mkdir(parents=True, exist_ok=True)
                window.screenshot(PICTURE)
            connector.terminate()


def _live(simulator: Simulator, seconds: float) -> None:
    """Let mail come in waves for so long."""
    chance, end = random.Random(7), time.monotonic() + seconds  # noqa: S311, a picture keeps no secret
    rate = 4.0
    while (left := end - time.monotonic()) > 0:
        rate = min(max(rate * chance.uniform(0.6, 1.6), 0.5), 20.0)
        simulator.world.rate = rate
        time.sleep(min(_EVERY, left))


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else timedelta(minutes=10).total_seconds())
