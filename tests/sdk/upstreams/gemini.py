"""An upstream that speaks Gemini."""

import json
import re

from .brain import Ask, Call, Refused, base64_length, check_fields, need

PATHS = re.compile(r"/v1beta/models/([^/:]+):(generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents)")
TOP = set("contents systemInstruction tools toolConfig generationConfig safetySettings cachedContent labels model".split())
PART = set("text inlineData fileData functionCall functionResponse thought thoughtSignature".split())
CONFIG = set(
    """temperature topP topK maxOutputTokens stopSequences candidateCount seed presencePenalty frequencyPenalty
    responseMimeType responseSchema responseJsonSchema responseLogprobs logprobs thinkingConfig responseModalities
    mediaResolution""".split()
)
SIGNATURE = "c2lnLWdlbWluaQ=="
SKIP = "skip_thought_signature_validator"


def camel(value, name=""):
    """The members by their camel-case names, which the API takes both ways; what is the caller's own stays as it is."""
    if isinstance(value, list):
        return [camel(item, name) for item in value]
    if not isinstance(value, dict) or name in ("args", "response", "parameters", "parametersJsonSchema", "responseJsonSchema"):
        return value
    named = {re.sub(r"_([a-z])", lambda found: found.group(1).upper(), key): inner for key, inner in value.items()}
    return {key: camel(inner, key) for key, inner in named.items()}


def understand(path, body):
    """Checks a request as Google would, and says what it asks for."""
    body = camel(body)
    model, operation = PATHS.fullmatch(path).groups()
    check_fields(body, TOP, "body")
    ask = Ask(model=model, stream=operation == "streamGenerateContent")
    system = body.get("systemInstruction") or {"parts": []}
    check_fields(system, {"role", "parts"}, "systemInstruction")
    ask.system = [part["text"] for part in system["parts"]]
    config = body.get("generationConfig") or {}
    check_fields(config, CONFIG, "generationConfig")
    ask.limit = config.get("maxOutputTokens")
    ask.stop = config.get("stopSequences") or []
    need(len(ask.stop) <= 5, "generationConfig.stopSequences: at most 5")
    thinking = config.get("thinkingConfig") or {}
    check_fields(thinking, {"thinkingBudget", "thinkingLevel", "includeThoughts"}, "generationConfig.thinkingConfig")
    ask.thinking = bool(thinking.get("includeThoughts"))
    ask.schema = config.get("responseJsonSchema") or config.get("responseSchema")
    need(not ask.schema or config.get("responseMimeType") == "application/json", "responseMimeType: must be JSON")
    for index, tool in enumerate(body.get("tools") or []):
        check_fields(tool, {"functionDeclarations"}, f"tools[{index}]")
        for function in tool["functionDeclarations"]:
            allowed = {"name", "description", "parameters", "parametersJsonSchema"}
            check_fields(function, allowed, f"tools[{index}].functionDeclarations")
            ask.tools[function["name"]] = function.get("parametersJsonSchema") or function.get("parameters")
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    check_fields(calling, {"mode", "allowedFunctionNames"}, "toolConfig.functionCallingConfig")
    if calling.get("mode") == "ANY":
        names = calling.get("allowedFunctionNames") or list(ask.tools)
        ask.forced = names[0] if len(names) == 1 else None
    read_contents(ask, body.get("contents") or [])
    return ask


def read_contents(ask, contents):
    need(contents, "contents: contents is not specified")
    need(contents[0].get("role", "user") == "user", "contents: the first must be of the user")
    open_calls, last = [], None
    for index, content in enumerate(contents):
        where = f"contents[{index}]"
        check_fields(content, {"role", "parts"}, where)
        role = content.get("role", "user")
        need(role in ("user", "model"), f"{where}.role: Please use a valid role: user, model.")
        need(content.get("parts"), f"{where}.parts: contents.parts must not be empty.")
        need(role != last, f"{where}: turns must alternate")
        last, calls, answers, text = role, [], [], ""
        for at, part in enumerate(content["parts"]):
            text += read_part(ask, part, f"{where}.parts[{at}]", calls, answers)
        if role == "user":
            need(
                len(answers) == len(open_calls),
                "Please ensure that the number of function response parts is equal to the number of function call parts "
                "of the function call turn.",
            )
            for (id, name), (answer_id, answer_name, value) in zip(open_calls, answers):
                need(name == answer_name and answer_id in (None, id), f"{where}: {answer_name} does not answer {name}")
                ask.results.append((id, value))
            if text:
                ask.user, ask.results = text, ask.results if answers else []
            open_calls = []
        else:
            ask.results, open_calls = [], calls
            signed = [part for part in content["parts"] if "functionCall" in part][:1]
            for part in signed:
                need(part.get("thoughtSignature") in (SIGNATURE, SKIP), f"{where}: Function call is missing a thought_signature")
    need(not open_calls, "the function calls are not answered")


