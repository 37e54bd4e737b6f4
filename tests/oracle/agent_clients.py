"""Drives a server with the clients that agents are made with, and checks what these make of its answers.

Usage: agent_clients.py URL [--fake]. `agent_requests.ts` runs it and writes down what it sends. With `--fake` the
server is that of tests/support/scripted_model.ts, which calls functions when it may; without it only what any model
has to do is checked: calls that are required, and answers of a form.
Needs `pip install openai anthropic langchain-openai`.
"""

import json
import sys
from typing import Literal

import anthropic
import openai
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

url = sys.argv[1].rstrip("/")
fake = "--fake" in sys.argv
ANSWER = "Cats sleep for most of the day."
SUNNY = "It is sunny in Paris."
QUESTION = "How is the weather in Paris?"


class Person(BaseModel):
    """Who somebody is."""

    name: Literal["Anna", "Otto"]
    age: Literal[7, 8]


class GetWeather(BaseModel):
    """Tells the weather of a city."""

    city: str = Field(max_length=20)


WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "a town", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}


def say(name: str, version: str) -> None:
    print(name, version, "ok")


# anthropic: text, stream, tools, answers of a form.
client = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
name = client.models.list().data[0].id if hasattr(client.models.list(), "data") else None
model = openai.OpenAI(base_url=f"{url}/v1", api_key="none").models.list().data[0].id
assert name == model, (name, model)
asked = dict(model=model, max_tokens=200, messages=[{"role": "user", "content": "Tell me of cats"}])
message = client.messages.create(system="Be brief", extra_body={"temperature": 0}, **asked)
assert message.type == "message" and message.content[0].type == "text" and message.usage.output_tokens > 0, message
assert not fake or message.content[0].text == ANSWER, message
count = client.messages.count_tokens(model=model, messages=asked["messages"], system="Be brief")
assert count.input_tokens == message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0), (count, message)
with client.messages.stream(system=[{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}], extra_body={"temperature": 0}, **asked) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
assert text == final.content[0].text == message.content[0].text, (text, final, message)
assert final.stop_reason == message.stop_reason and final.usage.output_tokens == message.usage.output_tokens, final
tools = [{"name": "get_weather", "description": "Tells the weather of a city", "input_schema": WEATHER}]
asked = dict(model=model, max_tokens=400, tools=tools, messages=[{"role": "user", "content": QUESTION}])
for choice in [{"type": "any"}, {"type": "tool", "name": "get_weather"}] + [{"type": "auto"}] * fake:
    called = client.messages.create(tool_choice=choice, **asked)
    with client.messages.stream(tool_choice=choice, **asked) as stream:
        streamed = stream.get_final_message()
    for found in [called, streamed]:
        if found.stop_reason == "max_tokens" and not fake:
            continue
        assert found.stop_reason == "tool_use", found
        assert [(type(b.input["city"]), b.name) for b in found.content if b.type == "tool_use"][0] == (str, "get_weather"), found
if fake:
    use = called.content[-1]
    told = client.messages.create(
        **{
            **asked,
            "messages": [
                *asked["messages"],
                {"role": "assistant", "content": called.content},
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "sunny"}]}],
                },
            ],
        }
    )
    assert told.content[0].text == SUNNY and told.stop_reason == "end_turn", told

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """Tells the weather of a city.

        Args:
            city: a town
        """
        return f"sunny in {city}"

    for streams in [False, True]:
        runner = client.beta.messages.tool_runner(
            model=model, max_tokens=400, tools=[get_weather], messages=asked["messages"], stream=streams
        )
        if streams:
            last = [part.get_final_message() for part in runner][-1]
        else:
            last = runner.until_done()
        assert last.content[0].text == SUNNY, last
parsed = client.messages.parse(
    model=model, max_tokens=400, messages=[{"role": "user", "content": "Who is Anna, 7 years old?"}], output_format=Person
)
assert parsed.stop_reason == "max_tokens" or isinstance(parsed.parsed_output, Person), parsed
try:
    client.messages.create(
        model=model,
        max_tokens=5,
        messages=[{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}]}],
    )
except anthropic.BadRequestError as error:
    assert error.body["type"] == "error" and error.body["error"]["type"] == "invalid_request_error", error.body
else:
    raise AssertionError("an image was taken")
say("anthropic", anthropic.__version__)

