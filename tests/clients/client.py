"""What the stories ask of a client, whatever library it is made of.

An adapter has `connect(version, server, client_id, clean=True, expiry=0, will=None)`, which returns once CONNACK came and
raises `Refused` when none comes or it says no. A connected client has

* `session_present`, or None where the library does not tell;
* `subscribe(topic_filter, qos=1, identifier=None)`, which returns the granted QoS or the code that refuses it;
* `publish(topic, *payloads, qos=1, retain=False, properties={})`, which sends one message after the other without
  waiting in between, and returns when all are acknowledged;
* `receive()`, the next message; `ended()`, the reason code once the broker has ended the connection, None if it gave none;
* `close()`, which says DISCONNECT, and `cut()`, which does not, as a cut cable.

Each waits for at most `WAIT` seconds. Properties are a dict with the names of the specification: `user_properties` (a list
of pairs), `content_type`, `response_topic`, `correlation_data`, `payload_format_indicator`, `subscription_identifiers`.
"""

import os
import socket
import ssl
from typing import NamedTuple

WAIT = 10.0
V311, V5 = 4, 5


class Server(NamedTuple):
    """Where to connect, and how: the files are PEM, and without an authority there is no TLS."""

    websocket: bool
    host: str
    port: int
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None


class Will(NamedTuple):
    topic: str
    payload: str
    qos: int = 1


class Message(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict


class Refused(Exception):
    """The broker, or the client at the sight of the broker's certificate, ended it before the client was connected."""


def tls_context(server):
    """For the libraries that stand on Python's ssl; None without TLS."""
    if server.authority is None:
        return None
    context = ssl.create_default_context(cafile=server.authority)
    if server.certificate:
        context.load_cert_chain(server.certificate, server.key)
    return context


def cut_cable(fileno):
    """Ends a connection below the library, so that it can say neither DISCONNECT nor anything of TLS or WebSocket."""
    with socket.socket(fileno=os.dup(fileno)) as cable:
        cable.shutdown(socket.SHUT_RDWR)
