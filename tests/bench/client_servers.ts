import { fileURLToPath } from "node:url";
import { V8_FLAGS } from "../../kernels/device/cpu/v8_flags.ts";
import { startServing } from "../support/serving_process.ts";
import { type ClientSizes, table } from "./client_load.ts";
import { sendLoad } from "./serve.ts";

const LLAMA_SERVER = fileURLToPath(new URL("llama_server.mjs", import.meta.url));

/** Somebody who answers. */
export interface Server extends AsyncDisposable {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
}

/** Resident bytes of a process once it is ready, and once it has answered. */
export interface MemoryRow {
  readonly name: string;
  readonly ready: number | undefined;
  readonly answered: number | undefined;
}

/** Starts `serve` in a process of its own. */
export async function startOurs(
  name: string,
  words: readonly string[],
  { store }: { readonly store: string },
): Promise<Server> {
  const env = { DENO_V8_FLAGS: V8_FLAGS.join() };
  const serving = await startServing([...words, "--log-level", "error"], { store, env });
  return {
    name,
    url: serving.url,
    pid: serving.child.pid,
    [Symbol.asyncDispose]: () => serving[Symbol.asyncDispose](),
  };
}

/** Starts a server of llama.cpp. */
export async function startLlama(
  { modules, gguf, gpu, ...sizes }:
    & { readonly modules: string; readonly gguf: string; readonly gpu: string }
    & Readonly<Record<"threads" | "sequences" | "context", number>>,
): Promise<Server> {
  const numbers = Object.entries(sizes).flatMap(([key, value]) => [`--${key}`, String(value)]);
  const child = new Deno.Command("node", {
    args: [LLAMA_SERVER, gguf, "--modules", modules, "--gpu", gpu, ...numbers],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const end = async () => {
    child.kill("SIGTERM");
    await child.status;
  };
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  while (!said.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) throw new Error("Cannot time llama.cpp: its server has ended, expected an address");
    said += value;
  }
  void reader.cancel();
  const { url } = JSON.parse(said.split("\n")[0]!);
  return { name: "llama.cpp", url, pid: child.pid, [Symbol.asyncDispose]: end };
}

/** Has all models of a server answer as many clients as it takes at once. */
export async function answerAll({ url }: Server, sizes: ClientSizes): Promise<void> {
  const response = await fetch(`${url}/v1/models`);
  const { data } = await response.json() as { data: readonly { readonly id: string }[] };
  const { clients: [count = 1], prompt, output, vocabulary } = sizes;
  const load = { url, rate: 0, prompt, output, vocabulary, clients: count, requests: 2 * count };
  for (const { id } of data) await sendLoad({ ...load, seed: 1, model: id });
}

/** Has servers used, and tells what of each is in memory before and after. */
export async function watchMemory(
  servers: readonly Server[],
  use: () => Promise<void>,
): Promise<readonly MemoryRow[]> {
  const all = () => Promise.all(servers.map(({ pid }) => resident(pid)));
  const ready = await all();
  await use();
  const answered = await all();
  return servers.map(({ name }, at) => ({ name, ready: ready[at], answered: answered[at] }));
}

/** Bytes of a process that are in memory; Linux tells. */
async function resident(pid: number): Promise<number | undefined> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1];
  return kilobytes === undefined ? undefined : 1024 * Number(kilobytes);
}

/** A table of what processes hold. */
export function memoryLines(rows: readonly MemoryRow[]): readonly string[] {
  const mb = (bytes: number | undefined) => bytes === undefined ? "?" : (bytes / 1e6).toFixed(0);
  return table(
    ["resident memory, MB", "ready", "after its answers"],
    rows.map(({ name, ready, answered }) => [name, mb(ready), mb(answered)]),
  );
}
