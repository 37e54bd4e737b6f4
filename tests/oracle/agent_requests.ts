/**
 * Runs `agent_clients.py` against a model that answers by a script, and writes down what its clients send in
 * `tests/testdata/agent_requests.json`: `deno run -A tests/oracle/agent_requests.ts PYTHON`, whose Python has
 * the packages that the program names.
 *
 * @module
 */
import { fileURLToPath } from "node:url";
import { serveScripted } from "../support/scripted_model.ts";

/** A request of a client, as it came. */
interface Sent {
  readonly client: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  /** How it was answered, so that the client was content. */
  readonly status: number;
}

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
await using served = await serveScripted();
const sent = new Set<string>();

/** Hands requests on, and keeps those that are not as one before. */
await using between = Deno.serve({ port: 0, onListen() {} }, async (request) => {
  const { pathname, search } = new URL(request.url);
  const text = await request.text();
  const headers = new Headers(request.headers);
  headers.delete("host");
  const answer = await fetch(`${served.url}${pathname}${search}`, {
    method: request.method,
    headers,
    ...text !== "" && { body: text },
  });
  const entry: Sent = {
    client: `${request.headers.get("user-agent")?.split(" ")[0]}`,
    method: request.method,
    path: pathname,
    status: answer.status,
    ...text !== "" && { body: JSON.parse(text) },
  };
  // Names of calls are drawn anew each time.
  const told = JSON.stringify(entry).replace(/\b(call|toolu|fc|msg|rs)_[0-9a-f]{20,}/g, "$1_1");
  sent.add(told);
  return answer;
});

const { success } = await new Deno.Command(Deno.args[0] ?? "python3", {
  args: [here("agent_clients.py"), `http://127.0.0.1:${between.addr.port}`, "--fake"],
  stdout: "inherit",
  stderr: "inherit",
}).output();
if (!success) Deno.exit(1);
const lines = [...sent].join(",\n");
await Deno.writeTextFile(here("../testdata/agent_requests.json"), `[\n${lines}\n]\n`);
