import { match, strictEqual } from "node:assert/strict";
import { main } from "../../../../pipeline/cli/main.ts";
import { openServerAccess } from "../../../../pipeline/run/restate/access.ts";
import * as stages from "../../../support/toy/stages.ts";
import { withDirectory } from "../../../support/directory.ts";

Deno.test("`run --executor` says in a sentence what is wrong with its word, or that nobody answers", () =>
  withDirectory(async (directory) => {
    const path = `${directory}/a.yaml`;
    await Deno.writeTextFile(path, "steps: { one: { stage: constant, with: { value: 1 } } }\n");
    const call = async (executor: string) => {
      let errors = "";
      const screen = {
        write: () => {},
        error: (text: string) => void (errors += text),
        columns: 0,
        color: false,
      };
      const args = ["run", path, "--store", `${directory}/store`, "--executor", executor];
      return { status: await main(args, { stages, tools: () => ({}), screen }), errors };
    };
    const wrong = await call("restate");
    strictEqual(wrong.status, 2);
    match(wrong.errors, /^Cannot understand --executor restate: expected restate=<url>, such as /);
    const closed = await call("restate=http://127.0.0.1:1");
    strictEqual(closed.status, 1);
    match(closed.errors, /^Cannot use Restate: there is no .*access\.json, expected the store at /);
    await openServerAccess(`${directory}/store`);
    // Port 1 is reserved; nothing listens there.
    const silent = await call("restate=http://127.0.0.1:1");
    strictEqual(silent.status, 1);
    match(
      silent.errors,
      /^Cannot use Restate at http:\/\/127\.0\.0\.1:1: .*, expected the server /,
    );
    strictEqual(silent.errors.trim().split("\n").length, 1);
  }));