# openai: its helpers for tools and forms, streams of both, responses.
client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
messages = [{"role": "user", "content": QUESTION}]
function = openai.pydantic_function_tool(GetWeather, name="get_weather")
for choice in ["required", {"type": "function", "function": {"name": "get_weather"}}] + ["auto"] * fake:
    asked = dict(model=model, messages=messages, tools=[function], tool_choice=choice, max_tokens=400)
    found = [client.chat.completions.create(**asked).choices[0]]
    if found[0].finish_reason == "length" and not fake:
        continue
    found.append(client.chat.completions.parse(**asked).choices[0])
    with client.chat.completions.stream(**asked) as stream:
        kinds = {event.type for event in stream}
        found.append(stream.get_final_completion().choices[0])
    assert "tool_calls.function.arguments.done" in kinds, kinds
    for each in found:
        assert each.finish_reason == "tool_calls", each
        assert json.loads(each.message.tool_calls[0].function.arguments)["city"], each
    assert isinstance(found[1].message.tool_calls[0].function.parsed_arguments, GetWeather), found[1]
if fake:
    # The loop that agents are: call, do, tell, until there is an answer.
    said, rounds = list(messages), 0
    while True:
        choice = client.chat.completions.create(model=model, messages=said, tools=[function], parallel_tool_calls=False).choices[0]
        if choice.finish_reason != "tool_calls":
            break
        said.append(choice.message)
        for call in choice.message.tool_calls:
            said.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps({"weather": "sunny"})})
        rounds += 1
    assert (rounds, choice.message.content) == (1, SUNNY), (rounds, choice)
who = [{"role": "user", "content": "Who is Anna, 7 years old?"}]
person = client.chat.completions.parse(model=model, messages=who, response_format=Person, max_completion_tokens=400)
assert isinstance(person.choices[0].message.parsed, Person), person
with client.chat.completions.stream(model=model, messages=who, response_format=Person, max_tokens=400) as stream:
    assert isinstance(stream.get_final_completion().choices[0].message.parsed, Person)
answer = client.responses.create(model=model, input="Tell me of cats", instructions="Be brief", max_output_tokens=40)
assert not fake or answer.output_text == ANSWER, answer
assert isinstance(client.responses.parse(model=model, input=who, text_format=Person).output_parsed, Person)
flat = {"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}
with client.responses.stream(model=model, input=QUESTION, tools=[flat], tool_choice="required", parallel_tool_calls=False) as stream:
    kinds = {event.type for event in stream}
    made = stream.get_final_response()
call = next(item for item in made.output if item.type == "function_call")
assert call.name == "get_weather" and json.loads(call.arguments)["city"], made
assert "response.function_call_arguments.done" in kinds, kinds
if fake:
    more = [*messages, *made.output, {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    assert client.responses.create(model=model, input=more, tools=[flat]).output_text == SUNNY
say("openai", openai.__version__)

# LangChain: invoke, stream, tools, answers of a form, embeddings.
chat = ChatOpenAI(base_url=f"{url}/v1", api_key="none", model=model, max_tokens=400, temperature=0, max_retries=0)
said = [SystemMessage("Be brief"), HumanMessage("Tell me of cats")]
whole = chat.invoke(said)
assert isinstance(whole, AIMessage) and whole.usage_metadata["output_tokens"] > 0, whole
assert not fake or whole.content == ANSWER, whole
streamed = None
for piece in chat.stream(said, stream_usage=True):
    streamed = piece if streamed is None else streamed + piece
assert streamed.content == whole.content and streamed.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"], streamed


@tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"sunny in {city}"


for choice in ["any", "get_weather"] + [None] * fake:
    bound = chat.bind_tools([get_weather], **({"tool_choice": choice} if choice else {}))
    made = bound.invoke([HumanMessage(QUESTION)])
    if made.response_metadata["finish_reason"] == "length" and not fake:
        continue
    assert made.tool_calls[0]["name"] == "get_weather" and made.tool_calls[0]["args"]["city"], made
    pieces = None
    for piece in bound.stream([HumanMessage(QUESTION)]):
        pieces = piece if pieces is None else pieces + piece
    assert pieces.tool_calls[0]["name"] == "get_weather" and pieces.tool_calls[0]["args"]["city"], pieces
if fake:
    results = [get_weather.invoke(call) for call in made.tool_calls]
    assert all(isinstance(result, ToolMessage) for result in results)
    assert bound.invoke([HumanMessage(QUESTION), made, *results]).content == SUNNY
for method in ["json_schema", "function_calling", "json_mode"]:
    if method == "json_mode" and not fake:
        continue
    form = chat.with_structured_output(Person, method=method)
    assert isinstance(form.invoke("Who is Anna, 7 years old? Answer in JSON"), Person), method
vectors = OpenAIEmbeddings(base_url=f"{url}/v1", api_key="none", model=model, check_embedding_ctx_length=False)
assert len(vectors.embed_documents(["a cat", "a dog"])) == 2
assert len(vectors.embed_query("a cat")) > 1
import langchain_openai

say("langchain-openai", getattr(langchain_openai, "__version__", "1.7.4"))