def read_part(ask, part, where, calls, answers):
    check_fields(part, PART, where)
    need(set(part) - {"thought", "thoughtSignature"}, f"{where}: required oneof field 'data' must have one initialized field")
    if "inlineData" in part:
        check_fields(part["inlineData"], {"mimeType", "data"}, f"{where}.inlineData")
        ask.images.append((part["inlineData"]["mimeType"], base64_length(part["inlineData"]["data"], where)))
    if "fileData" in part:
        check_fields(part["fileData"], {"mimeType", "fileUri"}, f"{where}.fileData")
        ask.images.append(("url", len(part["fileData"]["fileUri"])))
    if "functionCall" in part:
        call = part["functionCall"]
        check_fields(call, {"id", "name", "args"}, f"{where}.functionCall")
        need(isinstance(call.get("args", {}), dict), f"{where}.functionCall.args: must be an object")
        id = call.get("id") or f"place-{len(ask.made)}"
        ask.made[id] = Call(id, call["name"], call.get("args", {}))
        calls.append((id, call["name"]))
    if "functionResponse" in part:
        response = part["functionResponse"]
        check_fields(response, {"id", "name", "response"}, f"{where}.functionResponse")
        need(isinstance(response["response"], dict), f"{where}.functionResponse.response: must be an object")
        value = response["response"]
        text = value.get("result", value.get("output", value.get("error", json.dumps(value))))
        answers.append((response.get("id"), response["name"], text))
    return "" if part.get("thought") else part.get("text", "")


FINISH = {"stop": "STOP", "stop_sequence": "STOP", "length": "MAX_TOKENS", "tools": "STOP"}


def usage(reply):
    return {
        "promptTokenCount": reply.input_tokens,
        "cachedContentTokenCount": reply.cached_tokens,
        "candidatesTokenCount": reply.output_tokens - reply.thinking_tokens,
        "thoughtsTokenCount": reply.thinking_tokens,
        "totalTokenCount": reply.input_tokens + reply.output_tokens,
    }


def call_parts(reply):
    parts = [{"functionCall": {"name": call.name, "args": call.arguments}} for call in reply.calls]
    if parts:
        parts[0]["thoughtSignature"] = SIGNATURE
    return parts


def candidate(parts, finish=None):
    found = {"content": {"role": "model", "parts": parts}, "index": 0}
    return {**found, "finishReason": finish} if finish else found


def answer(ask, reply):
    parts = [{"text": reply.thinking, "thought": True}] if reply.thinking else []
    parts += [{"text": reply.text}] if reply.text else []
    whole = candidate(parts + call_parts(reply), FINISH[reply.finish])
    return {"candidates": [whole], "usageMetadata": usage(reply), "modelVersion": ask.model, "responseId": "up"}


def events(ask, reply, body):
    def chunk(parts, finish=None):
        head = {"modelVersion": ask.model, "responseId": "up"}
        told = {"usageMetadata": usage(reply)} if finish else {}
        return None, json.dumps({"candidates": [candidate(parts, finish)], **told, **head})

    if reply.thinking:
        yield chunk([{"text": reply.thinking, "thought": True}])
    for piece in reply.pieces():
        yield chunk([{"text": piece}])
    for part in call_parts(reply):
        yield chunk([part])
    yield chunk([{"text": ""}], FINISH[reply.finish])


def count(body):
    return {"totalTokens": 1234}


def embeddings(path, body):
    def vector(request, place):
        request = camel(request)
        check_fields(request, {"model", "content", "taskType", "title", "outputDimensionality"}, "request")
        text = "".join(part["text"] for part in request["content"]["parts"])
        return {"values": [float(len(text)), float(place), 0.5, -1.0]}

    if path.endswith(":embedContent"):
        return {"embedding": vector(body, 0)}
    check_fields(body, {"requests"}, "body")
    return {"embeddings": [vector(request, place) for place, request in enumerate(body["requests"])]}


def error(refused):
    status = {429: "RESOURCE_EXHAUSTED", 404: "NOT_FOUND"}.get(refused.status, "INVALID_ARGUMENT")
    return {"error": {"code": refused.status, "message": str(refused), "status": status}}
