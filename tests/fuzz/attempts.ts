// Reads inputs one after another in a process of its own: target, seed, first number, how many, and
// a directory, or with "--input" a target, a file and a directory.
import { mutant, randomAt } from "./mutation.ts";
import { type FuzzTarget, isSentence, TARGETS } from "./targets.ts";

/** What was wrong with an input. */
export interface Find {
  readonly target: string;
  readonly what: string;
  readonly input: Uint8Array;
}

/** What an input does that none should, or nothing. */
export async function faultOf(
  { read }: FuzzTarget,
  input: Uint8Array,
  directory: string,
): Promise<string | undefined> {
  try {
    await read(input.slice(), directory);
    return undefined;
  } catch (error) {
    if (isSentence(error)) return undefined;
    return error instanceof Error ? `${error.stack ?? error.message}`.slice(0, 600) : String(error);
  }
}

/** The first line says what it is; where it happens may differ. */
const kindOf = (fault: string | undefined) => fault?.split("\n")[0]?.slice(0, 60);

/** A shorter input with the same fault. */
async function shrunk(target: FuzzTarget, input: Uint8Array, directory: string, fault: string) {
  let best = input;
  let left = 400;
  for (let size = Math.ceil(best.length / 2); size >= 1 && left > 0; size = Math.floor(size / 2)) {
    for (let at = 0; at < best.length && left > 0;) {
      const one = new Uint8Array([...best.subarray(0, at), ...best.subarray(at + size)]);
      left--;
      if (kindOf(await faultOf(target, one, directory)) === kindOf(fault)) best = one;
      else at += size;
    }
  }
  return best;
}

if (import.meta.main) {
  const [name = "", ...rest] = Deno.args;
  const target = TARGETS[name]!;
  const [seed = 0, first = 0, count = 0] = rest.slice(0, 3).map(Number);
  const directory = rest[3]!;
  await Deno.mkdir(`${directory}/work`);
  const seeds = await target.seeds(`${directory}/work`);
  for (const one of seeds) {
    const fault = await faultOf(target, one, `${directory}/work`);
    if (fault !== undefined) await tell({ fault: `a seed: ${fault}`, input: one });
  }
  const met = new Set<string | undefined>();
  using place = Deno.openSync(`${directory}/at`, { write: true, create: true });
  for (let at = first; at < first + count; at++) {
    // In one piece and over the last one: whoever ends this process at any moment reads a number.
    place.seekSync(0, Deno.SeekMode.Start);
    place.writeSync(new TextEncoder().encode(String(at).padStart(12)));
    const input = mutant(seeds, target.words, randomAt(seed, at));
    const fault = await faultOf(target, input, `${directory}/work`);
    if (fault === undefined || met.has(kindOf(fault))) continue;
    met.add(kindOf(fault));
    await tell({ fault, input: await shrunk(target, input, `${directory}/work`, fault) });
  }
}

async function tell({ fault, input }: { readonly fault: string; readonly input: Uint8Array }) {
  const line = JSON.stringify({ fault, input: input.toBase64() });
  await Deno.stdout.write(new TextEncoder().encode(`${line}\n`));
}
