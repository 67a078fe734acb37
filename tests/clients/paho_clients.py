"""paho-mqtt, MQTT 3.1.1 and 5.0, over TCP and WebSocket: messages, sessions, wills, takeover, and the twin's native topics."""

import json
import os
import queue
import socket
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

ADDRESSES = {"tcp": os.environ["TWINMQ_MQTT"], "websockets": os.environ["TWINMQ_WS"]}
WAIT = 10.0


class Client:
    """One paho client with what it hears in queues, so that a story waits for events and never sleeps."""

    transport = "tcp"

    def __init__(self, version, client_id, clean=True, expiry=None, will=None):
        self.version = version
        old = {"clean_session": clean} if version == mqtt.MQTTv311 else {}
        self.paho = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=version, transport=self.transport, **old)
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.paho.on_message = lambda _c, _u, message: self.messages.put(message)
        self.paho.on_connect = lambda _c, _u, flags, reason, _p: self.events.put(("connect", flags, reason))
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: self.events.put(("disconnect", None, reason))
        self.paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self.events.put(("subscribe", None, reasons))
        if will:
            self.paho.will_set(*will)
        arguments = {}
        if version == mqtt.MQTTv5:
            arguments["clean_start"] = clean
            if expiry is not None:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = expiry
                arguments["properties"] = properties
        host, port = ADDRESSES[self.transport].rsplit(":", 1)
        self.paho.connect(host, int(port), keepalive=30, **arguments)
        self.paho.loop_start()
        _, flags, reason = self.event("connect")
        assert not reason.is_failure, f"{client_id} was refused: {reason}"
        self.session_present = flags.session_present

    def event(self, kind):
        event = self.events.get(timeout=WAIT)
        assert event[0] == kind, f"expected {kind}, got {event}"
        return event

    def subscribe(self, *filters, qos=1):
        self.paho.subscribe([(name, qos) for name in filters])
        reasons = self.event("subscribe")[2]
        assert [reason.value for reason in reasons] == [qos] * len(filters), reasons
        return self

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        sent = self.paho.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(WAIT)
        assert sent.is_published(), f"no acknowledgement for {topic}"

    def receive(self):
        return self.messages.get(timeout=WAIT)

    def close(self):
        self.paho.disconnect()
        self.event("disconnect")
        self.paho.loop_stop()

    def vanish(self):
        """Loses the connection without a DISCONNECT, as a cut cable does."""
        self.paho.loop_stop()
        with socket.socket(fileno=os.dup(self.paho.socket().fileno())) as cable:
            cable.shutdown(socket.SHUT_RDWR)


def heard(message):
    return message.topic, message.payload.decode(), message.qos, message.retain


def every_qos_arrives(version, tag):
    """[MQTT311-7.0.0-2] A client of others needs nothing but the specification."""
    client = Client(version, f"{tag}-qos").subscribe(f"{tag}/qos/+", qos=2)
    for qos in (0, 1, 2):
        client.publish(f"{tag}/qos/{qos}", f"at {qos}", qos)
        assert heard(client.receive()) == (f"{tag}/qos/{qos}", f"at {qos}", qos, False)
    client.publish(f"{tag}/qos/0", bytes(200_000), 1)
    assert client.receive().payload == bytes(200_000)
    client.close()


def order_is_kept(version, tag):
    client = Client(version, f"{tag}-order").subscribe(f"{tag}/order", qos=2)
    for qos in (0, 1, 2):
        for number in range(100):
            client.paho.publish(f"{tag}/order", str(number), qos)
        assert [int(client.receive().payload) for _ in range(100)] == list(range(100)), f"order at QoS {qos}"
    client.close()


def retained_message_waits_for_subscribers(version, tag):
    client = Client(version, f"{tag}-retain")
    client.publish(f"{tag}/retained/a", "kept", retain=True)
    late = Client(version, f"{tag}-late").subscribe(f"{tag}/retained/#")
    assert heard(late.receive()) == (f"{tag}/retained/a", "kept", 1, True)
    client.publish(f"{tag}/retained/a", "", retain=True)
    assert late.receive().payload == b""
    later = Client(version, f"{tag}-later").subscribe(f"{tag}/retained/#")
    client.publish(f"{tag}/retained/b", "mark")
    assert heard(later.receive()) == (f"{tag}/retained/b", "mark", 1, False), "the cleared message came back"
    for each in (client, late, later):
        each.close()


def session_keeps_what_came_meanwhile(version, tag):
    keep = {"clean": False, "expiry": 60 if version == mqtt.MQTTv5 else None}
    sleeper = Client(version, f"{tag}-sleeper", **keep).subscribe(f"{tag}/mail", qos=2)
    assert not sleeper.session_present
    sleeper.close()
    sender = Client(version, f"{tag}-sender")
    for qos in (1, 2):
        sender.publish(f"{tag}/mail", f"letter {qos}", qos)
    sleeper = Client(version, f"{tag}-sleeper", **keep)
    assert sleeper.session_present
    assert [sleeper.receive().payload for _ in (1, 2)] == [b"letter 1", b"letter 2"]
    sleeper.close()
    fresh = Client(version, f"{tag}-sleeper")
    assert not fresh.session_present
    fresh.close()
    sender.close()


