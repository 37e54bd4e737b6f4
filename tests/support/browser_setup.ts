/**
 * Makes sure that the tests have a browser to look with: installs Debian's Chromium where none is and
 * this process may. The tests run without it too, and say which of them did not.
 *
 * @module
 */
import { findBrowser } from "./browser.ts";

const PACKAGE = "chromium";

if (await findBrowser() === undefined) {
  const root = Deno.build.os === "linux" && Deno.uid() === 0;
  if (!root || !await succeeds(["--version"])) say(`Some tests want a browser: install ${PACKAGE}`);
  else await install();
}

async function install(): Promise<void> {
  say(`No browser was found for the tests: installing ${PACKAGE}`);
  const packages = ["install", "-y", "-q", "--no-install-recommends", PACKAGE];
  const done = await succeeds(packages) ||
    (await succeeds(["update", "-q"]) && await succeeds(packages));
  say(done ? `Installed ${PACKAGE}` : `Cannot install ${PACKAGE} with apt-get: install it by hand`);
}

async function succeeds(args: readonly string[]): Promise<boolean> {
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const quiet = { stdout: "null", stderr: "null" } as const;
    return (await new Deno.Command("apt-get", { args: [...args], env, ...quiet }).output()).success;
  } catch {
    return false;
  }
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
