#!/usr/bin/env python3
"""Runs every client script against one broker, and the README's walk-through against another."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import broker

HERE = Path(__file__).resolve().parent
SCRIPT_SECONDS = 120
STORIES = [sys.executable, HERE / "stories.py"]
SCRIPTS = {
    "paho-mqtt": [*STORIES, "paho-mqtt"],
    "aiomqtt": [*STORIES, "aiomqtt"],
    "gmqtt": [*STORIES, "gmqtt"],
    "MQTT.js": [*STORIES, "MQTT.js"],
    "rumqttc": [*STORIES, "rumqttc"],
    "mosquitto": [HERE / "mosquitto_clients.sh"],
    "mosquitto's bridge": [sys.executable, HERE / "mosquitto_bridge.py"],
    "AWS IoT Device SDK v2": [sys.executable, HERE / "aws_sdk.py"],
    "README": [sys.executable, HERE / "readme.py"],
}


def run(title, command, environment):
    """Runs one script; returns whether it passed."""
    started = time.monotonic()
    print(f"== {title}", flush=True)
    try:
        status = subprocess.run(command, env=environment, timeout=SCRIPT_SECONDS, stdin=subprocess.DEVNULL).returncode
    except subprocess.TimeoutExpired:
        status = f"no end within {SCRIPT_SECONDS} s"
    passed = status == 0
    print(f"== {title}: {'passed' if passed else f'FAILED ({status})'} in {time.monotonic() - started:.1f} s", flush=True)
    return passed


def main():
    wanted = sys.argv[1:] or list(SCRIPTS)
    unknown = [title for title in wanted if title not in SCRIPTS]
    if unknown:
        sys.exit(f"unknown: {', '.join(unknown)}; there are: {', '.join(SCRIPTS)}")
    with tempfile.TemporaryDirectory(prefix="twinmq-clients-") as folder:
        certs, strangers = Path(folder) / "certs", Path(folder) / "strangers"
        for authority in (certs, strangers):
            broker.make_certificates(authority)
        for name in ("broker.toml", "broker.acl"):
            shutil.copy(HERE / name, folder)
        with broker.Broker(folder, Path(folder) / "broker.toml", listeners=()) as running:
            addresses = {f"TWINMQ_{name.upper()}": address for name, address in running.ready.items()}
            names = {"TWINMQ_DEVICE": broker.DEVICE, "TWINMQ_APP": broker.APP}
            rumqttc = broker.built("rumqttc/release/rumqttc-client")
            files = {"TWINMQ_CERTS": str(certs), "TWINMQ_STRANGERS": str(strangers), "TWINMQ_RUMQTTC": str(rumqttc)}
            environment = {**os.environ, **addresses, **names, **files}
            failed = [title for title in wanted if not run(title, SCRIPTS[title], environment)]
            if failed:
                print(f"-- the end of the broker's log\n{running.tail()}", flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    print(f"all {len(wanted)} client scripts passed", flush=True)


if __name__ == "__main__":
    main()
