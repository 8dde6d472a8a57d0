"""The alerts that come with dmc, by Prometheus' own promtool: they are rules, and speak when they should and only then."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.patience import PATIENCE_S

ROOT = Path(__file__).parent.parent
ALERTS = ROOT / "install/prometheus/alerts.yml"
STORIES = ROOT / "tests/fixtures/alerts-test.yml"

needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here; Debian's package prometheus brings it")


def promtool(*arguments: str, folder: Path) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_the_alerts_are_rules_that_prometheus_takes() -> None:
    assert "SUCCESS" in promtool("check", "rules", "--lint=all", "--lint-fatal", ALERTS.name, folder=ALERTS.parent)


@needs_promtool
def test_each_alert_speaks_when_it_should_and_only_then(tmp_path: Path) -> None:
    for file in (ALERTS, STORIES):
        shutil.copy(file, tmp_path)
    assert "SUCCESS" in promtool("test", "rules", STORIES.name, folder=tmp_path)


def test_every_alert_has_a_story_in_which_it_speaks_and_one_in_which_it_is_quiet() -> None:
    alerts = re.findall(r"- alert: (\w+)", ALERTS.read_text())
    stories = STORIES.read_text()
    for name in alerts:
        assert re.search(rf"alertname: {name}\n\s+exp_alerts", stories), f"{name} never speaks"
        assert re.search(rf"alertname: {name}\}}", stories), f"{name} is never quiet"
    assert set(re.findall(r"alertname: (\w+)", stories)) == set(alerts)
