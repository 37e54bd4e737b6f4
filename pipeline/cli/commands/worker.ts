import { machineFlags } from "../flags.ts";
import { onInterrupt, onStrayError } from "../interrupt.ts";
import { addNetworkOptions } from "../open_executor.ts";
import { HERE, openSharedStore } from "../open_store.ts";
import { messageOf } from "../../errors.ts";
import { tellJson, tellPeople } from "../../tell/terminal.ts";
import { catchConsole } from "../../tell/terminal/screen.ts";
import { defineCommand, stagesOf } from "../command.ts";

/** Works at the steps of runs elsewhere. */
export const worker = defineCommand({
  options: (command) => {
    command.option("--restate <url>", "where `restate` takes orders", "http://127.0.0.1:8080");
    addNetworkOptions(command, {
      host: "where the server reaches this worker, which takes orders from no one else",
      port: "0 for any that is free",
      usual: 0,
    });
  },
  async run({ program, screen, flags, own }) {
    const { restate, host, port } = own as { restate: string; host: string; port: number };
    const store = await openSharedStore(HERE, flags);
    using tell = flags.json ? tellJson(screen) : tellPeople(screen);
    using _console = flags.json || screen.columns > 0 ? catchConsole(tell.say) : undefined;
    const { serveWorker } = await import("../../run/restate/worker.ts");
    const controller = new AbortController();
    using _interrupt = onInterrupt(controller, {
      ask: () =>
        tell.error("Leaving at the next good moment; another worker goes on with the step"),
      leave: () => tell[Symbol.dispose](),
    });
    using _stray = onStrayError((error) => {
      tell[Symbol.dispose]();
      screen.error(`Cannot go on: ${messageOf(error)}\n`);
      if (flags.debug && error instanceof Error) screen.error(`${error.stack}\n`);
    });
    await serveWorker({
      restate,
      host,
      port,
      store,
      stages: await stagesOf(program),
      tools: () => program.tools(machineFlags(flags)),
      emit: tell.emit,
      signal: controller.signal,
      onJoin: ({ name, uri, pid }) => {
        const line = { type: "joined", name, uri, pid, restate, store: store.path };
        const text = `Joined ${restate} as ${name} at ${uri}, with the store ${store.path}`;
        if (flags.json) screen.write(`${JSON.stringify(line)}\n`);
        else tell.say(text);
      },
      onTrouble: (why) => tell.error(why),
    });
    return 0;
  },
});
