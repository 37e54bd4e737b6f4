import { type Command, InvalidArgumentError } from "commander";
import type { Executor } from "../run/executor.ts";
import type { Store } from "../store/store.ts";
import { UsageError } from "./told_error.ts";

/** Adds the option that {@linkcode openExecutor} reads. */
export function addExecutorOption(command: Command): Command {
  return command.option(
    "--executor <where>",
    "make steps on workers: restate=http://127.0.0.1:8080 (default: in this process)",
  );
}

/** The executor that `--executor` names, or undefined for this process itself. */
export async function openExecutor(
  text: unknown,
  { store }: { readonly store: Store },
): Promise<Executor | undefined> {
  if (text === undefined) return undefined;
  const [, url] = /^restate=(https?:\/\/.+)$/.exec(String(text)) ?? [];
  if (url === undefined || !URL.canParse(url)) {
    throw new UsageError(
      `Cannot understand --executor ${text}: expected restate=<url>, such as ` +
        "restate=http://127.0.0.1:8080",
    );
  }
  const { restateExecutor } = await import("../run/restate/executor.ts");
  return await restateExecutor(url, { store });
}

/** Adds `--host` and `--port` to a command that listens. */
export function addNetworkOptions(
  command: Command,
  { host, port, usual }: { readonly host: string; readonly port: string; readonly usual: number },
): void {
  command
    .option("--host <address>", host, "127.0.0.1")
    .option("--port <number>", port, parsePort, usual);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port >= 0 && port < 2 ** 16) return port;
  throw new InvalidArgumentError(`Cannot read "${text}" as a port: expected 0 to 65535`);
}
