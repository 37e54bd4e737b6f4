import type { Command } from "commander";
import type { Executor } from "../run/executor.ts";
import type { Store } from "../store/store.ts";
import { UsageError } from "./usage_error.ts";

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
