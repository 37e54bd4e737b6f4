import { suggestion } from "../../pipeline/manifest/nearest.ts";

/** What can be timed: what it is called with, what it is for, and what does it; told the rest. */
const BENCHES: Readonly<Record<string, Bench>> = {
  kernels: {
    usage: "[NAMES]",
    does: "every kernel, or those named; --roofline: what cards would need",
    run: async (args) => (await import("./kernel_times.ts")).benchKernels(args),
  },
  products: {
    does: "4-bit inputs against 8-bit ones",
    run: async (args) => (await import("./products.ts")).benchProducts(args),
  },
  engine: {
    does: "steps, prompts and batches of the engine that serves",
    run: async (args) => (await import("./engine.ts")).benchEngine(args),
  },
  grammar: {
    does: "what grammars and penalties cost in decode",
    run: async (args) => (await import("./grammar.ts")).benchGrammar(args),
  },
  speculation: {
    does: "what guessing answers ahead gives",
    run: async (args) => (await import("./speculation.ts")).benchSpeculation(args),
  },
  growth: {
    usage: "[shapes]",
    does: "what larger models cost, by one layer of random weights",
    run: async (args) => (await import("./growth.ts")).benchGrowth(args),
  },
  serve: {
    usage: "--url URL",
    does: "Poisson arrivals at any server of OpenAI's API",
    run: async (args) => (await import("./serve.ts")).benchServe(args),
  },
  clients: {
    usage: "[model]",
    does: "1 to 64 clients of a server, beside llama.cpp",
    run: async (args) => (await import("./clients.ts")).benchClients(args),
  },
};

interface Bench {
  readonly usage?: string;
  readonly does: string;
  /** Resolves to the exit status, 0 where it says none. */
  run(args: readonly string[]): Promise<number | void>;
}

const [first = "--help", ...rest] = Deno.args;
if (Object.hasOwn(BENCHES, first)) Deno.exit(await BENCHES[first]!.run(rest) ?? 0);
const asked = /^(-h|--help)$/.test(first);
const cannot = `Cannot bench ${first}: ${suggestion(first, Object.keys(BENCHES))}\n\n`;
const said = `${asked ? "" : cannot}${usage()}\n`;
(asked ? Deno.stdout : Deno.stderr).writeSync(new TextEncoder().encode(said));
Deno.exit(asked ? 0 : 2);

function usage(): string {
  const lines = Object.entries(BENCHES).map(([name, { usage = "", does }]) =>
    `  ${`${name} ${usage}`.padEnd(20)} ${does}`
  );
  return `deno task bench <what>

${lines.join("\n")}

QUATTUOR_DEVICE says where (cpu, gpu, gpu:NAME).`;
}
