import { type Command, InvalidArgumentError } from "commander";

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
