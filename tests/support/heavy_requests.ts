/** A request that takes a server long to read or to answer. */
export interface HeavyRequest {
  readonly what: string;
  readonly path: string;
  readonly body: string;
  /** Its status where all options of the server have their defaults. */
  readonly status: number;
}

/** Requests that stalled a server once, and kinds like them; `tokens` is how many a prompt may have. */
export function heavyRequests(tokens: number): HeavyRequest[] {
  const many = (count: number, entry: string) => new Array(count).fill(entry).join(",");
  const chat = (message: string) => `{"messages":[{"role":"user","content":${message}}]}`;
  const ids = `[${many(tokens, "5")}]`;
  return [
    {
      what: "1.5 million prompts of a letter",
      path: "/v1/completions",
      body: `{"prompt":[${many(1_500_000, '"a"')}]}`,
      status: 400,
    },
    {
      what: "a text of 7.9 MB to tokenize",
      path: "/tokenize",
      body: JSON.stringify({ prompt: "the cat sat ".repeat(658_000) }),
      status: 400,
    },
    {
      what: "2 MB of accents to tokenize",
      path: "/tokenize",
      body: JSON.stringify({ prompt: "e\u0301".repeat(500_000) }),
      status: 200,
    },
    {
      what: "500,000 unknown fields",
      path: "/v1/completions",
      body: `{"prompt":"a",${Array.from({ length: 500_000 }, (_, at) => `"x${at}":1`).join(",")}}`,
      status: 400,
    },
    {
      what: "2.6 million nested lists",
      path: "/v1/completions",
      body: `{"prompt":[${many(2_600_000, "[]")}]}`,
      status: 400,
    },
    {
      what: "lists 4 million deep",
      path: "/v1/completions",
      body: `{"prompt":"a","max_tokens":1,"x":${"[".repeat(4e6)}${"]".repeat(4e6)}}`,
      status: 200,
    },
    {
      what: "4 million tokens to put together",
      path: "/detokenize",
      body: `{"tokens":[${many(4_000_000, "5")}]}`,
      status: 400,
    },
    {
      what: "a million tokens to put together",
      path: "/detokenize",
      body: `{"tokens":[${many(1_000_000, "5")}]}`,
      status: 200,
    },
    {
      what: "200,000 parts of a message",
      path: "/v1/chat/completions",
      body: chat(`[${many(200_000, '{"type":"image"}')}]`),
      status: 400,
    },
    {
      what: "a message of 7.9 MB",
      path: "/v1/chat/completions",
      body: chat(JSON.stringify("the cat sat ".repeat(658_000))),
      status: 400,
    },
    {
      what: "128 answers with 1,000 biases each",
      path: "/v1/completions",
      body: `{"prompt":"a","n":128,"max_tokens":1,"logit_bias":{${
        Array.from({ length: 1000 }, (_, at) => `"${at}":${at % 7}`).join(",")
      }}}`,
      status: 200,
    },
    {
      what: "64 prompts with echo and 20 log-probabilities a token",
      path: "/v1/completions",
      body: `{"prompt":[${many(64, ids)}],"max_tokens":1,"echo":true,"logprobs":20}`,
      status: 200,
    },
    {
      what: "the same as a stream",
      path: "/v1/completions",
      body: `{"prompt":[${many(64, ids)}],"max_tokens":1,"echo":true,"logprobs":20,"stream":true}`,
      status: 200,
    },
  ];
}
