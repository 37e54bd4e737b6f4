import { Ajv } from "ajv";

/** What a way of asking needs of whoever asks. */
export interface AgentClient {
  readonly random: (below: number) => number;
  readonly seen: (what: string) => void;
  readonly wrong: (what: string) => void;
  readonly post: (path: string, body: object, init?: RequestInit) => Promise<Response>;
}

const CITY = {
  type: "object",
  properties: { city: { enum: ["Rome", "Oslo", "Bonn"] }, days: { enum: [1, 2, 3] } },
  required: ["city", "days"],
  additionalProperties: false,
} as const;
const TOOL = { name: "get_weather", description: "Tells the weather", parameters: CITY };
const isCity = new Ajv({ strict: false }).compile(CITY);

/** Statuses of a server that has no room or no time. */
const BUSY = new Set([408, 429, 503]);

/** Vectors by what they are of, as they were when they were first seen. */
const vectors = new Map<string, string>();

// deno-lint-ignore no-explicit-any
type Json = any;

/** A request that agents send, and what its answer must be like. */
interface Way {
  readonly what: string;
  readonly path: string;
  readonly status: number;
  readonly body: (random: AgentClient["random"]) => Record<string, unknown>;
  /** What is wrong with an answer that came whole; undefined where nothing is. */
  readonly wrong?: (answer: Json, body: Record<string, unknown>) => string | undefined;
}

const user = (content: unknown) => [{ role: "user", content }];

const WAYS: readonly Way[] = [
  {
    what: "a call that must be",
    path: "/v1/chat/completions",
    status: 200,
    body: (random) => ({
      messages: user("How is the weather?"),
      tools: [{ type: "function", function: TOOL }],
      tool_choice: random(2) === 0 ? "required" : { type: "function", function: TOOL },
      parallel_tool_calls: false,
      max_tokens: 80,
    }),
    wrong({ choices: [{ message, finish_reason: reason }] }) {
      if (reason === "length") return undefined;
      const calls: Json[] = message.tool_calls ?? [];
      const valid = calls.every(({ function: { arguments: given } }) => isCity(JSON.parse(given)));
      return reason === "tool_calls" && calls.length === 1 && valid
        ? undefined
        : JSON.stringify(message);
    },
  },
  {
    what: "a call that may be",
    path: "/v1/chat/completions",
    status: 200,
    body: () => ({
      messages: user("How is the weather?"),
      tools: [{ type: "function", function: TOOL }],
      max_tokens: 30,
    }),
  },
  {
    what: "an answer by a schema",
    path: "/v1/chat/completions",
    status: 200,
    body: (random) => ({
      messages: user("Where to?"),
      response_format: { type: "json_schema", json_schema: { name: "city", schema: CITY } },
      temperature: random(2),
      max_tokens: 60,
    }),
    wrong({ choices: [{ message, finish_reason: reason }] }) {
      if (reason === "length") return undefined;
      return isCity(JSON.parse(message.content)) ? undefined : message.content;
    },
  },
  {
    what: "a response",
    path: "/v1/responses",
    status: 200,
    body: () => ({ input: "A dog", max_output_tokens: 20 }),
    wrong: ({ status }) => /^(in)?complete/.test(status) ? undefined : status,
  },
  {
    what: "a message",
    path: "/v1/messages",
    status: 200,
    body: () => ({ messages: user("A dog"), system: "Be brief", max_tokens: 20 }),
    wrong: ({ stop_reason: reason }) => /end_turn|max_tokens/.test(reason) ? undefined : reason,
  },
  {
    what: "a picture",
    path: "/v1/chat/completions",
    status: 400,
    body: () => ({
      messages: user([{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }]),
    }),
  },
  {
    what: "a picture in a message",
    path: "/v1/messages",
    status: 400,
    body: () => ({
      messages: user([{ type: "image", source: { type: "url", url: "https://localhost/a.png" } }]),
      max_tokens: 5,
    }),
  },
  {
    what: "vectors",
    path: "/v1/embeddings",
    status: 200,
    body: (random) => ({ input: ["A dog", "the cat sat on", "Once upon a time"][random(3)] }),
    wrong({ data: [{ embedding }] }, { input }) {
      const length = Math.hypot(...embedding);
      if (Math.abs(length - 1) > 1e-5) return `a length of ${length}`;
      const told = embedding.join();
      const before = vectors.get(String(input));
      vectors.set(String(input), told);
      return before === undefined || before === told ? undefined : `another one than before`;
    },
  },
  {
    what: "a count",
    path: "/v1/messages/count_tokens",
    status: 200,
    body: () => ({ messages: user("A dog ran home") }),
    wrong: ({ input_tokens: tokens }) => tokens > 2 ? undefined : `${tokens}`,
  },
];

/** Asks in one of the ways, whole or as a stream, which may be left in its midst. */
export async function askAsAgent({ random, seen, wrong, post }: AgentClient): Promise<void> {
  const way = WAYS[random(WAYS.length)]!;
  const streams = way.status === 200 && !/embeddings|count/.test(way.path) && random(2) === 0;
  const leaves = streams && random(3) === 0;
  const body = { ...way.body(random), ...streams && { stream: true } };
  const controller = new AbortController();
  const response = await post(way.path, body, { signal: controller.signal });
  seen(`${way.what}: ${response.status}`);
  if (leaves && response.ok) {
    const reader = response.body!.getReader();
    for (let pieces = random(6); pieces >= 0 && !(await reader.read()).done; pieces--);
    controller.abort();
    return seen(`${way.what}: left`);
  }
  const text = await response.text();
  if (BUSY.has(response.status)) return;
  const told = (why: string) => wrong(`${way.what}: ${why.slice(0, 200)}`);
  if (response.status !== way.status) return told(`status ${response.status}: ${text}`);
  if (streams) return checkEnd(way, { text, told, seen });
  const answer = JSON.parse(text);
  if (!response.ok) {
    if (!/^Cannot /.test(answer.error?.message)) told(`an error is ${text}`);
    return;
  }
  const why = way.wrong?.(answer, body);
  if (why !== undefined) told(why);
}

/** How streams of each API end; one may be told instead that it takes too long, or that the server stops. */
function checkEnd(
  { what, path }: Way,
  { text, told, seen }: {
    readonly text: string;
    readonly told: (why: string) => void;
    readonly seen: (what: string) => void;
  },
): void {
  const ends: Readonly<Record<string, RegExp>> = {
    "/v1/messages": /event: message_stop\ndata: .*\n\n$/,
    "/v1/responses": /event: response\.(completed|incomplete)\ndata: .*\n\n$/,
  };
  if (/"code":"(timeout|unavailable)"/.test(text)) return seen(`${what}: cut off`);
  if (!(ends[path] ?? /data: \[DONE\]\n\n$/).test(text)) told(`a stream ends ${text.slice(-80)}`);
}