def will_is_published_when_the_cable_is_cut(version, tag):
    watcher = Client(version, f"{tag}-watcher").subscribe(f"{tag}/will/+")
    polite = Client(version, f"{tag}-polite", will=(f"{tag}/will/polite", "gone", 1, False))
    polite.close()
    lost = Client(version, f"{tag}-lost", will=(f"{tag}/will/lost", "gone", 1, False))
    lost.vanish()
    assert heard(watcher.receive()) == (f"{tag}/will/lost", "gone", 1, False)
    watcher.close()


def second_connection_takes_over(version, tag):
    first = Client(version, f"{tag}-twice")
    first.paho.reconnect_delay_set(60, 60)
    second = Client(version, f"{tag}-twice")
    reason = first.event("disconnect")[2]
    if version == mqtt.MQTTv5:
        assert reason.value == 0x8E, f"expected session taken over, got {reason}"
    first.paho.loop_stop()
    second.subscribe(f"{tag}/alive").publish(f"{tag}/alive", "yes")
    assert second.receive().payload == b"yes"
    second.close()


def properties_travel(version, tag):
    """[MQTT5-3.3.2-4] [MQTT5-3.3.2-15] [MQTT5-3.3.2-16] [MQTT5-3.3.2-18] [MQTT5-3.3.2-20]"""
    if version != mqtt.MQTTv5:
        return
    client = Client(version, f"{tag}-properties").subscribe(f"{tag}/properties")
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = [("site", "north"), ("site", "south")]
    properties.ContentType = "text/plain"
    properties.ResponseTopic = f"{tag}/answers"
    properties.CorrelationData = b"\x00\x01"
    properties.PayloadFormatIndicator = 1
    client.publish(f"{tag}/properties", "with", properties=properties)
    got = client.receive().properties
    assert got.UserProperty == [("site", "north"), ("site", "south")]
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("text/plain", f"{tag}/answers", b"\x00\x01")
    assert got.PayloadFormatIndicator == 1
    client.close()


def twin_converges_on_native_topics(version, tag):
    device = f"{tag}-lamp"
    topic = f"$twin/{device}"
    lamp = Client(version, device).subscribe(f"{topic}/update/+", f"{topic}/get/+")
    lamp.publish(f"{topic}/get", json.dumps({"clientToken": "g1"}))
    message = lamp.receive()
    rejected = json.loads(message.payload)
    assert message.topic == f"{topic}/get/rejected", message.topic
    assert (rejected["code"], rejected["clientToken"]) == (404, "g1"), rejected

    lamp.publish(f"{topic}/update", json.dumps({"state": {"desired": {"power": "on"}}, "clientToken": "u1"}))
    delta, documents, accepted = (lamp.receive() for _ in range(3))
    verbs = [message.topic.removeprefix(f"{topic}/update/") for message in (delta, documents, accepted)]
    assert verbs == ["delta", "documents", "accepted"], verbs
    delta, documents, accepted = (json.loads(message.payload) for message in (delta, documents, accepted))
    assert delta["state"] == {"power": "on"}
    assert accepted["clientToken"] == "u1"
    assert delta["version"] == accepted["version"] == documents["current"]["version"]

    lamp.publish(f"{topic}/update", json.dumps({"state": {"reported": {"power": "on"}}, "version": accepted["version"]}))
    documents, accepted = lamp.receive(), lamp.receive()
    assert documents.topic.endswith("/documents"), f"a converged twin has no delta, got {documents.topic}"
    assert accepted.topic.endswith("/accepted")

    lamp.publish(f"{topic}/update", json.dumps({"state": {"reported": {"power": "off"}}, "version": 1}))
    message = lamp.receive()
    conflict = json.loads(message.payload)
    assert message.topic == f"{topic}/update/rejected", message.topic
    assert (conflict["code"], conflict["message"]) == (409, "Version conflict"), conflict
    lamp.close()


STORIES = [
    every_qos_arrives,
    order_is_kept,
    retained_message_waits_for_subscribers,
    session_keeps_what_came_meanwhile,
    will_is_published_when_the_cable_is_cut,
    second_connection_takes_over,
    properties_travel,
    twin_converges_on_native_topics,
]


def main():
    wanted = sys.argv[1:]
    for Client.transport in ADDRESSES:
        for version, name in ((mqtt.MQTTv311, "paho3"), (mqtt.MQTTv5, "paho5")):
            tag = f"{name}-{Client.transport}"
            for story in STORIES:
                if not wanted or story.__name__ in wanted:
                    story(version, tag)
                    print(f"ok {tag} {story.__name__}", flush=True)


if __name__ == "__main__":
    main()
