#!/usr/bin/env python3
"""The stories that every client of others goes through, over every transport it speaks, with MQTT 3.1.1 and 5.0.

Usage: stories.py CLIENT [STORY...]
"""

import importlib
import itertools
import json
import os
import sys
import time
from pathlib import Path
from typing import Callable, NamedTuple

import piped_client
from client import V5, V311, Refused, Server, Will

HERE = Path(__file__).resolve().parent
CERTS, DEVICE = Path(os.environ["TWINMQ_CERTS"]), os.environ["TWINMQ_DEVICE"]
STRANGERS = Path(os.environ["TWINMQ_STRANGERS"])
VERSIONS = {V311: "3.1.1", V5: "5.0"}
EVERY_BYTE = bytes(range(256)) * 800


def server(listener, authority=CERTS / "ca.pem", certificate=None):
    """The listener of that name, seen by a client that trusts `authority` and shows the certificate of `certificate`."""
    host, port = os.environ[f"TWINMQ_{listener.upper()}"].rsplit(":", 1)
    websocket = listener.startswith("ws")
    if listener in ("mqtt", "ws"):
        return Server(websocket, host, int(port))
    files = [str(CERTS / f"{certificate}.{kind}") for kind in ("pem", "key")] if certificate else []
    return Server(websocket, "localhost", int(port), str(authority), *files)


class Setting(NamedTuple):
    """A client library, a version of MQTT and a listener; `tag` keeps the topics of one from another."""

    library: Callable
    version: int
    listener: str
    tag: str

    def client(self, name, to=None, **options):
        return self.library(self.version, to or server(self.listener), f"{self.tag}-{name}", **options)

    def refusal(self, to):
        """Why no client gets in there."""
        try:
            self.client("refused", to)
        except Refused as why:
            return str(why)
        raise AssertionError("a client was let in")


def heard(message):
    return message.topic, message.payload.decode(), message.qos, message.retain


def resumed(client):
    """Whether CONNACK told of a session; True where the library does not say what it told."""
    return client.session_present in (True, None)


def every_qos_arrives(at):
    """[MQTT311-7.0.0-2] A client of others needs nothing but the specification."""
    client = at.client("qos")
    assert client.subscribe(f"{at.tag}/qos/+", qos=2) == 2
    for qos in (0, 1, 2):
        client.publish(f"{at.tag}/qos/{qos}", f"at {qos}", qos=qos)
        assert heard(client.receive()) == (f"{at.tag}/qos/{qos}", f"at {qos}", qos, False)
        client.publish(f"{at.tag}/qos/{qos}", EVERY_BYTE, qos=qos)
        assert client.receive().payload == EVERY_BYTE, f"a large message at QoS {qos}"
    client.close()


def order_is_kept(at):
    client = at.client("order")
    client.subscribe(f"{at.tag}/order", qos=2)
    numbers = [str(number) for number in range(100)]
    for qos in (0, 1, 2):
        client.publish(f"{at.tag}/order", *numbers, qos=qos)
        assert [client.receive().payload.decode() for _ in numbers] == numbers, f"order at QoS {qos}"
    client.close()


def retained_message_waits_for_subscribers(at):
    client, late, later = (at.client(name) for name in ("retain", "late", "later"))
    client.publish(f"{at.tag}/retained/a", "kept", retain=True)
    late.subscribe(f"{at.tag}/retained/#")
    assert heard(late.receive()) == (f"{at.tag}/retained/a", "kept", 1, True)
    client.publish(f"{at.tag}/retained/a", "", retain=True)
    assert heard(late.receive()) == (f"{at.tag}/retained/a", "", 1, False)
    later.subscribe(f"{at.tag}/retained/#")
    client.publish(f"{at.tag}/retained/b", "mark")
    assert heard(later.receive()) == (f"{at.tag}/retained/b", "mark", 1, False), "the cleared message came back"
    for each in (client, late, later):
        each.close()


