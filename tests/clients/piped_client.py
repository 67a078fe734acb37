"""The adapter of clients in other languages: a program that is asked one line of JSON at a time and answers with one.

A question has `do` (a method of the client), `client` (its number) and the method's arguments; an answer has `ok` or
`error`. Bytes travel as strings of Latin-1. The program ends when there are no more questions.
"""

import itertools
import json
import select
import subprocess

from client import WAIT, Message, Refused

# The program itself waits for WAIT; what it has not answered by then it will not.
ANSWER_SECONDS = WAIT + 5


class Program:
    """A program that holds any number of clients."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        self.numbers = itertools.count(1)

    def ask(self, **question):
        print(json.dumps(question, default=lambda data: data.decode("latin-1")), file=self.process.stdin, flush=True)
        readable, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        line = self.process.stdout.readline() if readable else ""
        assert line, f"no answer to {question['do']} of client {question['client']}"
        return json.loads(line)

    def connect(self, *arguments, **options):
        return Client(self, *arguments, **options)


class Client:
    def __init__(self, program, version, server, client_id, clean=True, expiry=0, will=None):
        self.program, self.number = program, next(program.numbers)
        answer = program.ask(
            do="connect",
            client=self.number,
            version=version,
            server=server._asdict(),
            client_id=client_id,
            clean=clean,
            expiry=expiry,
            will=will and will._asdict(),
        )
        if "error" in answer:
            raise Refused(answer["error"])
        self.session_present = answer["ok"]

    def _ask(self, method, **arguments):
        answer = self.program.ask(do=method, client=self.number, **arguments)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["ok"]

    def subscribe(self, topic_filter, qos=1, identifier=None):
        return self._ask("subscribe", topic_filter=topic_filter, qos=qos, identifier=identifier)

    def publish(self, topic, *payloads, qos=1, retain=False, properties={}):
        self._ask("publish", topic=topic, payloads=payloads, qos=qos, retain=retain, properties=properties)

    def receive(self):
        message = Message(**self._ask("receive"))
        properties = dict(message.properties)
        if "correlation_data" in properties:
            properties["correlation_data"] = properties["correlation_data"].encode("latin-1")
        if "user_properties" in properties:
            properties["user_properties"] = [tuple(pair) for pair in properties["user_properties"]]
        return message._replace(payload=message.payload.encode("latin-1"), properties=properties)

    def ended(self):
        return self._ask("ended")

    def close(self):
        self._ask("close")

    def cut(self):
        self._ask("cut")
