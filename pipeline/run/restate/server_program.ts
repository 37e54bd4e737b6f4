import { messageOf } from "../../errors.ts";

/**
 * The path of Restate's server program, which is fetched the first time.
 *
 * Throws an Error in a sentence where there is none for this machine or it cannot be fetched.
 */
export async function serverProgram(): Promise<string> {
  const here = new URL("../../restate/server/", import.meta.url).pathname;
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--allow-all",
      "--frozen",
      `--config=${here}deno.json`,
      `--lock=${here}deno.lock`,
      `${here}locate.ts`,
    ],
    env: { NO_COLOR: "1" },
  }).output();
  const path = new TextDecoder().decode(stdout).trim();
  if (code === 0 && path !== "") return path;
  const [why = "it ended without a word"] = new TextDecoder().decode(stderr).split("\n")
    .map((line) => line.replace(/^error: (Uncaught )?(\(in promise\) )?(\w*Error: )?/, "").trim())
    .filter((line) => line !== "" && !/^[╭│╰]/.test(line));
  const { os, arch } = Deno.build;
  throw new Error(
    `Cannot get Restate's server program for ${os} ${arch}: ${messageOf(why)}, expected npm ` +
      "package @restatedev/restate-server for linux or darwin",
  );
}
