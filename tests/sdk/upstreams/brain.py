"""What every scripted upstream answers, whatever its dialect: decided by a word in brackets in the last text of the user."""

import base64
import json
import re
from dataclasses import dataclass, field


class Refused(Exception):
    """The provider would refuse this request."""

    def __init__(self, message, status=400, field=None, retry_after=None):
        super().__init__(message)
        self.status = status
        self.field = field
        self.retry_after = retry_after


@dataclass
class Call:
    """A call of a tool."""

    id: str
    name: str
    arguments: dict


@dataclass
class Ask:
    """What a request came to, once its dialect was checked."""

    model: str
    stream: bool
    user: str = ""
    system: list = field(default_factory=list)
    images: list = field(default_factory=list)  # (media type or "url", length of the data or the URL)
    tools: dict = field(default_factory=dict)  # name: schema
    forced: str | None = None  # the only tool it may call
    made: dict = field(default_factory=dict)  # calls of the history by id
    results: list = field(default_factory=list)  # (id, text) of the last turn
    thinking: bool = False
    schema: dict | None = None
    stop: list = field(default_factory=list)
    limit: int | None = None
    signatures: list = field(default_factory=list)  # of thoughts in the history
    is_generate: bool = False  # Ollama's /api/generate


@dataclass
class Reply:
    """What to answer."""

    text: str = ""
    thinking: str = ""
    calls: list = field(default_factory=list)
    finish: str = "stop"  # stop, stop_sequence, length, tools
    stop_sequence: str | None = None
    pause: float = 0.0  # seconds between two pieces
    input_tokens: int = 25
    cached_tokens: int = 5
    output_tokens: int = 12
    thinking_tokens: int = 0

    def pieces(self):
        """The text in pieces that cut words and characters of more than one byte apart from their neighbours."""
        return [self.text[at : at + 7] for at in range(0, len(self.text), 7)]


def reply_to(ask):
    """Decides what to answer."""
    if ask.results:
        return Reply(text="; ".join(f"{ask.made[id].arguments['city']}: {text}" for id, text in ask.results))
    found = re.search(r"\[(\w+)\]", ask.user)
    case = CASES.get(found.group(1)) if found else None
    return case(ask) if case else Reply(text=f"Hello from {ask.model}, naïve 世界.")


def wants_weather(ask):
    schema = ask.tools.get("weather")
    if schema is None:
        raise Refused(f"the tool weather is missing, there are {sorted(ask.tools)}")
    if list(schema["properties"]) != ["city", "days"] or schema.get("required") != ["city"]:
        raise Refused(f"the schema of weather has changed: {json.dumps(schema)}")


def one_tool(ask):
    wants_weather(ask)
    return Reply(text="I will look.", calls=[Call("call_1", "weather", {"city": "Rome", "days": 3})], finish="tools")


def two_tools(ask):
    wants_weather(ask)
    cities = [Call("call_1", "weather", {"city": "Rome"}), Call("call_2", "weather", {"city": "Oslo", "days": 1})]
    return Reply(calls=cities, finish="tools")


def forced_tool(ask):
    wants_weather(ask)
    if ask.forced != "weather":
        raise Refused(f"the tool weather was to be forced, not {ask.forced!r}")
    return Reply(calls=[Call("call_1", "weather", {"city": "Rome"})], finish="tools")


def thoughts(ask):
    if not ask.thinking:
        raise Refused("thinking was not asked for")
    return Reply(thinking="Let me see.", text="42", thinking_tokens=4)


def structured(ask):
    answer = {"name": "Ada", "age": 36}
    if ask.schema is not None:
        if list(ask.schema["properties"]) != ["name", "age"]:
            raise Refused(f"the schema has changed: {json.dumps(ask.schema)}")
        return Reply(text=json.dumps(answer))
    if ask.forced in ask.tools:
        return Reply(calls=[Call("call_1", ask.forced, answer)], finish="tools")
    raise Refused("no form of the answer was asked for")


def system(ask):
    return Reply(text=" | ".join(ask.system))


def image(ask):
    return Reply(text=", ".join(f"{kind} {length}" for kind, length in ask.images) or "no image")


def overloaded(ask):
    raise Refused("slow down, please", status=429, retry_after=1)


def wrong(ask):
    raise Refused("this upstream does not like the request", status=400, field="messages")


def endless(ask):
    return Reply(text="and on " * 3000, pause=0.02)


def stopped(ask):
    if "END" not in ask.stop:
        raise Refused(f"the stop sequence END is missing, there are {ask.stop}")
    return Reply(text="until", finish="stop_sequence", stop_sequence="END")


def limited(ask):
    if ask.limit != 5:
        raise Refused(f"the limit was to be 5 tokens, not {ask.limit}")
    return Reply(text="cut o", finish="length", output_tokens=5)


CASES = {
    "tool": one_tool,
    "parallel": two_tools,
    "forced": forced_tool,
    "thinking": thoughts,
    "structured": structured,
    "system": system,
    "image": image,
    "overloaded": overloaded,
    "wrong": wrong,
    "endless": endless,
    "stop": stopped,
    "limit": limited,
}


def check_fields(value, allowed, where):
    """Refuses members that the provider does not know."""
    if not isinstance(value, dict):
        raise Refused(f"{where}: must be an object, not {type(value).__name__}", field=where)
    for name in value:
        if name not in allowed:
            raise Refused(f"{where}.{name}: unknown field", field=f"{where}.{name}")


def need(condition, message, field=None):
    """Refuses with the message unless the condition holds."""
    if not condition:
        raise Refused(message, field=field)


def base64_length(data, where):
    """The length of what the base64 text holds, in either alphabet; refused if it is none."""
    try:
        return len(base64.b64decode(data.replace("-", "+").replace("_", "/"), validate=True))
    except ValueError:
        raise Refused(f"{where}: not base64", field=where) from None
