import { type ServedFake, serveFake } from "./server_stub.ts";

/** Lays conversations out as models of Hermes' family have them. */
const TEMPLATE = "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}" +
  "{% for m in messages %}<|{{ m.role }}|>{{ m.content or '' }}" +
  "{% for c in m.tool_calls %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}" +
  "{% endfor %}<|assistant|>";

const WEATHER = { name: "get_weather", arguments: { city: "Paris" } };
const PERSON = { name: "Anna", age: 7 };

/**
 * What a model says that does what clients hope for: it calls the function when it is asked for the
 * weather and may, tells what came of that, and says who Anna is in the form that is asked for.
 */
function answerTo(prompt: string, grammar: string | undefined): string {
  const last = prompt.slice(prompt.lastIndexOf("<|", prompt.lastIndexOf("<|assistant|>") - 1));
  if (last.startsWith("<|tool|>")) return "It is sunny in Paris.";
  if (grammar !== undefined) {
    if (grammar.includes("arguments")) {
      const call = grammar.includes("get_weather")
        ? WEATHER
        : { name: "Person", arguments: PERSON };
      return JSON.stringify([call]);
    }
    return JSON.stringify(
      grammar.includes("title") ? { title: "On cats", tags: ["cats"] } : PERSON,
    );
  }
  if (last.includes("weather") && prompt.includes("<tools>")) {
    return `<tool_call>${JSON.stringify(WEATHER)}</tool_call>`;
  }
  return "Cats sleep for most of the day.";
}

/** Serves a model that answers by a script. */
export async function serveScripted(
  options: Readonly<Record<string, unknown>> = {},
): Promise<ServedFake> {
  const served: ServedFake = await serveFake({
    template: TEMPLATE,
    options,
    script: ({ prompt, grammar }) => {
      const { tokenizer } = served;
      return tokenizer.encode(answerTo(tokenizer.decode(prompt), grammar));
    },
  });
  return served;
}
