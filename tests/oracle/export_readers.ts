import { fileURLToPath } from "node:url";
import { openTunedDevice } from "../../kernels/tuned_device.ts";
import { Model } from "../../stages/models/model.ts";
import { openTokenizer } from "../../stages/models/tokenizer.ts";
import { logitsOf } from "../support/forward_pass.ts";

const READERS = fileURLToPath(new URL("exports.py", import.meta.url));
const LLAMA = fileURLToPath(new URL("llama_cpp.mjs", import.meta.url));
const PROMPTS = ["The capital of France is", "def fibonacci(n):\n"];
const GREEDY = 24;

/** A model of the manifest and how it scored. */
export interface Scored {
  readonly step: string;
  readonly evaluation: string;
  readonly path: string;
  /** Mean negative log-likelihood of each window. */
  readonly windowMeans: readonly number[];
  readonly context: number;
  readonly tokens: string;
}

/** What `exports.py` says of an export. */
export async function readers(
  python: string,
  path: string,
  { reference, scored, packers, inputs, kv }: {
    readonly reference: string;
    readonly scored: Scored;
    readonly packers: string | undefined;
    readonly inputs: boolean;
    readonly kv: number | undefined;
  },
): Promise<Record<string, unknown>[]> {
  const { tokens, context, windowMeans: { length: windows } } = scored;
  const { stdout, stderr, success } = await new Deno.Command(python, {
    args: [
      READERS,
      path,
      ...["--reference", reference],
      ...windows === 0
        ? []
        : ["--tokens", tokens, "--context", String(context), "--windows", String(windows)],
      ...packers ? ["--packers", packers] : [],
      ...inputs ? ["--inputs", "dynamic"] : [],
      ...kv ? ["--kv", String(kv)] : [],
    ],
  }).output();
  if (!success) {
    const said = new TextDecoder().decode(stderr).trim().split("\n").slice(-2).join(" ");
    throw new Error(`exports.py: ${said}`);
  }
  return new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
}

/** How long llama.cpp's likeliest tokens are ours, for each prompt. */
export async function greedyTokens(llama: string, path: string, model: string): Promise<string> {
  await using device = await openTunedDevice();
  using opened = await Model.open(model, device, { weightBytes: Infinity });
  const tokenizer = openTokenizer(opened.checkpoint.tokenizer!);
  const prompts = PROMPTS.map((prompt) => tokenizer.encode(prompt));
  const request = { texts: PROMPTS, prompts, count: GREEDY };
  const [file] = [...Deno.readDirSync(path)].filter(({ name }) => name.endsWith(".gguf"));
  const child = new Deno.Command("node", {
    args: [LLAMA, `${path}/${file!.name}`],
    cwd: llama,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  await input.write(new TextEncoder().encode(JSON.stringify(request)));
  await input.close();
  const { stdout, stderr, success } = await child.output();
  if (!success) throw new Error(`llama.cpp: ${new TextDecoder().decode(stderr).slice(-300)}`);
  const { ids, continuations, margins } = JSON.parse(new TextDecoder().decode(stdout));
  const said: string[] = [];
  for (const [at, prompt] of prompts.entries()) {
    if (String(ids[at]) !== String(prompt)) {
      said.push(`other ids of ${JSON.stringify(PROMPTS[at])}`);
    }
    const ours = [...prompt];
    let same = 0;
    for (; same < GREEDY; same++) {
      const logits = (await logitsOf(device, opened, ours)).slice(-opened.config.vocabulary);
      const next = logits.indexOf(logits.reduce((most, value) => Math.max(most, value)));
      if (next !== continuations[at][same]) break;
      ours.push(next);
    }
    const apart = same < GREEDY ? ` (margin there ${margins[at][same].toFixed(3)})` : "";
    said.push(`${same}/${GREEDY}${apart}`);
  }
  return said.join(", ");
}
