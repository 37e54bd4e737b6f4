import { join } from "node:path";
import { onInterrupt } from "../interrupt.ts";
import { addNetworkOptions } from "../open_executor.ts";
import { HERE, openStore } from "../open_store.ts";
import { defineCommand } from "../command.ts";

/** Starts the server that gives steps to workers. */
export const restate = defineCommand({
  options: (command) => {
    addNetworkOptions(command, {
      host: "where orders come in, from those that have the store",
      port: "where orders come in; the port after it is used too, on loopback",
      usual: 8080,
    });
    command.option("--data <dir>", "what the server keeps (default: restate/ in the store)");
  },
  async run({ screen, flags, own }) {
    const { host, port, data } = own as { host: string; port: number; data?: string };
    const { path: store } = openStore(HERE, flags);
    const directory = data ?? join(store, "restate");
    const { serveRestate } = await import("../../run/restate/serve.ts");
    const controller = new AbortController();
    using _interrupt = onInterrupt(controller, {
      ask: () => screen.error("\nStopping the server\n"),
      leave: () => {},
    });
    await serveRestate({
      host,
      port,
      store,
      directory,
      signal: controller.signal,
      onReady: ({ ingress, dispatcher }) => {
        const line = { type: "listening", url: ingress, directory };
        const text = `Restate takes orders at ${ingress}; it keeps them in ${directory}\n` +
          `Open: ${ingress} to whoever has the token in ${store}/restate, unencrypted; ${dispatcher} ` +
          "to what the server itself signs. All else are sockets in its directory\n" +
          `Workers:  deno task worker --restate ${ingress}\n` +
          `A run:    deno task run configs/qoq.yaml --executor restate=${ingress}\n`;
        screen.write(flags.json ? `${JSON.stringify(line)}\n` : text);
      },
    });
    return 0;
  },
});
