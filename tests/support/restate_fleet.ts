import { fileURLToPath } from "node:url";
import { until } from "./wait.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A process with what it has said so far. */
export interface Talking {
  readonly child: Deno.ChildProcess;
  out(): string;
  errors(): string;
}

// deno-lint-ignore no-explicit-any -- events as JSON lines, of which tests look at single fields
type Line = any;

/** A run that is over. */
export interface Ended {
  readonly code: number;
  readonly errors: string;
  readonly events: readonly Line[];
  /** Events of one type. */
  of(type: string): Line[];
}

/** A Restate server and workers over one store, in processes of their own; dispose it to end them. */
export class Fleet implements AsyncDisposable {
  readonly directory: string;
  readonly port: number;
  readonly #workers: Talking[] = [];
  #server: Talking | undefined;

  private constructor(directory: string, port: number) {
    this.directory = directory;
    this.port = port;
  }

  static async start({ workers }: { readonly workers: number }): Promise<Fleet> {
    const fleet = new Fleet(await Deno.makeTempDir(), freePorts());
    try {
      await fleet.startServer();
      await Promise.all(Array.from({ length: workers }, () => fleet.addWorker()));
      return fleet;
    } catch (error) {
      await fleet[Symbol.asyncDispose]();
      throw error;
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get workers(): readonly Talking[] {
    return this.#workers;
  }

  /** What the workers have said so far. */
  heard(): readonly Line[] {
    return this.#workers.flatMap(({ out }) => linesIn(out()));
  }

  path(name: string): string {
    return `${this.directory}/${name}`;
  }

  async manifest(text: string): Promise<void> {
    await Deno.writeTextFile(this.path("a.yaml"), text);
  }

  async startServer(): Promise<void> {
    this.#server = this.start(["restate", "--port", String(this.port)]);
    await saying(this.#server, "Restate takes orders");
  }

  async stopServer(signal: Deno.Signal): Promise<void> {
    this.#server?.child.kill(signal);
    await this.#server?.child.status;
    // The server itself ends with the process that started it, however that ends.
    await until(() => areFree(this.port));
  }

  async addWorker(): Promise<void> {
    const worker = this.start(["worker", "--restate", this.url, "--json"]);
    this.#workers.push(worker);
    await saying(worker, '"type":"joined"');
  }

  async run({ args = [], local = false }: {
    readonly args?: readonly string[];
    readonly local?: boolean;
  } = {}): Promise<Ended> {
    const where = local ? [] : ["--executor", `restate=${this.url}`];
    const { child, out, errors } = this.start(["run", "a.yaml", "--json", ...where, ...args]);
    const { code } = await child.status;
    await until(() => out().includes('"type":"summary"'));
    const events = linesIn(out());
    return { code, errors: errors(), events, of: (type) => events.filter((e) => e.type === type) };
  }

  /** Starts a command of the toy program. */
  start(args: readonly string[]): Talking {
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--unstable-no-legacy-abort",
        `--config=${ROOT}deno.json`,
        `${ROOT}tests/support/toy/program.ts`,
        ...args,
      ],
      cwd: this.directory,
      env: { NO_COLOR: "1", QUATTUOR_STORE: this.path("store") },
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const [out, errors] = [listen(child.stdout), listen(child.stderr)];
    return { child, out, errors };
  }

  /** Names in a room of the store. */
  async list(room: string): Promise<string[]> {
    const entries = Deno.readDir(this.path(`store/${room}`));
    return await Array.fromAsync(entries, ({ name }) => name).catch(() => []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#workers) end(child, "SIGKILL");
    if (this.#server) end(this.#server.child, "SIGTERM");
    await Promise.all([...this.#workers, ...this.#server ? [this.#server] : []].map(
      ({ child }) => child.status,
    ));
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** The whole lines of a file; none where there is no file. */
export async function linesOf(path: string): Promise<string[]> {
  return (await Deno.readTextFile(path).catch(() => "")).split("\n").slice(0, -1);
}

function linesIn(text: string): Line[] {
  return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

async function saying({ child, out, errors }: Talking, word: string): Promise<void> {
  let over = false;
  void child.status.then(() => over = true);
  await until(() => over || out().includes(word));
  if (!out().includes(word)) throw new Error(`It ended, saying: ${errors()}${out()}`);
}

function listen(stream: ReadableStream<Uint8Array<ArrayBuffer>>): () => string {
  let text = "";
  void (async () => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) text += part;
  })();
  return () => text;
}

function end(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch (error) {
    // It has ended by itself.
    if (!(error instanceof TypeError)) throw error;
  }
}

/** The first of four free ports in a row, below those that systems give to whoever asks for any. */
function freePorts(): number {
  for (;;) {
    const port = 10_000 + 4 * Math.floor(Math.random() * 5_000);
    if (areFree(port)) return port;
  }
}

function areFree(port: number): boolean {
  try {
    for (const one of [0, 1, 2, 3]) {
      Deno.listen({ hostname: "127.0.0.1", port: port + one }).close();
    }
    return true;
  } catch {
    return false;
  }
}
