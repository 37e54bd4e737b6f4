import { strict as assert } from "node:assert";
import { chooseAdapter } from "./choose_adapter.ts";

const named = (description: string, isFallbackAdapter = false) =>
  ({ info: { description, isFallbackAdapter } }) as unknown as GPUAdapter;

Deno.test("a check takes the card, whatever the system thinks is best, or the one that is named", () => {
  const [soft, arc, radeon] = [named("llvmpipe (LLVM)", true), named("Arc A770"), named("RX 7900")];
  assert.equal(chooseAdapter([soft, arc, radeon], ""), arc);
  assert.equal(chooseAdapter([soft, arc, radeon], "rx"), radeon);
  assert.equal(chooseAdapter([soft, arc], "LLVM"), soft);
  assert.throws(() => chooseAdapter([soft, arc], "nvidia"), /part of llvmpipe \(LLVM\), Arc A770$/);
});

Deno.test("without a card a check says what is missing and how to get it", () => {
  assert.throws(() => chooseAdapter([], ""), /shows none, expected the driver.* install it/);
  assert.throws(
    () => chooseAdapter([named("llvmpipe (LLVM)", true)], ""),
    /only llvmpipe \(LLVM\), which is made of software.* --device llvmpipe$/,
  );
});
