import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import { publicEnvironment } from "../../secrets.ts";

/** Where a server listens and what it keeps. */
export interface ServerOptions {
  /** What it keeps lies here, its log, and the sockets on which it listens. */
  readonly directory: string;
  /** The key with which it signs its calls. */
  readonly keyFile: string;
  readonly signal: AbortSignal;
}

/** A server that answers; dispose it to stop it. */
export interface RestateServer extends AsyncDisposable {
  /** The socket where orders come in. */
  readonly ingress: string;
  /** The socket where it is told what to do. */
  readonly admin: string;
  /** Gives a sentence when the server ends by itself. */
  readonly over: Promise<string>;
}

/** Where under its directory the server puts what it keeps and its sockets. */
const [DATA, NODE] = ["data", "quattuor"];

/** Bytes that the path of a socket may have on Linux (unix(7)); elsewhere it is a little less. */
const LONGEST_SOCKET = 104;

/** The path of a socket of a server that keeps things in a directory. */
function socketOf(directory: string, name: string): string {
  const path = join(directory, DATA, NODE, `${name}.sock`);
  const { length } = new TextEncoder().encode(path);
  if (length < LONGEST_SOCKET) return path;
  throw new Error(
    `Cannot start Restate in ${directory}: its sockets would have paths of ${length} bytes, expected ` +
      `fewer than ${LONGEST_SOCKET}; give a shorter --data`,
  );
}

/** How long the server may take until it answers: after a crash it first reads what it wrote last. */
const START_SECONDS = 60;

/**
 * Runs a program as long as somebody holds the other end of its input.
 *
 * Deno cannot ask the system to end a child with its parent; a pipe closes even when the parent is
 * killed.
 */
const WHILE_HELD = `exec 3<&0
"$0" "$@" >"$LOG" 2>&1 </dev/null &
server=$!
(read -r _ <&3; kill "$server") &
exec 3<&-
wait "$server"`;

/** Starts Restate's server with what it knew before, and waits until it answers. */
export async function startRestateServer(options: ServerOptions): Promise<RestateServer> {
  const { directory, signal } = options;
  const [ingress, admin] = ["ingress", "admin"].map((name) => socketOf(directory, name)) as [
    string,
    string,
  ];
  const program = await serverProgram();
  signal.throwIfAborted();
  const config = join(directory, "restate.toml");
  const log = join(directory, "server.log");
  await Deno.writeTextFile(config, configText(options));
  const child = new Deno.Command("sh", {
    args: ["-c", WHILE_HELD, program, "--no-logo", "--config-file", config],
    // Settings in the environment would win over the file.
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: directory, LOG: log },
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const over = child.status.then(async () =>
    `Cannot go on without Restate's server: it ended, saying "${await lastError(log)}", expected ` +
    `it to run on; ${log} has the rest`
  );
  const server: RestateServer = {
    ingress,
    admin,
    over,
    async [Symbol.asyncDispose]() {
      await child.stdin.close().catch(() => {});
      await child.status;
    },
  };
  try {
    await answers(server, signal);
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

async function answers(
  { ingress, admin, over }: RestateServer,
  signal: AbortSignal,
): Promise<void> {
  const ended = over.then((why) => {
    throw new Error(why);
  });
  const deadline = performance.now() + 1000 * START_SECONDS;
  for (;;) {
    const asked = [[ingress, "restate/health"], [admin, "health"]] as const;
    const well = await Promise.all(asked.map(([socket, path]) => isWell(socket, path)));
    if (well.every(Boolean)) return;
    if (performance.now() > deadline) {
      throw new Error(`Cannot start Restate: it is silent after ${START_SECONDS} s`);
    }
    await Promise.race([ended, sleep(50, undefined, { signal })]);
  }
}

async function isWell(socket: string, path: string): Promise<boolean> {
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: socket } });
  try {
    const signal = AbortSignal.timeout(2000);
    const answer = await fetch(`http://localhost/${path}`, { client, signal });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}

/** The line of a log that says best what went wrong. */
async function lastError(log: string): Promise<string> {
  const text = await Deno.readTextFile(log).catch(() => "");
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const telling = lines.findLast((line) => /error: (?!None)|panicked|in use|denied/i.test(line));
  return messageOf(telling ?? lines.at(-1) ?? "");
}

function configText(
  { directory, keyFile }: ServerOptions,
): string {
  return `# Written by "restate" at every start.
base-dir = ${JSON.stringify(join(directory, DATA))}
node-name = "${NODE}"
# Sockets in a directory that only its owner enters: nobody else reaches it, and no page of a browser.
listen-mode = "unix"
disable-telemetry = true
# The server looks for a newer version of itself at every start; there is no setting against it.
# Orders wait for days; there is nothing to wait for at the end.
shutdown-timeout = "1s"
log-filter = "warn,octocrab=off"
log-disable-ansi-codes = true
# Orders are few and small.
default-num-partitions = 4
rocksdb-total-memory-size = "256 MiB"

[worker.invoker]
request-identity-private-key-pem-file = ${JSON.stringify(keyFile)}
`;
}

/** Throws where nothing can listen: whoever answers there is not what is to be started. */
export function refuseTaken(hostname: string, port: number): void {
  try {
    Deno.listen({ hostname, port }).close();
  } catch (error) {
    throw new Error(
      `Cannot listen on ${hostname}:${port}: ${messageOf(error)}, expected an address of this ` +
        "machine and a free port; give another --host or --port",
    );
  }
}

/**
 * The path of Restate's server program, which is fetched the first time.
 *
 * Throws an Error in a sentence where there is none for this machine or it cannot be fetched.
 */
export async function serverProgram(): Promise<string> {
  const here = fileURLToPath(new URL("./server/", import.meta.url));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--allow-all",
      "--frozen",
      `--config=${here}deno.json`,
      `--lock=${here}deno.lock`,
      `${here}locate.ts`,
    ],
    // What it fetches and runs is others' work.
    clearEnv: true,
    env: { ...publicEnvironment(), NO_COLOR: "1" },
  }).output();
  const path = new TextDecoder().decode(stdout).trim();
  if (code === 0 && path !== "") return path;
  const [why = "it ended without a word"] = new TextDecoder().decode(stderr).split("\n")
    .map((line) => line.replace(/^error: (Uncaught )?(\(in promise\) )?(\w*Error: )?/, "").trim())
    .filter((line) => line !== "" && !/^[╭│╰]/.test(line));
  const { os, arch } = Deno.build;
  throw new Error(
    `Cannot get Restate's server program for ${os} ${arch}: ${messageOf(why)}, expected npm ` +
      "package @restatedev/restate-server for linux or darwin",
  );
}