def session_keeps_what_came_meanwhile(at):
    sender = at.client("sender")
    for leave in ("close", "cut"):
        name, topic = f"sleeper-{leave}", f"{at.tag}/mail/{leave}"
        sleeper = at.client(name, clean=False, expiry=60)
        assert not sleeper.session_present
        sleeper.subscribe(topic, qos=2)
        getattr(sleeper, leave)()
        letters = [(topic, f"letter {number}", qos, False) for number in range(10) for qos in (1, 2)]
        for _, letter, qos, _ in letters:
            sender.publish(topic, letter, qos=qos)
        sleeper = at.client(name, clean=False, expiry=60)
        assert resumed(sleeper)
        got = [heard(sleeper.receive()) for _ in letters]
        # Many clients hand a message of QoS 2 on when it is released, and so behind those of QoS 1 that came after it.
        for level in (1, 2):
            assert [each for each in got if each[2] == level] == [each for each in letters if each[2] == level], got
        sleeper.close()
        fresh = at.client(name)
        assert not fresh.session_present
        fresh.close()
    sender.close()


def will_is_published_when_the_cable_is_cut(at):
    watcher = at.client("watcher")
    watcher.subscribe(f"{at.tag}/will/+")
    at.client("polite", will=Will(f"{at.tag}/will/polite", "gone")).close()
    at.client("lost", will=Will(f"{at.tag}/will/lost", "gone")).cut()
    assert heard(watcher.receive()) == (f"{at.tag}/will/lost", "gone", 1, False)
    watcher.close()


def second_connection_takes_over(at):
    first = at.client("twice")
    second = at.client("twice")
    reason = first.ended()
    if at.version == V5:
        assert reason == 0x8E, f"expected session taken over, got {reason}"
    second.subscribe(f"{at.tag}/alive")
    second.publish(f"{at.tag}/alive", "yes")
    assert second.receive().payload == b"yes"
    second.close()


def properties_travel(at):
    """[MQTT5-3.3.2-4] [MQTT5-3.3.2-15] [MQTT5-3.3.2-16] [MQTT5-3.3.2-18] [MQTT5-3.3.2-20]"""
    client = at.client("properties")
    client.subscribe(f"{at.tag}/properties", identifier=7)
    properties = {
        "user_properties": [("site", "north"), ("site", "south")],
        "content_type": "text/plain",
        "response_topic": f"{at.tag}/answers",
        "correlation_data": b"\x00\xff",
        "payload_format_indicator": 1,
    }
    client.publish(f"{at.tag}/properties", "with", properties=properties)
    assert client.receive().properties == {**properties, "subscription_identifiers": [7]}
    client.close()


def each_message_of_a_group_goes_to_one_member(at):
    members = [at.client(f"member-{number}") for number in (1, 2)]
    for member in members:
        assert member.subscribe(f"$share/{at.tag}/{at.tag}/work") == 1
        member.subscribe(f"{at.tag}/end")
    tasks = [f"task {number}" for number in range(20)]
    sender = at.client("sender")
    for task in tasks:
        sender.publish(f"{at.tag}/work", task)
    # The members take turns.
    done = [member.receive().payload.decode() for member in members for _ in tasks[::2]]
    assert sorted(done) == sorted(tasks), done
    sender.publish(f"{at.tag}/end", "end")
    assert [member.receive().payload for member in members] == [b"end", b"end"], "a task came twice"
    for each in (sender, *members):
        each.close()


def twin_converges_on_native_topics(at):
    device = f"{at.tag}-lamp"
    topic = f"$twin/{device}"
    lamp = at.client("lamp")
    lamp.subscribe(f"{topic}/update/+")
    lamp.subscribe(f"{topic}/get/+")

    def hear():
        message = lamp.receive()
        return message.topic.removeprefix(f"{topic}/"), json.loads(message.payload)

    lamp.publish(f"{topic}/get", json.dumps({"clientToken": "g1"}))
    verb, rejected = hear()
    assert (verb, rejected["code"], rejected["clientToken"]) == ("get/rejected", 404, "g1"), rejected

    lamp.publish(f"{topic}/update", json.dumps({"state": {"desired": {"power": "on"}}, "clientToken": "u1"}))
    verbs, (delta, documents, accepted) = zip(*(hear() for _ in range(3)))
    assert verbs == ("update/delta", "update/documents", "update/accepted"), verbs
    assert delta["state"] == {"power": "on"}
    assert accepted["clientToken"] == "u1"
    assert delta["version"] == accepted["version"] == documents["current"]["version"]

    lamp.publish(f"{topic}/update", json.dumps({"state": {"reported": {"power": "on"}}, "version": accepted["version"]}))
    verbs = [hear()[0] for _ in range(2)]
    assert verbs == ["update/documents", "update/accepted"], f"a converged twin has no delta: {verbs}"

    lamp.publish(f"{topic}/update", json.dumps({"state": {"reported": {"power": "off"}}, "version": 1}))
    verb, conflict = hear()
    assert (verb, conflict["code"], conflict["message"]) == ("update/rejected", 409, "Version conflict"), conflict
    lamp.close()


