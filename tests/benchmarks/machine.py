"""What the figures were measured on."""

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


PACKAGES = ("kafka-python", "fastavro", "httpx", "faststream", "aiokafka", "quixstreams", "confluent-kafka")


def facts(seed: int) -> dict[str, str]:
    """Date, machine and versions, for the reader of a table."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB",
        "Python": platform.python_version(),
        "Apache Kafka": _kafka(),
        **{name: _version(name) for name in PACKAGES},
        "seed": str(seed),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _kafka() -> str:
    pom = Path(__file__).parents[2] / "deploy" / "kafka" / "pom.xml"
    found = re.search(r"<kafka\.version>(.*)</kafka\.version>", pom.read_text())
    return found[1] if found else "unknown"
