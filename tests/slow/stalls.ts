// Slow: it sends what is heaviest, a server at a time, and waits for every answer.
import { fileURLToPath } from "node:url";
import { heavyRequests } from "../support/heavy_requests.ts";
import { watchStalls } from "../support/stall_watch.ts";

/** Tokens of the longest prompt that leaves room for one more. */
const TOKENS = 501;

const EMBEDDED = fileURLToPath(new URL("../../configs/embedded", import.meta.url));

/**
 * Prints what others notice of a server of the embedded model while it has heavy requests, one at a
 * time: `deno run -A tests/slow/stalls.ts [mod.ts of the program] [words of a request]`.
 */
async function main(
  [program = fileURLToPath(new URL("../../mod.ts", import.meta.url)), words = ""]: string[],
) {
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
    say(["while it has", "status", "s", "/health ms", "gap ms"]);
    say(["nothing", "", "3.0", quiet.health, quiet.gap]);
    for (const { what, path, body } of heavyRequests(TOKENS)) {
      if (!what.includes(words)) continue;
      const start = performance.now();
      let status = 0;
      const { health, gap } = await watchStalls(url, async () => {
        const response = await fetch(`${url}${path}`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
        });
        status = response.status;
        await response.body?.pipeTo(new WritableStream());
      });
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      say([what, String(status), seconds, health, gap]);
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
