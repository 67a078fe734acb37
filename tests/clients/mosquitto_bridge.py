"""A real mosquitto bridges everything both ways: each message arrives once on each side, and none comes back."""

import os
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

OURS = os.environ["TWINMQ_MQTT"]
WAIT = 15.0
MESSAGES = 50
MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
CONFIG = """
listener {port} 127.0.0.1
allow_anonymous true
connection twinmq
address {ours}
bridge_protocol_version {version}
try_private {private}
cleansession true
restart_timeout 1
topic # both 1
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Bridge:
    """A mosquitto with a bridge to the broker under test. Use it in `with`: it is ended by its own process id."""

    def __init__(self, version, private="true"):
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        self.folder = tempfile.TemporaryDirectory(prefix="twinmq-bridge-")
        self.config = Path(self.folder.name) / "mosquitto.conf"
        self.config.write_text(CONFIG.format(port=port, ours=OURS, version=version, private=private))

    def __enter__(self):
        with (Path(self.folder.name) / "log").open("wb") as log:
            self.process = subprocess.Popen([MOSQUITTO, "-c", self.config], stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT
        host, port = self.address.split(":")
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=WAIT).close()
                return self
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    log = (Path(self.folder.name) / "log").read_text(errors="replace")
                    raise RuntimeError(f"mosquitto does not listen: {log}") from None

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


class Client:
    """A client on one side, with what it hears in a queue."""

    def __init__(self, address, name, topic):
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv311)
        self.messages, ready = queue.Queue(), queue.Queue()
        self.paho.on_message = lambda _c, _u, message: self.messages.put((message.payload.decode(), message.retain))
        self.paho.on_connect = lambda client, *_: client.subscribe(topic, 1)
        self.paho.on_subscribe = lambda *_: ready.put(True)
        host, port = address.rsplit(":", 1)
        self.paho.connect(host, int(port))
        self.paho.loop_start()
        ready.get(timeout=WAIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.paho.disconnect()
        self.paho.loop_stop()

    def publish(self, topic, payload, retain=False):
        sent = self.paho.publish(topic, payload, 1, retain)
        sent.wait_for_publish(WAIT)
        assert sent.is_published(), f"no acknowledgement for {topic}"

    def receive_to(self, last):
        """All that comes up to this payload."""
        heard = []
        while not heard or heard[-1][0] != last:
            heard.append(self.messages.get(timeout=WAIT))
        return heard


def wait_for_bridge(here, there, topic):
    """Publishes until something comes over, each way; what came late of it is heard before what follows."""
    for sender, receiver, way in ((here, there, "over"), (there, here, "back")):
        deadline = time.monotonic() + WAIT
        for number in range(1_000_000):
            assert time.monotonic() < deadline, f"nothing comes {way} the bridge"
            payload = f"{way} {number}"
            sender.publish(topic, payload)
            try:
                while receiver.messages.get(timeout=0.2)[0] != payload:
                    pass
                break
            except queue.Empty:
                pass
    for sender, receiver in ((here, there), (there, here)):
        sender.publish(topic, "the bridge is up")
        receiver.receive_to("the bridge is up")
        sender.receive_to("the bridge is up")


def round_trip(here, there, topic, what):
    """Something that goes over and whose answer comes back: whatever circles has come round before. What was heard."""
    here.publish(topic, f"{what} ping")
    over = there.receive_to(f"{what} ping")
    there.publish(topic, f"{what} pong")
    return here.receive_to(f"{what} pong"), over + there.receive_to(f"{what} pong")


def messages_arrive_once(version):
    topic = f"bridge/{version}"
    with Bridge(version) as bridge, Client(OURS, "here", topic) as here, Client(bridge.address, "there", topic) as there:
        wait_for_bridge(here, there, topic)
        for number in range(MESSAGES):
            here.publish(topic, f"here {number}")
            there.publish(topic, f"there {number}")
        heard = [Counter(), Counter()]
        for turn in range(3):
            for side, new in enumerate(round_trip(here, there, topic, turn)):
                heard[side].update(payload for payload, _ in new)
        wanted = [f"{side} {number}" for side in ("here", "there") for number in range(MESSAGES)]
        wanted += [f"{turn} {ball}" for turn in range(3) for ball in ("ping", "pong")]
        for side in heard:
            assert side == Counter(wanted), f"not once each: {side - Counter(wanted)}, {Counter(wanted) - side}"
    print(f"ok bridge {version} each message once", flush=True)


def retained_messages_are_retained_beyond(version):
    topic = f"bridge/{version}/retained"
    with Bridge(version) as bridge, Client(OURS, "here", topic + "/#") as here:
        with Client(bridge.address, "there", topic + "/#") as there:
            wait_for_bridge(here, there, topic + "/up")
            for sender, receiver, name in ((here, there, "here"), (there, here, "there")):
                sender.publish(f"{topic}/{name}", name, retain=True)
                round_trip(sender, receiver, topic + "/up", name)
                address = bridge.address if receiver is there else OURS
                with Client(address, "late", f"{topic}/{name}") as late:
                    assert late.messages.get(timeout=WAIT) == (name, True)
                sender.publish(f"{topic}/{name}", "", retain=True)
                round_trip(sender, receiver, topic + "/up", f"{name} gone")
                with Client(address, "later", f"{topic}/{name}") as later:
                    receiver.publish(f"{topic}/{name}", "nothing before")
                    assert later.messages.get(timeout=WAIT) == ("nothing before", False)
    print(f"ok bridge {version} retained", flush=True)


def a_bridge_that_hides_brings_messages_back():
    """What the stories above would see if nobody knew the bridge for one."""
    topic = "bridge/hidden"
    with Bridge("mqttv311", private="false") as bridge, Client(OURS, "here", topic) as here:
        with Client(bridge.address, "there", topic) as there:
            wait_for_bridge(here, there, topic)
            there.publish(topic, "twice")
            there.receive_to("twice")
            there.receive_to("twice")
    print("ok bridge without its bit hears its own", flush=True)


def main():
    for version in ("mqttv311", "mqttv50"):
        messages_arrive_once(version)
        retained_messages_are_retained_beyond(version)
    a_bridge_that_hides_brings_messages_back()


if __name__ == "__main__":
    sys.exit(main())
