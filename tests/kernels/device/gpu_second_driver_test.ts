import { strict as assert } from "node:assert";
import { fileURLToPath } from "node:url";
import { findSwiftShader, swiftShaderEnvironment } from "../../support/second_driver.ts";

const CHECKS = fileURLToPath(new URL("../../support/second_driver_checks.ts", import.meta.url));
const PLACE = await findSwiftShader();
const NAME = "kernels, QoQ and the engine work on SwiftShader";

Deno.test({
  name: PLACE ? NAME : `${NAME} (not run: this machine has none, install chromium)`,
  ignore: !PLACE,
  fn: async () => {
    // A process looks for drivers once.
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "-A", "--no-check", CHECKS],
      env: swiftShaderEnvironment(PLACE!),
    }).output();
    const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assert.ok(success, `${out}\n${err}`);
  },
});
