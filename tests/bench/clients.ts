/**
 * Times a server as clients find it, each of whom asks again once it is answered: tokens a second,
 * time to the first token and between tokens at several numbers of clients, beside llama.cpp on the
 * same cores, with the same prompts and lengths, in turns. Then what grammars, functions and
 * speculation cost, and the memory of one model and of two. Prints Markdown.
 *
 * `deno task bench clients [model] [--clients 1,4,16,64] [--prompt 128] [--output 64] [--rounds 2]
 * [--requests 16] [--threads N] [--second MODEL] [--modules DIR --gguf FILE] [--device NAME] [--json]`:
 * models are what `serve` takes (a directory, a .gguf file, a manifest), configs/qoq.yaml of the
 * embedded model unless said.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { askedKinds, REPEATING } from "./asked_kinds.ts";
import { clientLines, type Row, timeClients } from "./client_load.ts";
import {
  answerAll,
  memoryLines,
  type MemoryRow,
  type Server,
  startLlama,
  startOurs,
  watchMemory,
} from "./client_servers.ts";

/** Tokens that templates put around a message, at most, with two functions told in it. */
const TEMPLATE_TOKENS = 640;

/** Clients who ask for what costs more than plain answers. */
const FEW_CLIENTS = [1, 16];

/** What is served where nothing is said, as `serve` has it. */
const USUAL_MODEL = "configs/qoq.yaml";

/** Runs the command line behind `clients`; gives the exit status. */
export async function benchClients(args: readonly string[]): Promise<number> {
  const { values, positionals: [model = USUAL_MODEL] } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      clients: { type: "string", default: "1,4,16,64" },
      prompt: { type: "string", default: "128" },
      output: { type: "string", default: "64" },
      requests: { type: "string", default: "16" },
      rounds: { type: "string", default: "2" },
      vocabulary: { type: "string", default: "1000" },
      threads: { type: "string", default: String(navigator.hardwareConcurrency) },
      device: { type: "string" },
      second: { type: "string" },
      modules: { type: "string" },
      gguf: { type: "string" },
      gpu: { type: "string", default: "false" },
      store: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const { modules, gguf, gpu, second } = values;
  const sizes = {
    clients: values.clients.split(",").map(Number),
    prompt: Number(values.prompt),
    output: Number(values.output),
    requests: Number(values.requests),
    rounds: Number(values.rounds),
    vocabulary: Number(values.vocabulary),
  };
  const threads = Number(values.threads);
  const sequences = Math.max(...sizes.clients);
  const device = values.device === undefined
    ? ["--threads", values.threads]
    : ["--device", values.device];
  const context = Math.max(sizes.prompt, TEMPLATE_TOKENS) + sizes.output + 8;
  const limits = ["--sequences", String(sequences), "--context", String(context)];
  const store = values.store ?? await Deno.makeTempDir();
  const ours = async (name: string, words: readonly string[]): Promise<Server> => {
    note(`starting ${name}`);
    return await startOurs(name, [...words, ...device, ...limits], { store });
  };
  const memory: MemoryRow[] = [];
  const tables: Record<"rows" | "kinds" | "guesses", readonly Row[]> = {
    rows: [],
    kinds: [],
    guesses: [],
  };
  try {
    {
      await using stack = new AsyncDisposableStack();
      const plain = stack.use(await ours("quattuor", [model]));
      const servers = [plain];
      if (modules !== undefined && gguf !== undefined) {
        note("starting llama.cpp");
        const places = { modules, gguf, gpu };
        const limits = { threads, sequences, context: sizes.prompt + sizes.output + 8 };
        servers.push(stack.use(await startLlama({ ...places, ...limits })));
      } else note("llama.cpp is not timed: --modules DIR --gguf FILE name its binding and a model");
      note(`timing ${values.clients} clients`);
      memory.push(
        ...await watchMemory(servers, async () => {
          tables.rows = await timeClients(servers, sizes);
        }),
      );
      note("timing kinds of requests");
      tables.kinds = await timeClients(
        askedKinds().map((kind) => ({ ...kind, url: plain.url })),
        { ...sizes, clients: FEW_CLIENTS.filter((count) => count <= sequences) },
      );
      const guessing = stack.use(await ours("guessing", [model, "--speculate", "ngram"]));
      tables.guesses = await timeClients([
        { name: "a text that repeats itself", url: plain.url, asked: REPEATING },
        { name: "the same, guessed ahead", url: guessing.url, asked: REPEATING },
      ], { ...sizes, clients: [1] });
    }
    if (second !== undefined) {
      const words = ["--model", `second=${second}`];
      const both = ["--model", `first=${model}`, ...words];
      for (const [name, asked] of [["the second", words], ["both", both]] as const) {
        await using server = await ours(name, asked);
        const use = () => answerAll(server, { ...sizes, clients: [sequences] });
        memory.push(...await watchMemory([server], use));
      }
    }
  } finally {
    if (values.store === undefined) await Deno.remove(store, { recursive: true });
  }
  const about = { model, ...values, device: device.join(" "), sequences };
  const lines = [
    `${model}, ${about.device.slice(2)}; ${sizes.rounds} rounds ` +
    `of ${sizes.requests} requests or two a client, in turns; milliseconds are p50 / p95 / p99`,
    ...Object.values(tables).flatMap((rows) => ["", ...clientLines(rows)]),
    "",
    ...memoryLines(memory),
  ];
  const text = values.json
    ? JSON.stringify({ about, ...tables, memory }, undefined, 2)
    : lines.join("\n");
  Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  const failed = Object.values(tables).flat()
    .some(({ result }) => Object.keys(result.errors).length > 0);
  return failed ? 1 : 0;
}

function note(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

if (import.meta.main) Deno.exit(await benchClients(Deno.args));
