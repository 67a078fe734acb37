"""The AWS IoT Device SDK v2 for Python, unmodified, over mutual TLS: classic and named shadows, both of its clients."""

import http.client
import json
import os
import queue
import ssl
import sys
from concurrent.futures import Future

from awscrt import mqtt, mqtt_request_response
from awscrt.mqtt_request_response import SubscriptionStatusEventType
from awsiot import ServiceStreamOptions, V2ServiceException, iotshadow
from awsiot import mqtt5_client_builder, mqtt_connection_builder

HOST, PORT = "localhost", int(os.environ["TWINMQ_MQTTS_MUTUAL"].rsplit(":", 1)[1])
CERTS, THING, APP = (os.environ[f"TWINMQ_{name}"] for name in ("CERTS", "DEVICE", "APP"))
WAIT = 15.0
NAMED = "settings"


def files():
    return {
        "endpoint": HOST,
        "port": PORT,
        "ca_filepath": f"{CERTS}/ca.pem",
        "cert_filepath": f"{CERTS}/{THING}.pem",
        "pri_key_filepath": f"{CERTS}/{THING}.key",
        "client_id": THING,
    }


class FirstClient:
    """The SDK's first shadow client, on MQTT 3.1.1: topics one by one, answers matched by the client token."""

    def __init__(self, name):
        self.connection = mqtt_connection_builder.mtls_from_path(**files(), clean_session=True, keep_alive_secs=30)
        self.connection.connect().result(WAIT)
        self.shadow = iotshadow.IotShadowClient(self.connection)
        self.name, self.events, self.tokens = name, queue.Queue(), 0
        for verb in ("get", "update", "delete"):
            for verdict in ("accepted", "rejected"):
                self._subscribe(f"subscribe_to_{verb}_{self._kind()}shadow_{verdict}", f"{verb.capitalize()}{{}}Shadow", verdict)
        self._subscribe(f"subscribe_to_{self._kind()}shadow_delta_updated_events", "{}ShadowDeltaUpdated", "delta")
        self._subscribe(f"subscribe_to_{self._kind()}shadow_updated_events", "{}ShadowUpdated", "documents")

    def _kind(self):
        return "named_" if self.name else ""

    def _request(self, pattern, **fields):
        named = {"shadow_name": self.name} if self.name else {}
        cls = getattr(iotshadow, pattern.format("Named" if self.name else ""))
        return cls(thing_name=THING, **named, **fields)

    def _subscribe(self, method, pattern, event):
        request = self._request(f"{pattern}SubscriptionRequest")
        future, _ = getattr(self.shadow, method)(request, mqtt.QoS.AT_LEAST_ONCE, lambda body: self.events.put((event, body)))
        future.result(WAIT)

    def _ask(self, verb, **fields):
        """Sends a request; returns all events up to its answer, by kind."""
        self.tokens += 1
        token = f"first-{self.tokens}"
        request = self._request(f"{verb.capitalize()}{{}}ShadowRequest", client_token=token, **fields)
        getattr(self.shadow, f"publish_{verb}_{self._kind()}shadow")(request, mqtt.QoS.AT_LEAST_ONCE).result(WAIT)
        seen = []
        while not seen or seen[-1][0] not in ("accepted", "rejected"):
            seen.append(self.events.get(timeout=WAIT))
        assert seen[-1][1].client_token == token, "the answer carries another token"
        return seen

    def get(self):
        return self._ask("get")[-1]

    def delete(self):
        return self._ask("delete")[-1]

    def update(self, version=None, **sections):
        return self._ask("update", state=iotshadow.ShadowState(**sections), version=version)

    def close(self):
        self.connection.disconnect().result(WAIT)


