import type { CommandWords } from "../../pipeline/cli/mod.ts";

/** Words of the command line that are about models. */
export const modelCommands: CommandWords = {
  advise: {
    about: "Say what each precision would take, how fast it would be here and what it may cost",
    load: async () => (await import("./advise.ts")).advise,
  },
  "import-config": {
    about: "Turn a DeepCompressor recipe into a manifest",
    load: async () => (await import("./import_config.ts")).importConfig,
  },
  models: {
    about: "List the models of the hub that are here, and small ones to try",
    load: async () => (await import("./models.ts")).models,
  },
  new: {
    about: "Write a manifest for a model, with comments",
    load: async () => (await import("./new.ts")).newManifest,
  },
  serve: {
    about: "Answer HTTP requests from a model, as OpenAI's API does",
    load: async () => (await import("./serve.ts")).serve,
  },
  "verify-export": {
    about:
      "Check an export against its format, an engine and the model it was made from; status 1 if a rule is broken",
    load: async () => (await import("./verify_export.ts")).verifyExport,
  },
};
