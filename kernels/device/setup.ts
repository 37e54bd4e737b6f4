/**
 * Makes sure that a Vulkan adapter is there: installs Debian's software driver where none is and
 * this process may. Says in one sentence what to install where it may not.
 *
 * @module
 */
import { noAdapter, openAdapter } from "./adapter.ts";

const PACKAGES = ["mesa-vulkan-drivers", "libvulkan1"];

if (import.meta.main) {
  const probing = Deno.args[0] === "probe";
  const found = await openAdapter().then(({ name }) => name, () => undefined);
  if (found) say(`GPU: ${found}`);
  else if (probing) Deno.exit(1);
  else Deno.exit(await install() ? 0 : 1);
  Deno.exit(0);
}

async function install(): Promise<boolean> {
  const root = Deno.build.os === "linux" && Deno.uid() === 0;
  if (!root || !await succeeds("apt-get", ["--version"])) {
    say(noAdapter(Deno.build.os));
    return false;
  }
  say(`No Vulkan adapter was found: installing ${PACKAGES.join(" and ")}`);
  const packages = ["install", "-y", "-q", "--no-install-recommends", ...PACKAGES];
  if (!await succeeds("apt-get", packages)) {
    await succeeds("apt-get", ["update", "-q"]);
    if (!await succeeds("apt-get", packages)) {
      say(`Cannot install ${PACKAGES.join(" and ")} with apt-get: install them by hand`);
      return false;
    }
  }
  // The driver is looked up once a process, so a new one has to try.
  const retry = ["run", "-A", import.meta.filename!, "probe"];
  if (await succeeds(Deno.execPath(), retry)) {
    say(`Installed ${PACKAGES.join(" and ")}`);
    return true;
  }
  say(noAdapter(Deno.build.os));
  return false;
}

async function succeeds(command: string, args: readonly string[]): Promise<boolean> {
  try {
    const env = { DEBIAN_FRONTEND: "noninteractive" };
    const child = new Deno.Command(command, {
      args: [...args],
      env,
      stdout: "null",
      stderr: "null",
    });
    return (await child.output()).success;
  } catch {
    return false;
  }
}

function say(line: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
}
