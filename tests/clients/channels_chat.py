"""A chat of Django Channels, whose processes reach each other by the PyPI `channels-redis`: usage `channels_chat.py HOST PORT`;
exit status 0 is success.

Two layers of one prefix stand for two processes of a site. The core layer keeps what is sent in sorted sets, on which its readers
wait, and groups too; its scripts name keys in their arguments. The layer of PubSub only publishes.
"""

import asyncio
import json
import sys

import django
import redis.asyncio
from asgiref.testing import ApplicationCommunicator
from django.conf import settings

# Who chats in each process.
PEOPLE = 8
LINES = 10
JOBS = 60
# As many messages of a channel that nobody reads are kept.
CAPACITY = 200
# What waits for something that comes waits so long, in seconds.
PATIENCE = 60
# What must not come is awaited so long.
SILENCE = 0.2


def check(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def configure(url):
    layers = {}
    for process in ("one", "two"):
        layers[f"core {process}"] = {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [url], "prefix": "chat", "capacity": CAPACITY},
        }
        layers[f"pubsub {process}"] = {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [url], "prefix": "pub"},
        }
    settings.configure(SECRET_KEY="secret", INSTALLED_APPS=["channels"], CHANNEL_LAYERS=layers, USE_TZ=True)
    django.setup()


def chat_of(layer):
    """The application of the process that has this layer: who is in a room has all lines that are said there."""
    from channels.generic.websocket import AsyncJsonWebsocketConsumer

    class Chat(AsyncJsonWebsocketConsumer):
        channel_layer_alias = layer

        async def connect(self):
            await self.accept()

        async def receive_json(self, content):
            kind, room = content["kind"], content["room"]
            if kind == "enter":
                await self.channel_layer.group_add(room, self.channel_name)
            elif kind == "leave":
                await self.channel_layer.group_discard(room, self.channel_name)
            else:
                event = {"type": "chat.line", "room": room, "text": content["text"]}
                return await self.channel_layer.group_send(room, event)
            await self.send_json({"done": kind})

        async def chat_line(self, event):
            await self.send_json({"room": event["room"], "text": event["text"]})

    return Chat.as_asgi()


class Browser:
    """One who chats, over a socket of a process."""

    def __init__(self, application):
        scope = {"type": "websocket", "path": "/", "query_string": b"", "headers": [], "subprotocols": []}
        self.socket = ApplicationCommunicator(application, scope)

    async def connect(self):
        await self.socket.send_input({"type": "websocket.connect"})
        check((await self.socket.receive_output(PATIENCE))["type"], "websocket.accept", "a connection")

    async def tell(self, kind, room, **more):
        text = json.dumps({"kind": kind, "room": room, **more})
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def do(self, kind, room):
        await self.tell(kind, room)
        check(await self.hear(), {"done": kind}, kind)

    async def hear(self):
        return json.loads((await self.socket.receive_output(PATIENCE))["text"])

    async def hears_nothing(self):
        return await self.socket.receive_nothing(SILENCE)

    async def close(self):
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.socket.wait(PATIENCE)


async def until(awaited, expected, what):
    """Waits until what is asked is as expected."""
    for _ in range(PATIENCE * 100):
        if (actual := await awaited()) == expected:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what}: expected {expected!r}, got {actual!r} in the end")


async def blocked_clients(connection):
    return (await connection.info("clients"))["blocked_clients"]


