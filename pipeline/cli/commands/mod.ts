import type { CommandWords } from "../command.ts";

/** Words of the command line that every program has. */
export const runnerCommands: CommandWords = {
  checkout: {
    about: "Copy a finished artifact, such as an export, to a directory of your own",
    load: async () => (await import("./checkout.ts")).checkout,
  },
  config: {
    about: "Show a manifest with everything written out: what it extends, params, sweeps, defaults",
    load: async () => (await import("./config.ts")).config,
  },
  explain: {
    about: "Say why a step would run or be reused, compared with an earlier run",
    load: async () => (await import("./explain.ts")).explain,
  },
  gc: {
    about:
      "Remove what no run uses from the store; the last good run of every manifest keeps its own",
    load: async () => (await import("./gc.ts")).gc,
  },
  graph: {
    about: "Draw the steps of a manifest with what would run",
    load: async () => (await import("./graph.ts")).graph,
  },
  inspect: {
    about: "Say what an artifact, a run, a model or a file really is",
    load: async () => (await import("./inspect.ts")).inspect,
  },
  plan: {
    about: "Say what would run of a manifest, why, and what that takes",
    load: async () => (await import("./plan.ts")).plan,
  },
  push: {
    about: "Copy the artifacts of a manifest, or one by its key, to the remote",
    load: async () => (await import("./push.ts")).push,
  },
  report: {
    about: "Write a page about a run: its steps, times, quality, sizes and origins",
    load: async () => (await import("./report.ts")).report,
  },
  restate: {
    about: "Start the server that gives steps to workers (Restate)",
    load: async () => (await import("./restate.ts")).restate,
  },
  run: { about: "Make every step of a manifest", load: async () => (await import("./run.ts")).run },
  runs: {
    about: "List the runs of the store, show one, or say in what two differ",
    load: async () => (await import("./runs.ts")).runs,
  },
  schema: {
    about: "Print the JSON Schema of manifests, for editors",
    load: async () => (await import("./schema.ts")).schema,
  },
  stages: {
    about: "List the stages, or say what one takes, makes and may be told",
    load: async () => (await import("./stages.ts")).stages,
  },
  verify: {
    about: "Check every artifact of the store; status 1 if any is damaged",
    load: async () => (await import("./verify.ts")).verify,
  },
  worker: {
    about: "Work at steps that runs elsewhere order, over a shared store",
    load: async () => (await import("./worker.ts")).worker,
  },
};