class SecondClient:
    """The SDK's second shadow client, on MQTT 5: request and response in one call, events as streams."""

    def __init__(self, name):
        connected, self.stopped = Future(), Future()
        self.client = mqtt5_client_builder.mtls_from_path(
            **files(),
            on_lifecycle_connection_success=lambda data: connected.done() or connected.set_result(data),
            on_lifecycle_connection_failure=lambda data: connected.done() or connected.set_exception(data.exception),
            on_lifecycle_stopped=self.stopped.set_result,
        )
        self.client.start()
        connected.result(WAIT)
        options = mqtt_request_response.ClientOptions(
            max_request_response_subscriptions=4, max_streaming_subscriptions=4, operation_timeout_in_seconds=int(WAIT)
        )
        self.shadow = iotshadow.IotShadowClientV2(self.client, options)
        self.name, self.events = name, queue.Queue()
        named = {"shadow_name": name} if name else {}
        kind, prefix = ("named_", "Named") if name else ("", "")
        self.request = lambda cls, **fields: getattr(iotshadow, cls.format(prefix))(thing_name=THING, **named, **fields)
        self.call = lambda verb: getattr(self.shadow, f"{verb}_{kind}shadow")
        self.streams = [
            self._stream(f"create_{kind}shadow_delta_updated_stream", "{}ShadowDeltaUpdatedSubscriptionRequest", "delta"),
            self._stream(f"create_{kind}shadow_updated_stream", "{}ShadowUpdatedSubscriptionRequest", "documents"),
        ]

    def _stream(self, method, cls, event):
        established = Future()

        def status(change):
            if change.type == SubscriptionStatusEventType.SUBSCRIPTION_ESTABLISHED:
                established.set_result(None)
            elif not established.done():
                established.set_exception(change.error or RuntimeError("halted"))

        options = ServiceStreamOptions(lambda body: self.events.put((event, body)), status)
        stream = getattr(self.shadow, method)(self.request(cls), options)
        stream.open()
        established.result(WAIT)
        return stream

    def _ask(self, verb, **fields):
        request = self.request(f"{verb.capitalize()}{{}}ShadowRequest", **fields)
        try:
            return "accepted", self.call(verb)(request).result(WAIT)
        except V2ServiceException as refused:
            assert refused.modeled_error, f"{verb} failed without an answer: {refused.inner_error}"
            return "rejected", refused.modeled_error

    def get(self):
        return self._ask("get")

    def delete(self):
        return self._ask("delete")

    def update(self, version=None, **sections):
        """The events of one update, in the order delta, documents, answer; streams and answers come by different ways."""
        answer = self._ask("update", state=iotshadow.ShadowState(**sections), version=version)
        seen = [] if answer[0] == "rejected" else [self.events.get(timeout=WAIT)]
        if seen and seen[0][0] == "delta":
            seen.append(self.events.get(timeout=WAIT))
        return [*seen, answer]

    def close(self):
        self.client.stop()
        self.stopped.result(WAIT)


def kinds(events):
    return [kind for kind, _ in events]


def whole_life_of_a_shadow(client):
    client.delete()
    verdict, error = client.get()
    assert (verdict, error.code) == ("rejected", 404), (verdict, error)
    assert error.message.startswith("No shadow exists with name"), error.message

    events = client.update(desired={"rpm": 1200, "mode": "auto"}, reported={"rpm": 900, "mode": "auto"})
    assert kinds(events) == ["delta", "documents", "accepted"], kinds(events)
    delta, documents, accepted = (body for _, body in events)
    assert delta.state == {"rpm": 1200}, delta.state
    assert delta.version == documents.current.version == accepted.version
    assert accepted.metadata.desired["rpm"]["timestamp"] == delta.metadata["rpm"]["timestamp"]
    assert documents.current.state.reported == {"rpm": 900, "mode": "auto"}
    version = accepted.version

    verdict, document = client.get()
    assert verdict == "accepted" and document.version == version
    assert document.state.delta == {"rpm": 1200}, document.state.delta
    assert document.state.desired == {"rpm": 1200, "mode": "auto"}

    events = client.update(reported={"rpm": 1200})
    assert kinds(events) == ["documents", "accepted"], f"a converged shadow has no delta: {kinds(events)}"
    documents, accepted = (body for _, body in events)
    assert accepted.version == version + 1
    assert documents.previous.state.reported == {"rpm": 900, "mode": "auto"}
    assert documents.previous.version == version and documents.current.version == version + 1

    events = client.update(version=version, desired={"rpm": 1})
    assert kinds(events) == ["rejected"], kinds(events)
    assert (events[0][1].code, events[0][1].message) == (409, "Version conflict"), events[0][1]

    events = client.update(version=version + 1, desired={"rpm": None, "lights": {"front": True}})
    assert events[0][1].state == {"lights": {"front": True}}, events[0][1].state
    verdict, document = client.get()
    assert document.state.desired == {"mode": "auto", "lights": {"front": True}}, document.state.desired

    verdict, deleted = client.delete()
    assert (verdict, deleted.version) == ("accepted", version + 2), deleted
    verdict, error = client.get()
    assert (verdict, error.code) == ("rejected", 404)
    verdict, error = client.delete()
    assert (verdict, error.code) == ("rejected", 404)

    events = client.update(reported={"rpm": 0})
    assert events[-1][1].version > version + 2, "a shadow that was deleted goes on counting"