def certificate_names_the_device(at):
    """Whatever its client id is, the client is the device in its certificate, and no other."""
    client = at.client("certified", server(f"{at.listener}_mutual", certificate=DEVICE))
    assert client.subscribe(f"$twin/not-{DEVICE}/update/accepted") >= 0x80
    assert client.subscribe(f"$twin/{DEVICE}/update/accepted") == 1
    client.publish(f"$twin/{DEVICE}/update", json.dumps({"state": {"reported": {"client": at.tag}}}))
    assert json.loads(client.receive().payload)["state"] == {"reported": {"client": at.tag}}
    client.close()


def client_without_certificate_is_refused(at):
    why = at.refusal(server(f"{at.listener}_mutual"))
    assert "timed out" not in why, why


def server_of_another_authority_is_not_trusted(at):
    """The other stories over TLS would pass with a client that trusts everybody; this one does not."""
    why = at.refusal(server(at.listener, authority=STRANGERS / "ca.pem"))
    assert "certificate" in why, why


STORIES = [
    every_qos_arrives,
    order_is_kept,
    retained_message_waits_for_subscribers,
    session_keeps_what_came_meanwhile,
    will_is_published_when_the_cable_is_cut,
    second_connection_takes_over,
    each_message_of_a_group_goes_to_one_member,
    twin_converges_on_native_topics,
]
STORIES_OF_V5 = [properties_travel]
STORIES_OF_TLS = [
    certificate_names_the_device,
    client_without_certificate_is_refused,
    server_of_another_authority_is_not_trusted,
]
TLS = ("mqtts", "wss")
ALL = ("mqtt", "mqtts", "ws", "wss")


def module(name):
    """An adapter in Python, which nobody else needs the library of."""
    return importlib.import_module(name).connect


def program(*command):
    return piped_client.Program([str(part) for part in command]).connect


# How each client is made, and the listeners it can reach.
CLIENTS = {
    "paho-mqtt": (lambda: module("paho_client"), ALL),
    "aiomqtt": (lambda: module("aiomqtt_client"), ALL),
    "gmqtt": (lambda: module("gmqtt_client"), ("mqtt", "mqtts")),
    "MQTT.js": (lambda: program("node", HERE / "mqttjs" / "client.js"), ALL),
    "rumqttc": (lambda: program(os.environ["TWINMQ_RUMQTTC"]), ALL),
}
# What a library cannot show.
NOT_SHOWN = {
    # It does not notice that a connection ends before CONNACK, and waits for its time-out.
    ("aiomqtt", client_without_certificate_is_refused),
}


def stories_for(name, version, listener):
    stories = STORIES + (STORIES_OF_V5 if version == V5 else []) + (STORIES_OF_TLS if listener in TLS else [])
    return [story for story in stories if (name, story) not in NOT_SHOWN]


def main():
    name, *wanted = sys.argv[1:] or ["none"]
    known = {story.__name__ for story in STORIES + STORIES_OF_V5 + STORIES_OF_TLS}
    if name not in CLIENTS or not known.issuperset(wanted):
        sys.exit(f"there are the clients {', '.join(CLIENTS)} and the stories {', '.join(sorted(known))}")
    make, listeners = CLIENTS[name]
    library = make()
    for listener, (version, title) in itertools.product(listeners, VERSIONS.items()):
        started = time.monotonic()
        at = Setting(library, version, listener, f"{name}-{title}-{listener}")
        stories = [story for story in stories_for(name, version, listener) if not wanted or story.__name__ in wanted]
        for story in stories:
            try:
                story(at)
            except BaseException:
                print(f"FAILED {at.tag} {story.__name__}", flush=True)
                raise
        print(f"ok {at.tag}: {len(stories)} stories in {time.monotonic() - started:.1f} s", flush=True)


if __name__ == "__main__":
    main()
