import { join } from "node:path";
import { onInterrupt } from "../interrupt.ts";
import { addNetworkOptions } from "../open_executor.ts";
import { HERE, openStore } from "../open_store.ts";
import { defineCommand } from "../command.ts";

/** Starts the server that gives steps to workers. */
export const restate = defineCommand({
  about: "Start the server that gives steps to workers (Restate)",
  options: (command) => {
    addNetworkOptions(command, {
      host: "where orders come in; whoever reaches it can make workers run any stage",
      port: "where orders come in; the three ports after it are used too, on loopback",
      usual: 8080,
    });
    command.option("--data <dir>", "what the server keeps (default: restate/ in the store)");
  },
  async run({ screen, flags, own }) {
    const { host, port, data } = own as { host: string; port: number; data?: string };
    const directory = data ?? join(openStore(HERE, flags).path, "restate");
    const { serveRestate } = await import("../../run/restate/serve.ts");
    const controller = new AbortController();
    using _interrupt = onInterrupt(controller, {
      ask: () => screen.error("\nStopping the server\n"),
      leave: () => {},
    });
    await serveRestate({
      host,
      port,
      directory,
      signal: controller.signal,
      onReady: ({ ingress, page }) => {
        const line = { type: "listening", url: ingress, directory };
        const text = `Restate takes orders at ${ingress}; it keeps them in ${directory}\n` +
          `Its page: ${page}\n` +
          `Workers:  deno task worker --restate ${ingress}\n` +
          `A run:    deno task run configs/qoq.yaml --executor restate=${ingress}\n`;
        screen.write(flags.json ? `${JSON.stringify(line)}\n` : text);
      },
    });
    return 0;
  },
});
