import { defineCommand } from "./command.ts";

/** Answers HTTP requests from a model. */
export const serve = defineCommand({
  about: "Answer HTTP requests from a model (comes with a later version)",
  words: [["[words...]", "an artifact"]],
  options: (command) => void command.allowUnknownOption(),
  run: ({ screen }) => {
    screen.error("Cannot serve a model: serving comes with a later version\n");
    return 1;
  },
});
