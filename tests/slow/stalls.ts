// Slow: it sends what is heaviest, a server at a time, and waits for every answer.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { heavyRequests } from "../support/heavy_requests.ts";
import { type Stalls, watchStalls } from "../support/stall_watch.ts";

/** Tokens of the longest prompt that leaves room for one more. */
const TOKENS = 501;

const PROGRAM = fileURLToPath(new URL("../../mod.ts", import.meta.url));
const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));

/**
 * Prints what others notice of a server of the embedded model while it has heavy requests, one at a
 * time:
 *
 *     deno run -A tests/slow/stalls.ts [--tries 1] [--row words] [mod.ts of a program]...
 *
 * Programs are tried in turns, and the least of all tries is shown: what else the machine does makes
 * the slowest answer slower, never quicker. This one is tried where none is named.
 */
async function main(args: string[]) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      tries: { type: "string", default: "1" },
      row: { type: "string", default: "" },
    },
  });
  const programs = positionals.length > 0 ? positionals : [PROGRAM];
  const rows = new Map(programs.map((program) => [program, new Map<string, Row>()]));
  for (let tries = 0; tries < Number(values.tries); tries++) {
    for (const program of programs) await tryAll(program, values.row, rows.get(program)!);
  }
  for (const program of programs) {
    say([program === PROGRAM ? "while it has" : program, "status", "s", "/health ms", "gap ms"]);
    say(["---", "--:", "--:", "--:", "--:"]);
    for (const [what, { status, seconds, health, gap }] of rows.get(program)!) {
      say([what, String(status || ""), seconds.toFixed(1), health, gap]);
    }
  }
  const [minute] = Deno.loadavg();
  say([`processes at work in the last minute: ${minute!.toFixed(1)}`, "", "", "", ""]);
}

/** What was noticed while a request was under way, the least of all tries. */
interface Row extends Stalls {
  readonly status: number;
  readonly seconds: number;
}

/** Sends every request to a server of a program. */
async function tryAll(program: string, words: string, rows: Map<string, Row>): Promise<void> {
  const note = (what: string, row: Row) => {
    const { health = Infinity, gap = Infinity, seconds = Infinity } = rows.get(what) ?? {};
    rows.set(what, {
      status: row.status,
      seconds: Math.min(seconds, row.seconds),
      health: Math.min(health, row.health),
      gap: Math.min(gap, row.gap),
    });
  };
  const store = await Deno.makeTempDir();
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", program, "serve", EMBEDDED]
      .concat(["--port", "0", "--json", "--store", store]),
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const url = await urlOf(child);
    const quiet = await watchStalls(url, () => new Promise((resolve) => setTimeout(resolve, 3000)));
    note("nothing", { ...quiet, status: 0, seconds: 3 });
    for (const { what, path, body } of heavyRequests(TOKENS)) {
      if (!what.includes(words)) continue;
      const start = performance.now();
      let status = 0;
      const stalls = await watchStalls(url, async () => {
        const response = await fetch(`${url}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
        });
        status = response.status;
        await response.body?.pipeTo(new WritableStream());
      });
      note(what, { ...stalls, status, seconds: (performance.now() - start) / 1000 });
    }
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await Deno.remove(store, { recursive: true });
  }
}

async function urlOf({ stdout }: Deno.ChildProcess): Promise<string> {
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/"serving"/.test(text) || !/"engine"/.test(text)) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`It ended: ${text}`);
    text += value;
  }
  reader.releaseLock();
  return /"url":"([^"]+)"/.exec(text)![1]!;
}

function say(cells: readonly (string | number)[]): void {
  const shown = cells.map((cell) => typeof cell === "number" ? String(Math.round(cell)) : cell);
  const line = `| ${shown.join(" | ")} |\n`;
  Deno.stdout.writeSync(new TextEncoder().encode(line));
}

if (import.meta.main) await main(Deno.args);
