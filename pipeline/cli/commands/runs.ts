import { describeRun } from "../../tell/inspect/run.ts";
import { describeRunDifference, describeRuns, type ToldRun } from "../../tell/inspect/runs.ts";
import { findRuns } from "../../tell/inspect/named.ts";
import { scoredSteps } from "../../tell/inspect/scored.ts";
import { descriptionText } from "../../tell/inspect/text.ts";
import type { Describe, Description } from "../../description.ts";
import { allRuns, type RunRecord } from "../../store/runs.ts";
import type { Store } from "../../store/store.ts";
import { HERE, openStore } from "../open_store.ts";
import { tellingErrors, UsageError } from "../told_error.ts";
import { defineCommand } from "../command.ts";

/** Runs that a list has unless more are asked for. */
const LISTED = 20;

/** Lists the runs of a store, shows one, or says in what two differ. */
export const runs = defineCommand({
  words: [[
    "[words...]",
    "nothing, for the list; show RUN; or diff RUN RUN; a run is its id, or last",
  ]],
  options: (command) => void command.option("--all", `list all runs, not the last ${LISTED} only`),
  run: tellingErrors(async ({ program: { describe }, screen, flags, words, own }) => {
    const store = await openStore(HERE, flags);
    const description = await describeWords(words, { store, describe, all: own.all === true });
    screen.write(
      flags.json
        ? `${JSON.stringify({ type: "runs", ...description })}\n`
        : descriptionText(description, screen),
    );
    return 0;
  }),
});

async function describeWords(
  [verb, ...names]: readonly string[],
  { store, describe, all }: {
    readonly store: Store;
    readonly describe: Describe | undefined;
    readonly all: boolean;
  },
): Promise<Description> {
  if (verb === undefined) {
    const found = await allRuns(store.path);
    return await describeRuns(all ? found : found.slice(0, LISTED), store.path);
  }
  if (verb === "show" && names.length === 1) {
    return await describeRun(await oneRun(names[0]!, store), { store, describe });
  }
  if (verb === "diff" && names.length === 2) {
    const told = async (name: string): Promise<ToldRun> => {
      const run = await oneRun(name, store);
      return { run, figures: await scoredSteps(run, { store, describe }) };
    };
    return describeRunDifference(await told(names[0]!), await told(names[1]!));
  }
  throw new UsageError(
    `Cannot tell runs by "${
      [verb, ...names].join(" ")
    }": expected nothing, show RUN or diff RUN RUN`,
  );
}

async function oneRun(word: string, store: Store): Promise<RunRecord> {
  const [run, ...others] = await findRuns(word, store);
  if (run && others.length === 0) return run;
  const names = [run, ...others].flatMap((one) => one ? one.id : []).join(" or ");
  throw new Error(
    `Cannot find run "${word}": ${
      names === "" ? `the store ${store.path} remembers none of that id` : `it may be ${names}`
    }, expected the first letters of one id, or last; deno task runs lists them`,
  );
}