async def chat(kind, connection):
    """All of both processes are in one room, and half of them in another."""
    processes = [[Browser(chat_of(f"{kind} {name}")) for _ in range(PEOPLE)] for name in ("one", "two")]
    everybody = [browser for process in processes for browser in process]
    few = [browser for process in processes for browser in process[: PEOPLE // 2]]
    await asyncio.gather(*(browser.connect() for browser in everybody))
    await asyncio.gather(*(browser.do("enter", "hall") for browser in everybody))
    await asyncio.gather(*(browser.do("enter", "attic") for browser in few))
    if kind == "pubsub":
        # Who subscribes does not wait for the answer.
        channels = [b"pub__group__hall", b"pub__group__attic"]
        await until(lambda: connection.pubsub_numsub(*channels), [(channel, 2) for channel in channels], "subscribers")

    async def say(browser, room, texts, listeners):
        for text in texts:
            await browser.tell("say", room, text=text)
        for listener in listeners:
            lines = [await listener.hear() for _ in texts]
            check(lines, [{"room": room, "text": text} for text in texts], f"lines in the {room}")

    for number, browser in enumerate((everybody[0], everybody[-1], everybody[1])):
        await say(browser, "hall", [f"{number}: line {line} ü" for line in range(LINES)], everybody)
    await say(everybody[-1], "attic", [f"line {line}" for line in range(LINES)], few)

    # All at once: each hears every line, the lines of one in their order.
    texts = [[f"{number}.{line}" for line in range(3)] for number in range(len(everybody))]
    for line in range(3):
        for number, browser in enumerate(everybody):
            await browser.tell("say", "hall", text=texts[number][line])
    for browser in everybody:
        heard = [(await browser.hear())["text"] for _ in range(3 * len(everybody))]
        if sorted(heard) != sorted(sum(texts, [])):
            raise AssertionError(f"lines of all: {heard}")
        for own in texts:
            check([text for text in heard if text in own], own, "lines of one")

    await asyncio.gather(*(browser.do("leave", "hall") for browser in few))
    rest = [browser for browser in everybody if browser not in few]
    await say(few[0], "hall", ["to those who are left"], rest)
    check([await browser.hears_nothing() for browser in (few[0], few[-1])], [True, True], "who left hears nothing")
    await asyncio.gather(*(browser.close() for browser in everybody))


async def jobs(connection):
    """Messages to a channel that both processes read: what one has at hand, another may give back to the channel, so that each is read
    once at least."""
    from channels.exceptions import ChannelFull
    from channels.layers import channel_layers

    one, two = channel_layers["core one"], channel_layers["core two"]
    done = []

    async def work(layer):
        while (message := await layer.receive("jobs"))["number"] is not None:
            done.append(message["number"])

    workers = [asyncio.create_task(work(layer)) for layer in (one, two, two)]
    for number in range(JOBS):
        await (one, two)[number % 2].send("jobs", {"type": "job", "number": number})
    for _ in workers:
        await one.send("jobs", {"type": "job", "number": None})
    await asyncio.wait_for(asyncio.gather(*workers), PATIENCE)
    check(sorted(set(done)), list(range(JOBS)), "jobs that are done")

    # What is there is read in the order in which it was sent.
    for number in range(JOBS):
        await one.send("row", {"type": "job", "number": number})
    check([(await two.receive("row"))["number"] for _ in range(JOBS)], list(range(JOBS)), "messages in a row")

    # A reader that is called off takes nothing with it.
    reader = asyncio.create_task(two.receive("later"))
    await asyncio.sleep(SILENCE)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await until(lambda: blocked_clients(connection), 0, "a reader that was called off")
    await one.send("later", {"type": "job", "number": 1})
    check((await asyncio.wait_for(one.receive("later"), PATIENCE))["number"], 1, "a message behind a reader that was called off")

    for number in range(CAPACITY):
        await one.send("unread", {"type": "job", "number": number})
    try:
        await one.send("unread", {"type": "job", "number": CAPACITY})
        raise AssertionError("a channel has no bound")
    except ChannelFull:
        pass
    check(0 < await connection.ttl("chatunread") <= 60, True, "what nobody reads goes in the end")
    check(await connection.zcard("chatunread"), CAPACITY, "messages that nobody reads")

    own = await one.new_channel()
    await two.send(own, {"type": "job", "data": {"bytes": b"\x00\xff", "list": [1, None, "ü"]}})
    check((await one.receive(own))["data"], {"bytes": b"\x00\xff", "list": [1, None, "ü"]}, "a message to one process")

    await connection.set("kept", 1)
    await one.flush()
    check(await connection.keys("chat*"), [], "what flush leaves")
    check(await connection.get("kept"), b"1", "what flush does not touch")
    await two.close_pools()


async def main():
    url = f"redis://{sys.argv[1]}:{sys.argv[2]}/0"
    configure(url)
    from channels.layers import channel_layers

    connection = redis.asyncio.Redis.from_url(url, protocol=2)
    await connection.flushall()
    for kind in ("core", "pubsub"):
        await chat(kind, connection)
    await jobs(connection)
    for process in ("one", "two"):
        await channel_layers[f"pubsub {process}"].flush()
        await channel_layers[f"core {process}"].close_pools()
    await connection.aclose()
    print("channels: all right")


if __name__ == "__main__":
    asyncio.run(main())
