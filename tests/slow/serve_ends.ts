// Slow: starts and stops servers many times.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setTimeout as sleep } from "node:timers/promises";
import { words } from "../support/random.ts";

const PROGRAM = fileURLToPath(new URL("../../mod.ts", import.meta.url));
const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));
const FLAGS = "--v8-flags=--experimental-wasm-revectorize,--no-wasm-bounds-checks";

/** A process that has not ended so long after it was asked to is one that hangs. */
const HANGS_SECONDS = 120;

/**
 * Starts servers of the embedded model and stops each at a random moment, by SIGINT or SIGTERM:
 *
 *     deno run -A tests/slow/serve_ends.ts [--times 200] [--seed word] [--device cpu] [-- options]
 *
 * Moments are drawn from the beginning of the process to a second after it serves; now and then with
 * a request going on. Options behind `--` are the servers': `--device gpu:llvmpipe -- --context 256`.
 * Prints how processes ended, and ends with status 1 where one ended by a signal
 * that it was not sent, hung, or said what no one should read.
 */
async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      times: { type: "string", default: "200" },
      seed: { type: "string", default: crypto.randomUUID().slice(0, 8) },
      device: { type: "string", default: "cpu" },
    },
  });
  const random = words(values.seed);
  const draw = () => random.next().value / 2 ** 32;
  const store = await Deno.makeTempDir();
  const start = () =>
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", FLAGS, PROGRAM, "serve", EMBEDDED, "--port", "0", "--json"]
        .concat(["--store", store, "--device", values.device, ...positionals]),
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  const ends = new Map<string, number>();
  let faults = 0;
  try {
    say(`seed ${values.seed}, device ${values.device} ${positionals.join(" ")}`);
    // The first puts the model into the store, and says how long the others take.
    const before = performance.now();
    await end(start(), { signal: "SIGTERM", moment: () => Promise.resolve(), waits: true });
    const usual = performance.now() - before;
    for (let at = 0; at < Number(values.times); at++) {
      const signal = draw() < 0.5 ? "SIGINT" : "SIGTERM";
      const waits = draw() < 0.5;
      const asks = draw() < 0.5;
      const share = draw();
      const how = await end(start(), {
        signal,
        waits,
        moment: async (url) => {
          if (url === undefined) return await sleep(share * usual);
          if (asks) void ask(url);
          await sleep(share * 1000);
        },
      });
      ends.set(how.kind, (ends.get(how.kind) ?? 0) + 1);
      if ((at + 1) % 10 === 0) say(`${at + 1} ends, ${faults} faults`);
      if (!how.fault) continue;
      faults++;
      say(
        `${at}: ${signal} ${
          waits ? "while it serves" : "while it starts"
        }: ${how.kind}\n${how.said}`,
      );
    }
  } finally {
    await Deno.remove(store, { recursive: true });
  }
  say(
    `${values.times} ends: ${[...ends].map(([kind, count]) => `${count} by ${kind}`).join(", ")}`,
  );
  return faults > 0 ? 1 : 0;
}

/** A request that takes longer than the server will be there. */
async function ask(url: string): Promise<void> {
  await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: "the cat", max_tokens: 200, stream: true }),
  }).then((answer) => answer.body?.pipeTo(new WritableStream())).catch(() => {});
}

/** Sends a signal at a moment, and says how the process ended. */
async function end(
  child: Deno.ChildProcess,
  { signal, moment, waits }: {
    readonly signal: Deno.Signal;
    readonly waits: boolean;
    /** Waits for it; the server's address is given once it serves. */
    moment(url: string | undefined): Promise<void>;
  },
): Promise<{ readonly kind: string; readonly fault: boolean; readonly said: string }> {
  const serving = Promise.withResolvers<string | undefined>();
  const said = Promise.all([
    read(child.stdout, (text) => {
      const [line] = text.match(/^.*"type":"engine".*$/m) ?? [];
      const [, url] = /"url":"([^"]+)"/.exec(text) ?? [];
      if (line && url) serving.resolve(url);
    }),
    read(child.stderr, () => {}),
  ]);
  child.status.then(() => serving.resolve(undefined));
  await moment(waits ? await serving.promise : undefined);
  try {
    child.kill(signal);
  } catch {
    // It has ended by itself.
  }
  const hung = Symbol("hung");
  const late = new AbortController();
  const status = await Promise.race([
    child.status,
    sleep(1000 * HANGS_SECONDS, hung, { signal: late.signal }).catch(() => hung),
  ]);
  late.abort();
  if (typeof status === "symbol") {
    child.kill("SIGKILL");
    return { kind: "a hang", fault: true, said: (await said).join("") };
  }
  const text = (await said).join("");
  const lastLine = text.trim().split("\n").at(-1)!;
  const kind = status.signal ?? `status ${status.code}${status.code === 0 ? "" : ` (${lastLine})`}`;
  // A signal that comes before anybody listens ends any program.
  const fault = (status.signal !== null && status.signal !== signal) ||
    /panicked|\n\s+at /.test(text);
  return { kind, fault, said: text };
}

async function read(stream: ReadableStream<Uint8Array>, hear: (all: string) => void) {
  let all = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) hear(all += text);
  return all;
}

function say(text: string): void {
  // deno-lint-ignore no-console -- what the program prints
  console.log(text);
}

if (import.meta.main) Deno.exit(await main(Deno.args));
