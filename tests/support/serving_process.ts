import { ok } from "node:assert/strict";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../mod.ts", import.meta.url));

/** What `serve` writes as errors where it refuses to; asserts that it does, and in a sentence. */
export async function refusalOf(words: readonly string[], store: string): Promise<string> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "serve", ...words, "--port", "0", "--store", store],
    env: { QUATTUOR_API_KEY: "" },
  }).output();
  const errors = new TextDecoder().decode(stderr);
  ok(!success, errors);
  ok(!errors.includes("    at "), errors);
  return errors;
}

/** `serve` as a process of its own; disposing it asks it to stop and waits. */
export interface ServingProcess extends AsyncDisposable {
  readonly url: string;
  readonly child: Deno.ChildProcess;
  /** What it told so far: JSON, a line each. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** What it wrote as errors so far. */
  errors(): string;
  /** Its exit status and what it wrote as errors. */
  readonly ended: Promise<{ readonly code: number; readonly errors: string }>;
}

/** Starts `serve` at a free port; resolves when it listens and its engine is ready. */
export async function startServing(
  words: readonly string[],
  { store, env = {} }: { readonly store: string; readonly env?: Readonly<Record<string, string>> },
): Promise<ServingProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, "serve", ...words, "--port", "0", "--json", "--store", store],
    env: { QUATTUOR_API_KEY: "", ...env },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines: Readonly<Record<string, unknown>>[] = [];
  const ready = Promise.withResolvers<string>();
  let errors = "";
  const told = (async () => {
    for await (const piece of child.stderr.pipeThrough(new TextDecoderStream())) errors += piece;
  })();
  const reading = (async () => {
    let rest = "";
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      const parts = `${rest}${piece}`.split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts.map((part) => JSON.parse(part)));
      const line = lines.find(({ type }) => type === "serving");
      if (line && lines.some(({ type }) => type === "engine")) ready.resolve(String(line.url));
    }
    await told;
    ready.reject(new Error(`it ended: ${errors}`));
  })();
  void reading.catch(ready.reject);
  const ended = (async () => {
    const { code } = await child.status;
    await told;
    return { code, errors };
  })();
  return {
    url: await ready.promise,
    child,
    lines,
    errors: () => errors,
    ended,
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended before.
      }
      await ended;
    },
  };
}
