"""A loop of asyncio on a thread of its own: a story waits for one step at a time, and the clients go on meanwhile."""

import asyncio
import threading

from client import WAIT

_LOOP = asyncio.new_event_loop()
threading.Thread(target=_LOOP.run_forever, daemon=True).start()


def wait_for(coroutine):
    """What the coroutine returns; TimeoutError when it takes too long."""
    return asyncio.run_coroutine_threadsafe(asyncio.wait_for(coroutine, WAIT), _LOOP).result()