def other_things_are_out_of_reach():
    """The certificate names the device; the shadows of others stay closed to it."""
    connection = mqtt_connection_builder.mtls_from_path(**files(), clean_session=True, keep_alive_secs=30)
    connection.connect().result(WAIT)
    topic = f"$aws/things/not-{THING}/shadow/get/accepted"
    future, _ = connection.subscribe(topic, mqtt.QoS.AT_LEAST_ONCE, lambda **_: None)
    try:
        granted = future.result(WAIT)["qos"]
    except mqtt.SubscribeError:
        granted = None
    assert granted is None, f"{topic} was granted with {granted}"
    connection.disconnect().result(WAIT)


def call(who, method, path, body=None):
    """One request to the data plane with the certificate of `who`; returns the response and its document."""
    context = ssl.create_default_context(cafile=f"{CERTS}/ca.pem")
    context.load_cert_chain(f"{CERTS}/{who}.pem", f"{CERTS}/{who}.key")
    port = int(os.environ["TWINMQ_HTTPS"].rsplit(":", 1)[1])
    connection = http.client.HTTPSConnection(HOST, port, context=context, timeout=WAIT)
    connection.request(method, path, json.dumps(body) if body else None)
    response = connection.getresponse()
    document = json.loads(response.read())
    connection.close()
    return response, document


def shadow_over_https():
    """The data plane's calls: an app sets and deletes, the device reads and reports, others are kept out."""
    shadow = f"/things/{THING}/shadow?name=https"

    response, document = call(APP, "POST", shadow, {"state": {"desired": {"on": True}}})
    assert response.status == 200, (response.status, document)
    assert document["state"] == {"desired": {"on": True}}, document
    response, document = call(THING, "GET", shadow)
    assert response.status == 200, (response.status, document)
    assert document["state"]["delta"] == {"on": True}, document
    response, document = call(THING, "POST", shadow, {"state": {"reported": {"on": True}}})
    assert response.status == 200, (response.status, document)
    response, document = call(APP, "GET", shadow)
    assert "delta" not in document["state"], document

    response, listed = call(APP, "GET", f"/api/things/shadow/ListNamedShadowsForThing/{THING}")
    assert response.status == 200 and "https" in listed["results"], listed
    response, error = call(APP, "POST", shadow, {"state": {"desired": {"on": False}}, "version": 1})
    assert (response.status, response.headers["x-amzn-errortype"]) == (409, "ConflictException"), error
    response, error = call(THING, "GET", f"/things/not-{THING}/shadow")
    assert response.status == 403, (response.status, error)

    response, document = call(APP, "DELETE", shadow)
    assert response.status == 200, (response.status, document)
    response, error = call(APP, "GET", shadow)
    assert (response.status, response.headers["x-amzn-errortype"]) == (404, "ResourceNotFoundException"), error


def main():
    wanted = sys.argv[1:]
    for make in (FirstClient, SecondClient):
        for name in (None, NAMED):
            title = f"{make.__name__} {'named' if name else 'classic'}"
            if wanted and title.split()[0] not in wanted:
                continue
            client = make(name)
            whole_life_of_a_shadow(client)
            client.close()
            print(f"ok aws {title}", flush=True)
    for story in (other_things_are_out_of_reach, shadow_over_https):
        if not wanted or story.__name__ in wanted:
            story()
            print(f"ok aws {story.__name__}", flush=True)


if __name__ == "__main__":
    main()
